"""The forms rules come in: when a rule applies, what it gives, and the small tables most rules are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from openfuse_collector.mapping.coercion import meaningful
from openfuse_collector.mapping.span_view import SpanView

T = TypeVar("T")


class Content(NamedTuple):
    """What went in and what came out. None: this rule knows nothing of that side."""

    input: Any = None
    output: Any = None


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """A function of a span that gives a value or None, and the condition under which it is worth asking.

    The condition reads attribute keys, the scope name and the presence of span events only, so it is decided once per
    `Shape`, not once per span: any of `keys` present, or a key beginning with any of `prefixes` (no keys and no prefixes
    means always), and in scope `scope` if one is named, and with events if `events` is set.
    """

    apply: Callable[[SpanView], T | None]
    keys: Collection[str] = ()
    """In the order they are asked, where there is one."""
    prefixes: tuple[str, ...] = ()
    scope: str | None = None
    events: bool = False

    def concerns(self, keys: frozenset[str], scope: str, has_events: bool) -> bool:
        """Whether spans with these attribute keys may get a value from this rule."""
        if (self.scope is not None and scope != self.scope) or (self.events and not has_events):
            return False
        if not self.keys and not self.prefixes:
            return True
        if not keys.isdisjoint(self.keys):
            return True
        return bool(self.prefixes) and any(key.startswith(self.prefixes) for key in keys)


def first_answer(span: SpanView, rules: Iterable[Rule[T]]) -> T | None:
    """What the first rule that has an answer gives."""
    for rule in rules:
        found = rule.apply(span)
        if found is not None:
            return found
    return None


TypeRule = Rule[str]
"""Gives an observation type: SPAN, GENERATION, …"""
ContentRule = Rule[Content]
MapRule = Rule[dict[str, Any]]
"""Gives model parameters, usage or cost."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What one library or convention writes beyond Langfuse's own rules, and which attributes hold nothing but content.

    The rules and names here come after Langfuse's: they only ever fill what is empty there. Fields:

    * `types`, `content`, `usage`, `cost`, `first_token`: rules that are asked last;
    * `repeats`: rules that are true of spans whose usage is the sum of that of the spans below;
    * `parameters`: rules that are asked when nothing else gave model parameters;
    * `model`, `user`, `session`, `tags`: attribute names, first with a value wins;
    * `model_rules`, `session_rules`: rules that are asked when no attribute names the model, or the session;
    * `consumed`, `consumed_prefixes`: attributes that metadata does not repeat because they are input or output.
    """

    types: tuple[TypeRule, ...] = ()
    content: tuple[ContentRule, ...] = ()
    usage: tuple[MapRule, ...] = ()
    cost: tuple[MapRule, ...] = ()
    first_token: tuple[Rule[str], ...] = ()
    repeats: tuple[Rule[bool], ...] = ()
    parameters: tuple[MapRule, ...] = ()
    model: tuple[str, ...] = ()
    model_rules: tuple[Rule[str], ...] = ()
    user: tuple[str, ...] = ()
    session: tuple[str, ...] = ()
    session_rules: tuple[Rule[str], ...] = ()
    tags: tuple[str, ...] = ()
    consumed: frozenset[str] = frozenset()
    consumed_prefixes: tuple[str, ...] = ()


def by_value(key: str, types: Mapping[str, str]) -> TypeRule:
    """The type a table gives for exactly the value of one attribute."""

    def apply(span: SpanView) -> str | None:
        value = span.attributes.get(key)
        return types.get(value) if isinstance(value, str) else None

    return Rule(apply, (key,))


def by_spelling(key: str, types: Mapping[str, str]) -> TypeRule:
    """Like `by_value` for values of any case, spaced or JSON-quoted: `LLM`, `llm` and `"LLM"` are the same."""

    def apply(span: SpanView) -> str | None:
        value = span.attributes.get(key)
        return types.get(value.strip(' "').casefold()) if isinstance(value, str) else None

    return Rule(apply, (key,))


def if_any(keys: Iterable[str], type_: str) -> TypeRule:
    """The type of spans that say anything meaningful under one of these keys."""
    names = tuple(keys)

    def apply(span: SpanView) -> str | None:
        return type_ if any(meaningful(span.attributes.get(name)) for name in names) else None

    return Rule(apply, names)


def sides(inputs: Iterable[str] = (), outputs: Iterable[str] = (), scope: str | None = None) -> ContentRule:
    """Input and output from the first attribute of each list that has content, else from the first that is there."""
    ins, outs = tuple(inputs), tuple(outputs)

    def apply(span: SpanView) -> Content:
        return Content(first_content(span, ins), first_content(span, outs))

    return Rule(apply, (*ins, *outs), scope=scope)


def first_content(span: SpanView, keys: tuple[str, ...]) -> Any:
    """The first truthy attribute, else the first that is set, else None."""
    if len(keys) == 1:
        return span.attributes.get(keys[0])
    found = span.first_truthy(keys)
    return span.first_set(keys) if found is None else found

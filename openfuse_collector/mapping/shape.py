"""What can be known of a span from its attribute keys alone, worked out once per distinct set of keys.

Programs make few kinds of spans. Which rules can apply, which attributes metadata shows and where counters are depends on
keys, scope name and the presence of events only; values never matter here. So the search through all vocabularies happens
once per shape, and mapping a span asks only rules that have something to read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from openfuse_collector.enrich.tool_definitions import has_definitions
from openfuse_collector.events.remembered import Remembered
from openfuse_collector.mapping import rules
from openfuse_collector.mapping.metadata import OBSERVATION, TRACE, MetadataKeys, metadata_keys
from openfuse_collector.mapping.parameters import request_keys
from openfuse_collector.mapping.rule import ContentRule, MapRule, Rule, TypeRule
from openfuse_collector.mapping.usage import Counters, counters_among
from openfuse_collector.mapping.vocabularies import genkit, google_adk, langfuse, openinference

T = TypeVar("T")

_LARGEST_KEPT = 160
"""Spans with more attributes (long flattened conversations) are too various to be worth remembering."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The plan for spans with certain attribute keys; tuples hold only what is present or can apply, best first."""

    attributes: tuple[str, ...]
    """Keys shown in `metadata.attributes`."""
    observation_metadata: MetadataKeys | None
    trace_metadata: MetadataKeys | None
    types: tuple[TypeRule, ...]
    content: tuple[ContentRule, ...]
    trace_content: tuple[ContentRule, ...] | None
    """None when trace and observation have the same input and output."""
    spends: bool
    """Whether there may be a model, usage or cost."""
    usage: tuple[MapRule, ...]
    counters: Counters | None
    more_usage: tuple[MapRule, ...]
    cost: tuple[MapRule, ...]
    more_cost: tuple[MapRule, ...]
    repeats: tuple[Rule[bool], ...]
    first_token: tuple[Rule[str], ...]
    model: tuple[str, ...]
    more_model: tuple[str, ...]
    model_rules: tuple[Rule[str], ...]
    parameters: tuple[MapRule, ...]
    request: tuple[tuple[str, str], ...]
    """Keys of single request parameters and the names of these."""
    more_parameters: tuple[MapRule, ...]
    user: tuple[str, ...]
    session: tuple[str, ...]
    session_rules: tuple[Rule[str], ...]
    tags: tuple[str, ...]
    told_user: tuple[str, ...]
    """Those of the keys for user, session and tags that count below the root, too."""
    told_session: tuple[str, ...]
    told_tags: tuple[str, ...]
    other_identity: bool
    """Whether there are others."""
    public: tuple[str, ...]
    environment: tuple[str, ...]
    names: tuple[str, ...]
    updates: tuple[str, ...]
    """Keys that make the span update its trace if truthy."""
    always_updates: bool
    has_prompt: bool
    tool_definitions: bool
    nested_calls: bool
    """Whether there are tool calls in flattened messages."""
    has_events: bool


def shape_of(keys: tuple[str, ...], scope: str, has_events: bool) -> Shape:
    """The shape of spans with these attribute keys, remembered for the common ones."""
    if len(keys) > _LARGEST_KEPT:
        return _make(keys, scope, has_events)
    return _SHAPES[keys, scope, has_events]


def _make(keys: tuple[str, ...], scope: str, has_events: bool) -> Shape:
    present = frozenset(keys)

    def asked(candidates: Iterable[Rule[T]]) -> tuple[Rule[T], ...]:
        return tuple(rule for rule in candidates if rule.concerns(present, scope, has_events))

    def there(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name in present)

    cost, more_cost = asked(rules.COST), asked(rules.MORE_COST)
    usage, counters, more_usage = asked(rules.USAGE), counters_among(keys), asked(rules.MORE_USAGE)
    model, more_model, model_rules = there(rules.MODEL), there(rules.MORE_MODEL), asked(rules.MODEL_RULES)
    hidden = not present.isdisjoint((genkit.SUBTYPE, google_adk.LLM_RESPONSE))
    spends = bool(usage or counters or more_usage or cost or more_cost or model or more_model or model_rules or hidden)
    user, session, tags = there(rules.USER), there(rules.SESSION), there(rules.TAGS)
    told_user, told_session, told_tags = there(rules.TOLD_USER), there(rules.TOLD_SESSION), there(rules.TOLD_TAGS)
    session_rules = asked(rules.SESSION_RULES)
    own_trace_content = langfuse.TRACE_INPUT in present or langfuse.TRACE_OUTPUT in present
    return Shape(
        attributes=tuple(key for key in keys if not _consumed(key)),
        observation_metadata=metadata_keys(keys, OBSERVATION),
        trace_metadata=metadata_keys(keys, TRACE),
        types=asked(rules.TYPES),
        content=asked(rules.OBSERVATION_CONTENT),
        trace_content=asked(rules.TRACE_CONTENT) if own_trace_content else None,
        spends=spends,
        repeats=asked(rules.REPEATS) if spends else (),
        usage=usage,
        counters=counters,
        more_usage=more_usage,
        cost=cost,
        more_cost=more_cost,
        first_token=asked(rules.FIRST_TOKEN),
        model=model,
        more_model=more_model,
        model_rules=model_rules,
        parameters=asked(rules.PARAMETERS),
        request=request_keys(keys),
        more_parameters=asked(rules.MORE_PARAMETERS),
        user=user,
        session=session,
        session_rules=session_rules,
        tags=tags,
        told_user=told_user,
        told_session=told_session,
        told_tags=told_tags,
        other_identity=bool(session_rules) or (user, session, tags) != (told_user, told_session, told_tags),
        public=there(rules.PUBLIC),
        environment=there(rules.ENVIRONMENT),
        names=there(rules.NAME),
        updates=there(rules.TRACE_UPDATES),
        always_updates=any(key.startswith(rules.TRACE_UPDATE_PREFIX) for key in keys),
        has_prompt=not present.isdisjoint((*rules.PROMPT_NAME, *rules.PROMPT_VERSION, langfuse.PROMPT_LINK)),
        tool_definitions=has_definitions(keys),
        nested_calls=any(openinference.NESTED_CALL.match(key) for key in keys),
        has_events=has_events,
    )


def _characters(asked: tuple[tuple[str, ...], str, bool]) -> int:
    keys, scope, _ = asked
    return len(scope) + sum(map(len, keys))


_SHAPES = Remembered(lambda asked: _make(*asked), _characters, most=1024, largest=16 * 1024)


def _consumed(key: str) -> bool:
    return key in rules.CONSUMED or key.startswith(rules.CONSUMED_PREFIXES)

"""Token counts and cost: many spellings in, Langfuse's usage details out, and the schema every usage and cost map passes.

`input` excludes cached and cache-creation tokens, `output` excludes reasoning and audio tokens, so that the parts add up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from openfuse_collector.mapping.coercion import finite, number, whole_number, without_parts
from openfuse_collector.mapping.rule import first_answer
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.vocabularies import google_adk

PREFIXES = ("gen_ai.usage.", "llm.token_count.")
_NOT_A_COUNT = "gen_ai.usage.cost"

ALIASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("input", ("prompt_tokens", "input_tokens", "prompt")),
    ("output", ("completion_tokens", "output_tokens", "completion")),
    ("total", ("total_tokens", "total")),
    (
        "input_cached_tokens",
        (
            "cache_read.input_tokens",
            "cache_read_input_tokens",
            "cache_read_tokens",
            "details.cache_read_tokens",
            "details.cache_read_input_tokens",
            "prompt_details.cache_read",
            "input_cached_tokens",
        ),
    ),
    (
        "input_cache_creation",
        (
            "cache_creation.input_tokens",
            "cache_creation_input_tokens",
            "cache_write_tokens",
            "details.cache_write_tokens",
            "details.cache_creation_input_tokens",
            "prompt_details.cache_write",
            "input_cache_creation",
        ),
    ),
    ("output_reasoning_tokens", ("reasoning.output_tokens", "completion_details.reasoning")),
    ("output_audio_tokens", ("completion_details.audio",)),
)
"""Name in usage details <- names behind the prefix, first one that is a number. Other names pass through."""

_LARGEST = 2**63 - 1
"""What stores hold; nobody counts that far."""
_PART_OF = {
    "input": ("input_cached_tokens", "input_cache_creation"),
    "output": ("output_reasoning_tokens", "output_audio_tokens"),
}

Usage = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Counters:
    """The counter attributes of a shape: for each count the keys to try, and which counts have parts to take out."""

    keys: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Those to pass through first, then the known ones."""
    parts: tuple[tuple[str, tuple[str, ...]], ...] = ()


_KNOWN_NAMES = frozenset(name for _, names in ALIASES for name in names)


def counters_among(keys: Iterable[str]) -> Counters | None:
    """The counters among attribute keys, None when there are none."""
    named: dict[str, str] = {}
    for key in keys:
        for prefix in PREFIXES:
            if key.startswith(prefix) and key != _NOT_A_COUNT:
                named[key[len(prefix) :]] = key
    if not named:
        return None
    plain = {name.removeprefix("details."): (key,) for name, key in named.items() if name not in _KNOWN_NAMES}
    spelled = ((target, tuple(named[name] for name in names if name in named)) for target, names in ALIASES)
    known = {target: keys for target, keys in spelled if keys}
    parts = ((whole, tuple(part for part in parts if part in known)) for whole, parts in _PART_OF.items())
    found = tuple((whole, parts) for whole, parts in parts if parts and whole in known)
    return Counters(tuple((plain | known).items()), found)


def counted(attributes: dict[str, Any], counters: Counters) -> Usage:
    """Usage from counter attributes, parts taken out of the wholes; counts that are no numbers are left out."""
    usage: Usage = {}
    for target, keys in counters.keys:
        for key in keys:
            count = attributes[key]
            if type(count) is not int:
                count = number(count)
            if count is not None:
                usage[target] = count
                break
    for whole, parts in counters.parts:
        if whole in usage:
            usage[whole] = without_parts(usage[whole], [usage.get(part, 0) for part in parts])
    return usage


def usage_of(span: SpanView) -> Usage:
    """Clean usage details of a span: non-negative whole numbers by name, empty when nothing is known."""
    shape = span.shape
    usage = first_answer(span, shape.usage)
    if usage is None:
        usage = counted(span.attributes, shape.counters) if shape.counters else {}
        if span.surroundings.scope_name == google_adk.SCOPE:
            _take_out_cached(usage, google_adk.cached_tokens(span))
    clean = clean_usage(usage)
    if len(clean) != len(usage):
        _note_losses(span, "usageDetails", usage, clean)
    if not clean and shape.more_usage:
        return clean_usage(first_answer(span, shape.more_usage) or {})
    return clean


def cost_of(span: SpanView) -> Usage:
    """Clean provided cost in USD by name, empty when the span states none."""
    cost = first_answer(span, span.shape.cost) or {}
    clean = clean_cost(cost)
    if len(clean) != len(cost):
        _note_losses(span, "costDetails", cost, clean)
    if not clean and span.shape.more_cost:
        return clean_cost(first_answer(span, span.shape.more_cost) or {})
    return clean


def _note_losses(span: SpanView, field: str, given: Usage, clean: Usage) -> None:
    """Name the single values that were no counts or amounts. Nested maps are providers' raw usage, nothing wrong with them."""
    if not _openai_form(given):
        for name in given:
            if name not in clean and isinstance(given[name], str | int | float):
                span.note(f"{field}.{name}", f"not usable: {given[name]!r}")


def _take_out_cached(usage: Usage, cached: int | float) -> None:
    if cached and "input_cached_tokens" not in usage:
        usage["input_cached_tokens"] = cached
        usage["input"] = without_parts(usage.get("input", 0), (cached,))


def clean_usage(usage: Usage) -> Usage:
    """What Langfuse's schema lets through: OpenAI's nested form flattened, else every non-negative whole number."""
    if not usage:
        return usage
    form = _openai_form(usage)
    if form:
        return _from_openai(usage, *form)
    clean = {}
    for name, value in usage.items():
        count = value if type(value) is int else _count(value)
        if count is not None and 0 <= count <= _LARGEST:
            clean[name] = count
    return clean


def _count(value: Any) -> int | None:
    if isinstance(value, str):
        return whole_number(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


_OPENAI_FORMS = (
    (("prompt_tokens", "completion_tokens"), ("prompt_tokens_details", "completion_tokens_details")),
    (("input_tokens", "output_tokens"), ("input_tokens_details", "output_tokens_details")),
)
"""Chat completions and responses API. Both need `total_tokens` and allow no other key."""


def _openai_form(usage: Usage) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """Which of OpenAI's nested forms usage has, None for neither."""
    if "total_tokens" not in usage:
        return None
    return next((form for form in _OPENAI_FORMS if _has_form(usage, *form)), None)


def _has_form(usage: Usage, wholes: tuple[str, str], details: tuple[str, str]) -> bool:
    required = (*wholes, "total_tokens")
    return (
        all(_is_count(usage.get(name)) for name in required)
        and all(name in required or name in details for name in usage)
        and all(_is_details(usage.get(name)) for name in details)
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _is_details(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and all(item is None or _is_count(item) for item in value.values())
    )


def _from_openai(usage: Usage, wholes: tuple[str, str], details: tuple[str, str]) -> Usage:
    clean = {"input": usage[wholes[0]], "output": usage[wholes[1]], "total": usage["total_tokens"]}
    for side, name in zip(("input", "output"), details, strict=True):
        for part, count in (usage.get(name) or {}).items():
            if count is not None:
                clean[f"{side}_{part}"] = count
                clean[side] = max(clean[side] - count, 0)
    return clean


def clean_cost(cost: Usage) -> Usage:
    """Costs that are numbers, zero or more; numeric text counts (Langfuse would drop it)."""
    clean = {}
    for name, value in cost.items():
        amount = value if not isinstance(value, bool | str) else _amount(value)
        if isinstance(amount, int | float) and finite(amount) and amount >= 0:
            clean[name] = amount
    return clean


def _amount(value: bool | str) -> int | float | None:
    return number(value) if isinstance(value, str) and value.strip() else None

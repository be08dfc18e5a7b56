"""Genkit (scope `genkit-tracer`): keys with colons, usage and configuration inside the recorded input and output."""

from __future__ import annotations

from typing import Any

from openfuse_collector.mapping.coercion import BROKEN, number, scalar_map, truthy, without_parts
from openfuse_collector.mapping.rule import Content, ContentRule, MapRule, Rule, TypeRule, Vocabulary, by_value
from openfuse_collector.mapping.span_view import SpanView

SCOPE = "genkit-tracer"
INPUT, OUTPUT, NAME, SUBTYPE = "genkit:input", "genkit:output", "genkit:name", "genkit:metadata:subtype"

TYPE: TypeRule = by_value(
    SUBTYPE,
    {
        "model": "GENERATION",
        "background-model": "GENERATION",
        "embedder": "EMBEDDING",
        "tool": "TOOL",
        "tool.v2": "TOOL",
        "retriever": "RETRIEVER",
        "evaluator": "EVALUATOR",
    },
)


def _content(span: SpanView) -> Content:
    return Content(_part(span, INPUT, "messages"), _part(span, OUTPUT, "message"))


def _part(span: SpanView, key: str, part: str) -> Any:
    """The conversation inside a recorded value, or the value when it holds none."""
    value = span.json(key)
    if value is BROKEN:
        return span.attributes[key]
    inner = value.get(part) if isinstance(value, dict) else None
    return value if inner is None else inner


def _parameters(span: SpanView) -> dict[str, Any]:
    """The configuration inside the request, wherever that was recorded; nothing else speaks for Genkit's spans."""
    config = span.json_object(INPUT).get("config")
    if config is None:
        request = span.json_object(OUTPUT).get("request")
        config = request.get("config") if isinstance(request, dict) else None
    return scalar_map(config)


def _usage(span: SpanView) -> dict[str, Any] | None:
    usage = span.json_object(OUTPUT).get("usage")
    if not isinstance(usage, dict):
        return None
    thoughts = _count(usage, "thoughtsTokens")
    counts = {
        "input": _count(usage, "inputTokens"),
        "output": without_parts(_count(usage, "outputTokens"), (thoughts,)),
        "total": _count(usage, "totalTokens"),
        "output_reasoning": thoughts,
    }
    return {name: count for name, count in counts.items() if truthy(count)}


def _count(usage: dict[str, Any], name: str) -> int | float:
    value = usage.get(name)
    return (number(value) or 0) if isinstance(value, int | float) else 0


_BOTH = (INPUT, OUTPUT)
CONTENT: ContentRule = Rule(_content, _BOTH, scope=SCOPE)

PARAMETERS: MapRule = Rule(_parameters, scope=SCOPE)
USAGE: MapRule = Rule(_usage, (OUTPUT,), scope=SCOPE)


_MORE_TYPES = by_value(SUBTYPE, {"flow": "CHAIN", "agent": "AGENT", "indexer": "RETRIEVER", "reranker": "RETRIEVER"})
"""Plain spans for Langfuse."""


def _embedder(span: SpanView) -> str | None:
    """Langfuse takes the name of models only."""
    name = span.attributes.get(NAME)
    called = span.attributes[SUBTYPE] in ("embedder", "background-model")
    return name if called and isinstance(name, str) and name else None


_CALLS = ("model", "background-model", "embedder")


def _repeats(span: SpanView) -> bool:
    """`generate` and the flows around it hand the model's response on, usage included."""
    return span.attributes.get(SUBTYPE) not in _CALLS


VOCABULARY = Vocabulary(
    types=(_MORE_TYPES, by_value("genkit:type", {"util": "CHAIN", "flowStep": "CHAIN"})),
    model_rules=(Rule(_embedder, (SUBTYPE,)),),
    content=(Rule(_content, _BOTH),),
    repeats=(Rule(_repeats, (OUTPUT,), scope=SCOPE),),
    consumed=frozenset(_BOTH),
)

"""OpenLLMetry / Traceloop, its flattened `gen_ai.prompt.N` and the libraries that write the same keys whole."""

from __future__ import annotations

from typing import Any

from openfuse_collector.mapping.rule import Content, ContentRule, MapRule, Rule, Vocabulary, by_spelling, sides
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.timestamps import time_of_event
from openfuse_collector.mapping.unflatten import unflatten_sides

ENTITY: ContentRule = sides(("traceloop.entity.input",), ("traceloop.entity.output",))

_PROPERTIES = "traceloop.association.properties."
_KINDS = {
    "workflow": "CHAIN",
    "task": "CHAIN",
    "agent": "AGENT",
    "tool": "TOOL",
    "session": "SPAN",
    "generation": "GENERATION",
}


def _prompts(span: SpanView) -> Content:
    return unflatten_sides(span.attributes, "gen_ai.prompt", "gen_ai.completion", span.surroundings.room)


PROMPTS: ContentRule = Rule(_prompts, prefixes=("gen_ai.prompt", "gen_ai.completion"))


def _total_only(span: SpanView) -> dict[str, Any]:
    """Very old instrumentations give nothing but a total."""
    return {"total": span.attributes["llm.usage.total_tokens"]}


_CHUNKS = ("gen_ai.content.completion.chunk", "llm.content.completion.chunk")


def _first_token(span: SpanView) -> str | None:
    """The first of the events that stand for the chunks of a stream."""
    return next((moment for name in _CHUNKS if (moment := time_of_event(span, name))), None)


def _query_results(span: SpanView) -> Content:
    """What a vector store found: one event each, its attributes without their common prefix."""
    prefix = "db.query.result."
    found = [
        {key.removeprefix(prefix): value for key, value in event.attributes.items()}
        for event in span.events
        if event.name == "db.query.result"
    ]
    return Content(None, found or None)


TOTAL_ONLY: MapRule = Rule(_total_only, ("llm.usage.total_tokens",))

VOCABULARY = Vocabulary(
    types=(
        by_spelling("traceloop.span.kind", _KINDS),
        by_spelling(
            "llm.request.type",
            {"chat": "GENERATION", "completion": "GENERATION", "embedding": "EMBEDDING", "rerank": "RETRIEVER"},
        ),
    ),
    content=(Rule(_query_results, events=True),),
    usage=(TOTAL_ONLY,),
    user=(f"{_PROPERTIES}user_id", f"{_PROPERTIES}langfuse_user_id"),
    session=(f"{_PROPERTIES}session_id", f"{_PROPERTIES}langfuse_session_id"),
    tags=(f"{_PROPERTIES}langfuse_tags", f"{_PROPERTIES}tags"),
    first_token=(Rule(_first_token, prefixes=("gen_ai.", "llm."), events=True),),
    consumed=frozenset(("traceloop.entity.input", "traceloop.entity.output")),
    consumed_prefixes=("gen_ai.prompt", "gen_ai.completion"),
)

"""OpenLLMetry / Traceloop, its flattened `gen_ai.prompt.N` and the libraries that write the same keys whole."""

from __future__ import annotations

from typing import Any

from openfuse_collector.mapping.rule import Content, ContentRule, MapRule, Rule, Vocabulary, by_spelling, sides
from openfuse_collector.mapping.span_view import SpanView
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
    return unflatten_sides(span.attributes, "gen_ai.prompt", "gen_ai.completion")


PROMPTS: ContentRule = Rule(_prompts, prefixes=("gen_ai.prompt", "gen_ai.completion"))


def _total_only(span: SpanView) -> dict[str, Any]:
    """Very old instrumentations give nothing but a total."""
    return {"total": span.attributes["llm.usage.total_tokens"]}


TOTAL_ONLY: MapRule = Rule(_total_only, ("llm.usage.total_tokens",))

VOCABULARY = Vocabulary(
    types=(
        by_spelling("traceloop.span.kind", _KINDS),
        by_spelling(
            "llm.request.type",
            {"chat": "GENERATION", "completion": "GENERATION", "embedding": "EMBEDDING", "rerank": "RETRIEVER"},
        ),
    ),
    usage=(TOTAL_ONLY,),
    user=(f"{_PROPERTIES}user_id", f"{_PROPERTIES}langfuse_user_id"),
    session=(f"{_PROPERTIES}session_id", f"{_PROPERTIES}langfuse_session_id"),
    consumed=frozenset(("traceloop.entity.input", "traceloop.entity.output")),
    consumed_prefixes=("gen_ai.prompt", "gen_ai.completion"),
)

"""MLflow tracing: every value is JSON encoded, types included."""

from __future__ import annotations

from typing import Any

from openfuse_collector.mapping.rule import ContentRule, MapRule, Rule, Vocabulary, by_spelling, sides
from openfuse_collector.mapping.span_view import SpanView

CONTENT: ContentRule = sides(("mlflow.spanInputs",), ("mlflow.spanOutputs",))
TOKEN_USAGE = "mlflow.chat.tokenUsage"  # noqa: S105

_SPAN_TYPES = {
    "llm": "GENERATION",
    "chat_model": "GENERATION",
    "chain": "CHAIN",
    "agent": "AGENT",
    "tool": "TOOL",
    "retriever": "RETRIEVER",
    "embedding": "EMBEDDING",
    "reranker": "RETRIEVER",
    "workflow": "CHAIN",
    "task": "CHAIN",
    "guardrail": "GUARDRAIL",
    "evaluator": "EVALUATOR",
}


def _usage(span: SpanView) -> dict[str, Any] | None:
    counts = span.json_object(TOKEN_USAGE)
    return {
        target: counts[key]
        for key, target in (("input_tokens", "input"), ("output_tokens", "output"), ("total_tokens", "total"))
        if key in counts
    } or None


USAGE: MapRule = Rule(_usage, (TOKEN_USAGE,))

VOCABULARY = Vocabulary(
    types=(by_spelling("mlflow.spanType", _SPAN_TYPES),),
    usage=(USAGE,),
    consumed=frozenset(("mlflow.spanInputs", "mlflow.spanOutputs")),
)

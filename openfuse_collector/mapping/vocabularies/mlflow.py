"""MLflow tracing: every value is JSON encoded, types included."""

from __future__ import annotations

from typing import Any

from openfuse_collector.mapping.coercion import number, scalar_map, without_parts
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


_COUNTS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "total_tokens": "total",
    "cache_read_input_tokens": "input_cached_tokens",
    "cache_creation_input_tokens": "input_cache_creation",
}
_PART_OF_INPUT = ("input_cached_tokens", "input_cache_creation")
_MODEL = "mlflow.llm.model"


def _usage(span: SpanView) -> dict[str, Any] | None:
    """MLflow's `input_tokens` includes what came from or went into a cache."""
    counts = span.json_object(TOKEN_USAGE)
    usage = {target: count for key, target in _COUNTS.items() if (count := number(counts.get(key))) is not None}
    parts = [usage[part] for part in _PART_OF_INPUT if part in usage]
    if parts and "input" in usage:
        usage["input"] = without_parts(usage["input"], parts)
    return usage or None


def _model(span: SpanView) -> str | None:
    model = span.json(_MODEL)
    return model if isinstance(model, str) and model else None


def _parameters(span: SpanView) -> dict[str, Any] | None:
    return scalar_map(span.json_object(_PARAMETERS)) or None


_PARAMETERS = "invocation_params"
"""What LangChain's autologging knows of a call."""


USAGE: MapRule = Rule(_usage, (TOKEN_USAGE,))

VOCABULARY = Vocabulary(
    types=(by_spelling("mlflow.spanType", _SPAN_TYPES),),
    usage=(USAGE,),
    model_rules=(Rule(_model, (_MODEL,)),),
    parameters=(Rule(_parameters, (_PARAMETERS,)),),
    consumed=frozenset(("mlflow.spanInputs", "mlflow.spanOutputs")),
)

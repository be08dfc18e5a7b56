"""LangSmith's OpenTelemetry export: run types as span kinds, thread ids as metadata."""

from __future__ import annotations

from openfuse_collector.mapping.rule import Rule, Vocabulary, by_spelling
from openfuse_collector.mapping.span_view import SpanView

KIND = "langsmith.span.kind"
_KINDS = {
    "llm": "GENERATION",
    "chain": "CHAIN",
    "tool": "TOOL",
    "retriever": "RETRIEVER",
    "embedding": "EMBEDDING",
    "prompt": "CHAIN",
    "parser": "CHAIN",
}


def _repeats(span: SpanView) -> bool:
    """LangSmith adds the tokens of the runs below to chains."""
    return span.attributes[KIND] not in ("llm", "embedding")


VOCABULARY = Vocabulary(
    types=(by_spelling(KIND, _KINDS),),
    repeats=(Rule(_repeats, (KIND,)),),
    user=("langsmith.metadata.user_id",),
    tags=("langsmith.span.tags",),
    model=("langsmith.metadata.ls_model_name",),
    session=("langsmith.trace.session_id", "langsmith.metadata.session_id", "langsmith.metadata.thread_id"),
)

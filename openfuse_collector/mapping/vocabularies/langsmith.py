"""LangSmith's OpenTelemetry export: run types as span kinds, thread ids as metadata."""

from __future__ import annotations

from openfuse_collector.mapping.rule import Vocabulary, by_spelling

_KINDS = {
    "llm": "GENERATION",
    "chain": "CHAIN",
    "tool": "TOOL",
    "retriever": "RETRIEVER",
    "embedding": "EMBEDDING",
    "prompt": "CHAIN",
    "parser": "CHAIN",
}

VOCABULARY = Vocabulary(
    types=(by_spelling("langsmith.span.kind", _KINDS),),
    session=("langsmith.trace.session_id", "langsmith.metadata.session_id", "langsmith.metadata.thread_id"),
)

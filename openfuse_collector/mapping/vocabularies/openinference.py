"""OpenInference (Arize): span kinds, `input.value` / `output.value`, flattened messages, documents and embeddings."""

from __future__ import annotations

import re
from typing import Any

from openfuse_collector.mapping.coercion import BROKEN, scalar_map, truthy
from openfuse_collector.mapping.rule import (
    Content,
    ContentRule,
    MapRule,
    Rule,
    TypeRule,
    Vocabulary,
    by_spelling,
    by_value,
    sides,
)
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.unflatten import unflatten, unflatten_sides

KIND = "openinference.span.kind"
NESTED_CALL = re.compile(r"llm\.output_messages\.\d+\.message\.tool_calls\.\d+\.")
"""Keys below which there is a tool call."""

_KINDS = {
    "CHAIN": "CHAIN",
    "RETRIEVER": "RETRIEVER",
    "LLM": "GENERATION",
    "EMBEDDING": "EMBEDDING",
    "AGENT": "AGENT",
    "TOOL": "TOOL",
    "GUARDRAIL": "GUARDRAIL",
    "EVALUATOR": "EVALUATOR",
}
_MORE_KINDS = {**{kind.casefold(): type_ for kind, type_ in _KINDS.items()}, "reranker": "RETRIEVER", "prompt": "CHAIN"}
"""Langfuse leaves these as SPAN: a reranker orders documents, a prompt span renders a template."""

SPAN_KIND: TypeRule = by_value(KIND, _KINDS)
VALUES: ContentRule = sides(("input.value",), ("output.value",))


def _messages(span: SpanView) -> Content:
    return unflatten_sides(span.attributes, "llm.input_messages", "llm.output_messages")


def nested_calls(span: SpanView) -> list[Any]:
    """Tool calls of flattened output messages, which `output.value` hides when it is there too."""
    messages = _messages(span).output
    return [
        call
        for item in (messages if isinstance(messages, list) else ())
        if isinstance(item, dict) and isinstance(item.get("message"), dict)
        for call in item["message"].get("tool_calls") or ()
    ]


def _documents(span: SpanView) -> Content:
    attributes = span.attributes
    for prefix in ("retrieval.documents", "reranker.output_documents"):
        documents = unflatten(attributes, prefix, attributes)
        if documents is not None:
            return Content(None, documents)
    return Content()


def _embeddings(span: SpanView) -> Content:
    """The embedded texts are the input; where there are vectors, texts beside vectors are the output."""
    entries = unflatten(span.attributes, "embedding.embeddings", span.attributes)
    if not isinstance(entries, list):
        return Content()
    inner = (entry.get("embedding") for entry in entries if isinstance(entry, dict))
    embeddings = [embedding for embedding in inner if isinstance(embedding, dict)]
    texts = [embedding["text"] for embedding in embeddings if "text" in embedding]
    has_vectors = any("vector" in embedding for embedding in embeddings)
    return Content(texts or None, embeddings if has_vectors else None)


def _cost(span: SpanView) -> dict[str, Any] | None:
    cost = span.attributes["llm.cost.total"]
    return None if cost is None or cost == "" else {"total": cost}


_COST_PARTS = {"llm.cost.prompt": "input", "llm.cost.completion": "output"}


def _cost_parts(span: SpanView) -> dict[str, Any] | None:
    return {part: span.attributes[key] for key, part in _COST_PARTS.items() if key in span.attributes} or None


def _parameters(key: str) -> MapRule:
    """Parameters from an attribute that holds all of them as JSON."""

    def apply(span: SpanView) -> dict[str, Any] | None:
        value = span.json(key)
        return scalar_map(value) if value is not BROKEN and truthy(value) else None

    return Rule(apply, (key,))


INVOCATION_PARAMETERS: MapRule = _parameters("llm.invocation_parameters")
MODEL_CONFIG: MapRule = _parameters("model_config")
COST: MapRule = Rule(_cost, ("llm.cost.total",))
MESSAGES: ContentRule = Rule(_messages, prefixes=("llm.input_messages", "llm.output_messages"))

_SMOLAGENTS = "openinference.instrumentation.smolagents"


def _repeats(span: SpanView) -> bool:
    """SmolAgents gives agents and steps the tokens of their model calls."""
    return bool(span.attributes[KIND] != "LLM")


VOCABULARY = Vocabulary(
    types=(by_spelling(KIND, _MORE_KINDS),),
    content=(
        sides(("tool.parameters", "reranker.query", "llm.prompt_template.template")),
        Rule(_documents, prefixes=("retrieval.documents.", "reranker.output_documents.")),
        Rule(_embeddings, prefixes=("embedding.embeddings.",)),
    ),
    cost=(Rule(_cost_parts, tuple(_COST_PARTS)),),
    repeats=(Rule(_repeats, (KIND,), scope=_SMOLAGENTS),),
    model=("embedding.model_name", "reranker.model_name"),
    consumed=frozenset(("input.value", "output.value")),
    consumed_prefixes=("llm.input_messages", "llm.output_messages"),
)

"""OpenInference (Arize): span kinds, `input.value` / `output.value`, flattened messages, documents and embeddings."""

from __future__ import annotations

import re
from typing import Any

from openfuse_collector.mapping.coercion import BROKEN, scalar_map, text, truthy
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
from openfuse_collector.mapping.timestamps import time_of_event
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
    return unflatten_sides(span.attributes, "llm.input_messages", "llm.output_messages", span.surroundings.room)


def nested_calls(span: SpanView) -> list[Any]:
    """Tool calls of flattened output messages, which `output.value` hides when it is there too."""
    messages = _messages(span).output
    listed = (
        item["message"].get("tool_calls")
        for item in (messages if isinstance(messages, list) else ())
        if isinstance(item, dict) and isinstance(item.get("message"), dict)
    )
    return [call for calls in listed if isinstance(calls, list) for call in calls]


def _documents(span: SpanView) -> Content:
    for prefix in ("retrieval.documents", "reranker.output_documents"):
        documents = unflatten(span.attributes, prefix, span.surroundings.room)
        if documents is not None:
            return Content(None, documents)
    return Content()


def _embeddings(span: SpanView) -> Content:
    """The embedded texts are the input; where there are vectors, texts beside vectors are the output."""
    entries = unflatten(span.attributes, "embedding.embeddings", span.surroundings.room)
    if not isinstance(entries, list):
        return Content()
    inner = (entry.get("embedding") for entry in entries if isinstance(entry, dict))
    embeddings = [embedding for embedding in inner if isinstance(embedding, dict)]
    texts = [embedding["text"] for embedding in embeddings if "text" in embedding]
    has_vectors = any("vector" in embedding for embedding in embeddings)
    return Content(texts or None, embeddings if has_vectors else None)


def _completions(span: SpanView) -> Content:
    """The older completions API; before that, Traceloop and Langtrace had the same prefix."""
    room = span.surroundings.room
    asked = unflatten(span.attributes, "llm.prompts", room)
    prefixes = ("llm.choices", "llm.completions", "llm.responses")
    answers = (unflatten(span.attributes, prefix, room) for prefix in prefixes)
    return Content(asked, next((answer for answer in answers if answer is not None), None))


_METADATA = "metadata"
"""What the application gave LangChain or LangGraph as metadata, JSON."""
_SESSIONS = ("session_id", "sessionId", "conversation_id", "thread_id", "threadId")


def _session(span: SpanView) -> str | None:
    """LangGraph keeps its thread there."""
    written = span.json_object(_METADATA)
    named = (written.get(name) for name in _SESSIONS)
    return next((text(name) for name in named if isinstance(name, str | int) and name), None)


def _invoked_model(span: SpanView) -> str | None:
    """The model among the parameters of a call that failed before there was an answer."""
    for key in _INVOCATIONS:
        written = span.json_object(key)
        for name in ("model", "model_name", "modelId"):
            if isinstance(written.get(name), str) and written[name]:
                return str(written[name])
    return None


_INVOCATIONS = ("llm.invocation_parameters", "embedding.invocation_parameters")


def _first_token(span: SpanView) -> str | None:
    return time_of_event(span, "First Token Stream Event")


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
        Rule(_completions, prefixes=("llm.prompts", "llm.choices.", "llm.completions", "llm.responses")),
        sides((), ("thought",), scope="@arizeai/openinference-instrumentation-beeai"),
    ),
    parameters=(_parameters("embedding.invocation_parameters"),),
    first_token=(Rule(_first_token, (KIND,), events=True),),
    cost=(Rule(_cost_parts, tuple(_COST_PARTS)),),
    repeats=(Rule(_repeats, (KIND,), scope=_SMOLAGENTS),),
    model=("embedding.model_name", "reranker.model_name"),
    session_rules=(Rule(_session, (_METADATA,)),),
    model_rules=(Rule(_invoked_model, _INVOCATIONS),),
    consumed=frozenset(("input.value", "output.value")),
    consumed_prefixes=("llm.input_messages", "llm.output_messages"),
)

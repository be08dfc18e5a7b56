"""The Vercel AI SDK, majors 4 to 6 (scope `ai`); 7 speaks the GenAI conventions. Also prompt links and telemetry metadata."""

from __future__ import annotations

from typing import Any

from openfuse_collector.mapping.coercion import (
    BROKEN,
    json_text,
    meaningful,
    number,
    parse_json,
    spelled,
    text,
    truthy,
    whole_number,
    without_parts,
)
from openfuse_collector.mapping.rule import Content, ContentRule, MapRule, Rule, TypeRule, Vocabulary
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.timestamps import after
from openfuse_collector.mapping.vocabularies import langfuse

SCOPE = "ai"
OPERATION = "ai.operationId"
PROVIDER_METADATA = "ai.response.providerMetadata"
_FIRST_CHUNK = ("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk")

_GENERATES = (
    "ai.generateText.doGenerate",
    "ai.streamText.doStream",
    "ai.generateObject.doGenerate",
    "ai.streamObject.doStream",
)
_EMBEDS = ("ai.embedMany.doEmbed", "ai.embed.doEmbed")
_MODEL_KEYS = ("langfuse.observation.model.name", "ai.model.id", "gen_ai.request.model", "gen_ai.response.model")
_INPUTS = ("ai.prompt.messages", "ai.prompt", "ai.toolCall.args")
_OUTPUTS = (
    "ai.result.text",
    "ai.toolCall.result",
    "ai.response.object",
    "ai.result.object",
    "ai.response.toolCalls",
    "ai.result.toolCalls",
)


def operation_name(span: SpanView) -> str:
    """`function:operation`, the name a developer gave the call before what the SDK calls it."""
    function, operation = span.attributes.get("ai.telemetry.functionId"), text(span.attributes[OPERATION])
    return f"{text(function)}:{operation}" if function is not None and truthy(function) else operation


def _operation_is(span: SpanView, operations: tuple[str, ...]) -> bool:
    """`operation.name` begins with one (it carries the function id behind it), or `ai.operationId` is one."""
    name = span.attributes.get("operation.name")
    return (isinstance(name, str) and name.startswith(operations)) or span.attributes.get(OPERATION) in operations


def _model_call(span: SpanView) -> str | None:
    if not any(meaningful(span.attributes.get(key)) for key in _MODEL_KEYS):
        return None
    if _operation_is(span, _GENERATES):
        return "GENERATION"
    return "EMBEDDING" if _operation_is(span, _EMBEDS) else None


def _tool_call(span: SpanView) -> str | None:
    return "TOOL" if _operation_is(span, ("ai.toolCall",)) else None


MODEL_CALL: TypeRule = Rule(_model_call, (OPERATION, "operation.name"))
TOOL_CALL: TypeRule = Rule(_tool_call, (OPERATION, "operation.name"))


def _content(span: SpanView) -> Content:
    attributes = span.attributes
    asked = next((attributes[key] for key in _INPUTS if key in attributes), None)
    return Content(asked, _answer(attributes))


def _answer(attributes: dict[str, Any]) -> Any:
    said, calls = attributes.get("ai.response.text"), attributes.get("ai.response.toolCalls")
    if said is not None and calls is not None:
        return json_text({"role": "assistant", "content": said, "tool_calls": calls})
    if truthy(said):
        return said
    return next((attributes[key] for key in _OUTPUTS if key in attributes), None)


CONTENT: ContentRule = Rule(_content, (*_INPUTS, "ai.response.text", *_OUTPUTS), scope=SCOPE)

_SETTINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("maxSteps", ("ai.settings.maxSteps",)),
    ("toolChoice", ("ai.prompt.toolChoice",)),
    ("maxTokens", ("gen_ai.request.max_tokens",)),
    ("finishReason", ("gen_ai.response.finish_reasons", "gen_ai.finishReason")),
    ("system", ("gen_ai.system", "ai.model.provider")),
    ("maxRetries", ("ai.settings.maxRetries",)),
    ("mode", ("ai.settings.mode",)),
    ("temperature", ("gen_ai.request.temperature",)),
)
"""Model parameter <- attributes, first key present. Langfuse writes all of them, null where nothing is known."""


def _parameters(span: SpanView) -> dict[str, Any]:
    """The nine model parameters Langfuse shows for every AI SDK span, as text or null, and explicit ones over them."""
    found: dict[str, Any] = {name: _spelled(span.first_set(keys)) for name, keys in _SETTINGS}
    openai = _provider(span, "openai")
    tier = openai.get("serviceTier")
    found["service_tier"] = (
        tier if isinstance(tier, str) else _spelled(span.attributes.get("gen_ai.request.service_tier"))
    )
    return found | (langfuse.parameters(span) or {})


PARAMETERS: MapRule = Rule(_parameters, scope=SCOPE)


def _spelled(value: Any) -> str | None:
    return None if value is None else spelled(value)


def _provider(span: SpanView, name: str) -> dict[str, Any]:
    section = span.json_object(PROVIDER_METADATA).get(name)
    return section if isinstance(section, dict) else {}


_OPENAI_USAGE = {
    "cachedPromptTokens": "input_cached_tokens",
    "acceptedPredictionTokens": "accepted_prediction_tokens",
    "rejectedPredictionTokens": "rejected_prediction_tokens",
    "reasoningTokens": "output_reasoning_tokens",
}
_ANTHROPIC_USAGE = {
    "cache_creation_input_tokens": "input_cache_creation",
    "cache_read_input_tokens": "input_cached_tokens",
}
_ANTHROPIC_CREATION = {
    "ephemeral_5m_input_tokens": "input_cache_creation_5m",
    "ephemeral_1h_input_tokens": "input_cache_creation_1h",
}
_BEDROCK_USAGE = {
    "cacheReadInputTokens": "input_cache_read",
    "cacheWriteInputTokens": "input_cache_write",
    "cacheCreationInputTokens": "input_cache_creation",
}
_PART_OF_INPUT = (
    "input_cached_tokens",
    "input_cache_creation",
    "input_cache_creation_5m",
    "input_cache_creation_1h",
    "input_cache_read",
)
"""Counted in the prompt tokens already. Bedrock's cache writes are not."""


def _usage(span: SpanView) -> dict[str, Any] | None:
    if span.json(PROVIDER_METADATA) is BROKEN:
        return None
    usage: dict[str, Any] = {}
    for target, keys in _TOKENS:
        key = next((key for key in keys if key in span.attributes), None)
        if key is not None:
            _fill(usage, target, whole_number(span.attributes[key]))
    for key, target in (
        ("ai.usage.cachedInputTokens", "input_cached_tokens"),
        ("ai.usage.reasoningTokens", "output_reasoning_tokens"),
    ):
        _fill(usage, target, number(parse_json(span.attributes.get(key))))
    _fill_from_provider(span, usage)
    usage["input"] = without_parts(usage.get("input", 0), (usage.get(part, 0) for part in _PART_OF_INPUT))
    usage["output"] = without_parts(usage.get("output", 0), (usage.get("output_reasoning_tokens", 0),))
    return usage


_TOKENS = (
    ("input", ("gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens")),
    ("output", ("gen_ai.usage.completion_tokens", "gen_ai.usage.output_tokens")),
    ("total", ("ai.usage.tokens",)),
)


def _fill_from_provider(span: SpanView, usage: dict[str, Any]) -> None:
    """Counts only the provider's own metadata has; they never replace what is known."""
    _fill_all(usage, _provider(span, "openai"), _OPENAI_USAGE)
    anthropic = _section(_provider(span, "anthropic"), "usage")
    _fill_all(usage, anthropic, _ANTHROPIC_USAGE)
    creation = _section(anthropic, "cache_creation")
    _fill_all(usage, creation, _ANTHROPIC_CREATION)
    if creation and "input_cache_creation" in usage:
        by_age = (usage.get(target, 0) for target in _ANTHROPIC_CREATION.values())
        usage["input_cache_creation"] = without_parts(usage["input_cache_creation"], by_age)
    _fill_all(usage, _section(_provider(span, "bedrock"), "usage"), _BEDROCK_USAGE)


def _section(parent: dict[str, Any], name: str) -> dict[str, Any]:
    found = parent.get(name)
    return found if isinstance(found, dict) else {}


def _fill_all(usage: dict[str, Any], counts: dict[str, Any], targets: dict[str, str]) -> None:
    for key, target in targets.items():
        value = counts.get(key)
        _fill(usage, target, None if value is None else number(value))


def _fill(usage: dict[str, Any], target: str, value: int | float | None) -> None:
    if value is not None and target not in usage:
        usage[target] = value


USAGE: MapRule = Rule(_usage, scope=SCOPE)


def _first_token(span: SpanView) -> str | None:
    wait = number(span.first_set(_FIRST_CHUNK))
    return after(span.start, wait) if wait else None


FIRST_TOKEN: Rule[str] = Rule(_first_token, tuple(_FIRST_CHUNK))


def _embedding(span: SpanView) -> Content:
    """Embedded values and their vectors: JSON texts, of which `embedMany` has a list."""
    attributes = span.attributes
    return Content(
        _items(span, attributes.get("ai.value", attributes.get("ai.values"))),
        _items(span, attributes.get("ai.embedding", attributes.get("ai.embeddings"))),
    )


def _items(span: SpanView, written: Any) -> Any:
    return [span.parsed(item) for item in written] if isinstance(written, list) else span.parsed(written)


_EMBEDDING: ContentRule = Rule(_embedding, ("ai.value", "ai.values", "ai.embedding", "ai.embeddings"))


def _repeats(span: SpanView) -> bool:
    """`ai.generateText` sums up its `ai.generateText.doGenerate`, and so for every function there is."""
    operation = span.attributes[OPERATION]
    return isinstance(operation, str) and operation.count(".") == 1 and operation != "ai.toolCall"


VOCABULARY = Vocabulary(
    repeats=(Rule(_repeats, (OPERATION,), scope=SCOPE),),
    content=(_EMBEDDING,),
    consumed=frozenset((*_INPUTS, *_OUTPUTS, "ai.response.text")),
    consumed_prefixes=("ai.telemetry.metadata",),
)

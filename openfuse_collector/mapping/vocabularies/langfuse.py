"""Langfuse's own attributes, as its SDKs set them. Explicit, so they are asked first."""

from __future__ import annotations

import re
from typing import Any

from openfuse_collector.mapping.coercion import BROKEN, parsed, scalar_map, truthy
from openfuse_collector.mapping.rule import (
    Content,
    ContentRule,
    MapRule,
    Rule,
    TypeRule,
    Vocabulary,
    by_spelling,
    by_value,
)
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.timestamps import instant

OBSERVATION_INPUT, OBSERVATION_OUTPUT = "langfuse.observation.input", "langfuse.observation.output"
TRACE_INPUT, TRACE_OUTPUT = "langfuse.trace.input", "langfuse.trace.output"
USAGE_DETAILS, COST_DETAILS = "langfuse.observation.usage_details", "langfuse.observation.cost_details"
COMPLETION_START = "langfuse.observation.completion_start_time"
MODEL_PARAMETERS = "langfuse.observation.model.parameters"
PROMPT_LINK = "ai.telemetry.metadata.langfusePrompt"
"""JSON `{name, version}`, how the Vercel AI SDK carries a prompt link."""

_TYPES = {
    "span": "SPAN",
    "generation": "GENERATION",
    "event": "EVENT",
    "embedding": "EMBEDDING",
    "agent": "AGENT",
    "tool": "TOOL",
    "chain": "CHAIN",
    "retriever": "RETRIEVER",
    "guardrail": "GUARDRAIL",
    "evaluator": "EVALUATOR",
}

LEVELS = {
    **dict.fromkeys(("DEBUG", "TRACE", "VERBOSE"), "DEBUG"),
    **dict.fromkeys(("DEFAULT", "INFO", "LOG", "NOTICE", "OK", "SUCCESS"), "DEFAULT"),
    **dict.fromkeys(("WARNING", "WARN"), "WARNING"),
    **dict.fromkeys(("ERROR", "FATAL", "CRITICAL"), "ERROR"),
}
"""Spellings of `langfuse.observation.level`, trimmed and upper-cased."""

TYPE: TypeRule = by_value("langfuse.observation.type", _TYPES)

_GENERATION_ONLY = (
    "langfuse.observation.model.name",
    COST_DETAILS,
    USAGE_DETAILS,
    COMPLETION_START,
    MODEL_PARAMETERS,
    "langfuse.observation.prompt.name",
    "langfuse.observation.prompt.version",
)


def _mistyped_generation(span: SpanView) -> str | None:
    """Python SDK 3.0 to 3.3 called generations `span` when they were made by updating a span (Langfuse: mapper 0)."""
    around = span.surroundings
    if span.attributes.get("langfuse.observation.type") != "span" or around.scope_name != "langfuse-sdk":
        return None
    if around.resource.get("telemetry.sdk.language") != "python" or not _at_most_3_3(around.scope_version):
        return None
    return "GENERATION"


def _at_most_3_3(version: str) -> bool:
    numbers = re.match(r"(\d{1,9})(?:\.(\d{1,9}))?", version)
    return numbers is None or (int(numbers[1]), int(numbers[2] or 0)) <= (3, 3)


MISTYPED_GENERATION: TypeRule = Rule(_mistyped_generation, tuple(_GENERATION_ONLY), scope="langfuse-sdk")


def _observation_content(span: SpanView) -> Content:
    return Content(span.attributes.get(OBSERVATION_INPUT), span.attributes.get(OBSERVATION_OUTPUT))


def _trace_content(span: SpanView) -> Content:
    return Content(
        _trace_side(span.attributes, TRACE_INPUT, OBSERVATION_INPUT),
        _trace_side(span.attributes, TRACE_OUTPUT, OBSERVATION_OUTPUT),
    )


def _trace_side(attributes: dict[str, Any], own: str, fallback: str) -> Any:
    value = attributes.get(own)
    return value if value is not None and truthy(value) else attributes.get(fallback)


OBSERVATION_CONTENT: ContentRule = Rule(_observation_content, (OBSERVATION_INPUT, OBSERVATION_OUTPUT))
TRACE_CONTENT: ContentRule = Rule(_trace_content, (OBSERVATION_INPUT, OBSERVATION_OUTPUT, TRACE_INPUT, TRACE_OUTPUT))


def _usage(span: SpanView) -> dict[str, Any] | None:
    """Explicit usage decides even when it is unusable; only broken JSON lets other attributes speak."""
    if not truthy(span.attributes[USAGE_DETAILS]):
        return None
    usage = span.json(USAGE_DETAILS)
    if usage is BROKEN:
        span.note(USAGE_DETAILS, "not JSON")
        return None
    return usage if isinstance(usage, dict) else {}


def _cost(span: SpanView) -> dict[str, Any] | None:
    if not truthy(span.attributes[COST_DETAILS]):
        return None
    cost = span.json(COST_DETAILS)
    if cost is BROKEN:
        span.note(COST_DETAILS, "not JSON")
        return None
    return cost if isinstance(cost, dict) else {}


USAGE: MapRule = Rule(_usage, (USAGE_DETAILS,))
COST: MapRule = Rule(_cost, (COST_DETAILS,))


def parameters(span: SpanView) -> dict[str, Any] | None:
    """Parameters stated explicitly, None when there are none or they are no object."""
    written = span.attributes.get(MODEL_PARAMETERS)
    if written is None or not truthy(written):
        return None
    value = span.json(MODEL_PARAMETERS)
    if isinstance(value, dict | list):
        return scalar_map(value)
    span.note(MODEL_PARAMETERS, "not a JSON object")
    return None


PARAMETERS: MapRule = Rule(parameters, (MODEL_PARAMETERS,))


def _first_token(span: SpanView) -> str | None:
    """A point in time, as it is or JSON-quoted."""
    written = span.attributes[COMPLETION_START]
    moment = instant(written) or instant(parsed(written))
    if moment is None and written is not None:
        span.note(COMPLETION_START, "not a point in time")
    return moment


FIRST_TOKEN: Rule[str] = Rule(_first_token, (COMPLETION_START,))


def prompt_link(span: SpanView) -> dict[str, Any]:
    """The `{name, version}` of a prompt linked through Vercel telemetry metadata, empty when there is none."""
    return span.json_object(PROMPT_LINK)


VOCABULARY = Vocabulary(
    types=(by_spelling("langfuse.observation.type", _TYPES),),
    consumed=frozenset((OBSERVATION_INPUT, OBSERVATION_OUTPUT, TRACE_INPUT, TRACE_OUTPUT)),
    consumed_prefixes=("langfuse.trace.metadata", "langfuse.observation.metadata"),
)

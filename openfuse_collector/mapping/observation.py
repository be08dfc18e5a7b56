"""The observation a span becomes: its type and the body of its `<type>-create` event."""

from __future__ import annotations

from openfuse_collector.enrich.repeated import BELOW, REPEATED
from openfuse_collector.enrich.tool_calls import NESTED_CALLS, calls_in
from openfuse_collector.enrich.tool_definitions import move_tools
from openfuse_collector.mapping import metadata, parameters, status, usage
from openfuse_collector.mapping.coercion import parse_json
from openfuse_collector.mapping.common import Body, Common, put
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.timestamps import iso_nanoseconds
from openfuse_collector.mapping.vocabularies import gen_ai, openinference

EVENT_TYPES = {
    type_: f"{type_.lower()}-create"
    for type_ in (
        "SPAN",
        "GENERATION",
        "EVENT",
        "EMBEDDING",
        "AGENT",
        "TOOL",
        "CHAIN",
        "RETRIEVER",
        "GUARDRAIL",
        "EVALUATOR",
    )
}
"""Observation type -> Langfuse event type."""


def type_of(span: SpanView) -> str:
    """The observation type, SPAN when no vocabulary says more."""
    for rule in span.shape.types:
        type_ = rule.apply(span)
        if type_ is not None:
            return type_
    return "SPAN"


def observation_body(span: SpanView, common: Common) -> Body:
    """The body of the observation's event."""
    outcome = status.outcome_of(span)
    body: Body = {
        "id": span.span_id,
        "traceId": span.trace_id,
        "name": common.name,
        "startTime": common.timestamp,
        "endTime": iso_nanoseconds(span.end),
        "environment": common.environment,
        "level": outcome.level,
    }
    put(body, "parentObservationId", span.parent_id or None)
    put(body, "version", common.version)
    put(body, "statusMessage", outcome.message)
    if span.shape.first_token:
        put(body, "completionStartTime", status.completion_start_of(span))
    _put_model_use(body, span)
    _put_content_and_metadata(body, span, common)
    if outcome.exception:
        body["metadata"].setdefault(metadata.EXCEPTION, outcome.exception)
    return body


def _put_model_use(body: Body, span: SpanView) -> None:
    """Model, tokens and cost, unless the span only repeats the sum of those below it; parameters and prompt of any type."""
    shape = span.shape
    if shape.spends and span.attributes.get(gen_ai.OPERATION) not in gen_ai.AGENT_OPERATIONS:
        put(body, "model", parameters.model_of(span))
        put(body, "usageDetails", usage.usage_of(span) or None)
        put(body, "costDetails", usage.cost_of(span) or None)
    if shape.parameters or shape.request or shape.more_parameters:
        put(body, "modelParameters", parameters.parameters_of(span) or None)
    if shape.has_prompt:
        name, version = parameters.prompt_of(span)
        put(body, "promptName", name)
        put(body, "promptVersion", version)


def _put_content_and_metadata(body: Body, span: SpanView, common: Common) -> None:
    """Input, output and metadata; tool definitions change from metadata into the input."""
    details = metadata.observation_metadata(span, common.attributes)
    asked, answered = common.content
    if span.shape.tool_definitions or "tools" in details:
        moved = move_tools(details, asked)
        if moved is not None:
            details, asked = moved
    put(body, "input", asked)
    put(body, "output", answered)
    if span.shape.nested_calls and not calls_in(parse_json(answered)):
        details[NESTED_CALLS] = openinference.nested_calls(span)
    if span.shape.repeats and any(rule.apply(span) for rule in span.shape.repeats):
        details[REPEATED] = BELOW
    if span.notes:
        details.setdefault(metadata.NOTES, span.notes)
    body["metadata"] = details

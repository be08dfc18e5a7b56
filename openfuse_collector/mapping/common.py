"""What the observation and the trace events of one span have in common, worked out once for both."""

from __future__ import annotations

from typing import Any, NamedTuple

from openfuse_collector.mapping import rules
from openfuse_collector.mapping.coercion import text, truthy
from openfuse_collector.mapping.content import content_of
from openfuse_collector.mapping.environment import environment_of
from openfuse_collector.mapping.metadata import shown_attributes
from openfuse_collector.mapping.rule import Content
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.timestamps import iso_nanoseconds
from openfuse_collector.mapping.vocabularies import vercel

Body = dict[str, Any]
"""Body of an event. Fields without a value are left out, never null: a later event must not erase what an earlier one said."""


class Common(NamedTuple):
    """Values both events of a span need."""

    timestamp: str
    """Start of the span, all nine fraction digits."""
    environment: str
    version: str | None
    name: str
    content: Content
    attributes: dict[str, str] | None
    """What metadata shows of the attributes; None for spans of Langfuse's SDKs."""


def common_of(span: SpanView) -> Common:
    """The common values of a span."""
    return Common(
        iso_nanoseconds(span.start),
        environment_of(span),
        version_of(span),
        name_of(span),
        content_of(span, span.shape.content),
        shown_attributes(span),
    )


def put(body: Body, key: str, value: Any) -> None:
    """Set a field that has a value."""
    if value is not None:
        body[key] = value


def name_of(span: SpanView) -> str:
    """The name shown for a span: what libraries call the tool, message or operation, else the span's own name."""
    for key in span.shape.names:
        name = span.attributes[key]
        if name is not None and (truthy(name) or key in rules.EMPTY_NAMES):
            return text(name) if key != vercel.OPERATION else vercel.operation_name(span)
    return span.name


def version_of(span: SpanView) -> str | None:
    """The version of the application."""
    written = span.attributes.get("langfuse.version")
    value = span.surroundings.resource.get("service.version") if written is None else written
    return text(value) if value is not None and value != "" else None

"""How a span went: level, status message, and when its first token came."""

from __future__ import annotations

from typing import Any

from openfuse_collector.mapping.coercion import text, truthy
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.vocabularies import langfuse, livekit

_ERROR = 2
"""`STATUS_CODE_ERROR` of the OTLP span status."""


def is_error(span: SpanView) -> bool:
    """Whether the span's own status says it failed."""
    return span.source.status.code == _ERROR


def level_of(span: SpanView, failed: bool) -> str:
    """DEBUG, DEFAULT, WARNING or ERROR."""
    written = span.attributes.get("langfuse.observation.level")
    if written is not None:
        level = langfuse.LEVELS.get(written.strip().upper()) if isinstance(written, str) else None
        if level is not None:
            return level
        span.note("langfuse.observation.level", "unknown level")
    if failed:
        return "ERROR"
    if span.surroundings.scope_name == livekit.SCOPE and span.name in livekit.DEBUG_SPANS:
        return "DEBUG"
    return "DEFAULT"


def status_message_of(span: SpanView, failed: bool) -> str | None:
    """The message Langfuse shows; without one, what an exception event or `error.type` says (Langfuse ignores both)."""
    written = span.attributes.get("langfuse.observation.status_message")
    if written is not None:
        return text(written)
    if span.source.status.message:
        return span.source.status.message
    return _exception(span) or (_error_type(span.attributes) if failed else None)


def _exception(span: SpanView) -> str | None:
    """`type: message` of the last exception event."""
    if not span.shape.has_events:
        return None
    for event in reversed(span.events):
        if event.name == "exception":
            parts = (event.attributes.get("exception.type"), event.attributes.get("exception.message"))
            return ": ".join(text(part) for part in parts if part is not None and truthy(part)) or None
    return None


def _error_type(attributes: dict[str, Any]) -> str | None:
    for key in ("error.message", "error.type"):
        value = attributes.get(key)
        if value is not None and truthy(value):
            return text(value)
    return None


def completion_start_of(span: SpanView) -> str | None:
    """When the first token came, ISO-8601 with a zone."""
    for rule in span.shape.first_token:
        moment = rule.apply(span)
        if moment is not None:
            return moment
    return None

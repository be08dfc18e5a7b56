"""How a span went: level, status message, and when its first token came."""

from __future__ import annotations

from typing import Any, NamedTuple

from openfuse_collector.mapping.coercion import text, truthy
from openfuse_collector.mapping.rule import first_answer
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.vocabularies import langfuse, livekit

_UNSET, _ERROR = 0, 2
"""Codes of the OTLP span status."""
_EXCEPTION = ("type", "message", "stacktrace", "escaped")
"""What the conventions let an exception event say, each under `exception.`"""


_ERROR_KEYS = ("error.message", "exception.message", "gen_ai.framework.error.message", "error.type")
"""Attributes of a failed span that say why: OpenTelemetry, BeeAI, OpenLIT."""


class Outcome(NamedTuple):
    """How a span went."""

    level: str
    message: str | None
    exception: dict[str, Any] | None
    """What the last exception event says: type, message, stacktrace, escaped."""


def outcome_of(span: SpanView) -> Outcome:
    """Level, status message and exception. An exception means failure unless the status says that all is well."""
    code, said = _UNSET, ""
    if span.source.HasField("status"):
        status = span.source.status
        code, said = status.code, status.message
    exception = _exception(span) if span.shape.has_events else None
    failed = code == _ERROR or (code == _UNSET and exception is not None)
    return Outcome(level_of(span, failed), _message_of(span, failed, said, exception), exception)


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


def _message_of(span: SpanView, failed: bool, said: str, exception: dict[str, Any] | None) -> str | None:
    """The message Langfuse shows; without one, what an exception event or `error.type` says (Langfuse ignores both)."""
    written = span.attributes.get("langfuse.observation.status_message")
    if written is not None:
        return text(written)
    if said:
        return said
    if exception is not None:
        parts = (exception.get("type"), exception.get("message"))
        named = ": ".join(text(part) for part in parts if part is not None and truthy(part))
        if named:
            return named
    return _error_type(span.attributes) if failed else None


def _exception(span: SpanView) -> dict[str, Any] | None:
    """What the last exception event says."""
    for event in reversed(span.events):
        if event.name == "exception":
            named = ((part, event.attributes.get(f"exception.{part}")) for part in _EXCEPTION)
            return {part: value for part, value in named if value is not None}
    return None


def _error_type(attributes: dict[str, Any]) -> str | None:
    for key in _ERROR_KEYS:
        value = attributes.get(key)
        if value is not None and truthy(value):
            return text(value)
    return None


def completion_start_of(span: SpanView) -> str | None:
    """When the first token came, ISO-8601 with a zone."""
    return first_answer(span, span.shape.first_token)

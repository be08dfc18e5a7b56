"""OTLP requests for tests, from plain Python values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from openfuse_collector.events.event import Event
from openfuse_collector.mapping import Mapped, map_traces
from openfuse_collector.signals import Origin, Signal

TRACE, ROOT, CHILD = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
START, END = 1_795_000_000_123_456_789, 1_795_000_001_987_654_321
ORIGIN = Origin(Signal.TRACES, "otlp", 1_795_000_005_000_000_000)


def any_value(value: Any) -> AnyValue:
    """A plain value as OTLP has it; None is a value with nothing set."""
    if isinstance(value, AnyValue):
        return value
    made = AnyValue()
    if isinstance(value, bool):
        made.bool_value = value
    elif isinstance(value, str):
        made.string_value = value
    elif isinstance(value, int):
        made.int_value = value
    elif isinstance(value, float):
        made.double_value = value
    elif isinstance(value, bytes):
        made.bytes_value = value
    elif isinstance(value, dict):
        made.kvlist_value.SetInParent()
        for key, item in value.items():
            made.kvlist_value.values.add(key=key).value.CopyFrom(any_value(item))
    elif isinstance(value, list):
        made.array_value.SetInParent()
        made.array_value.values.extend(any_value(item) for item in value)
    return made


def add_attributes(target: Any, attributes: Mapping[str, Any]) -> None:
    """Attributes of a resource, scope, span or event."""
    for key, value in attributes.items():
        target.attributes.add(key=key).value.CopyFrom(any_value(value))


def span(
    attributes: Mapping[str, Any] | None = None,
    *,
    name: str = "work",
    span_id: str = ROOT,
    parent: str = "",
    trace_id: str = TRACE,
    start: int = START,
    end: int = END,
    events: Iterable[tuple[str, Mapping[str, Any]]] = (),
    error: str | None = None,
) -> Span:
    """One span; `error` is the message of status ERROR."""
    made = Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=bytes.fromhex(span_id),
        parent_span_id=bytes.fromhex(parent),
        name=name,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
    )
    add_attributes(made, attributes or {})
    for event_name, event_attributes in events:
        add_attributes(made.events.add(name=event_name), event_attributes)
    if error is not None:
        made.status.code, made.status.message = Status.STATUS_CODE_ERROR, error
    return made


def request(
    *spans: Span,
    scope: str = "test-scope",
    scope_version: str = "",
    resource: Mapping[str, Any] | None = None,
) -> ExportTraceServiceRequest:
    """Spans of one scope and resource."""
    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    add_attributes(group.resource, resource or {})
    scope_spans = group.scope_spans.add()
    scope_spans.scope.name, scope_spans.scope.version = scope, scope_version
    scope_spans.spans.extend(spans)
    return made


def mapped(*spans: Span, **surroundings: Any) -> Mapped:
    """What becomes of spans."""
    return map_traces(request(*spans, **surroundings), ORIGIN)


def observation(
    attributes: Mapping[str, Any] | None = None, *, of: Mapping[str, Any] | None = None, **around: Any
) -> Event:
    """The observation event of a root span with these attributes; `of` are further arguments of `span`."""
    events, failures = mapped(span(attributes, **(of or {})), **around)
    assert not failures
    (event,) = (event for event in events if event.entity.type == "observation")
    return event


def trace(attributes: Mapping[str, Any] | None = None, *, of: Mapping[str, Any] | None = None, **around: Any) -> Event:
    """The trace event of a root span with these attributes."""
    events, failures = mapped(span(attributes, **(of or {})), **around)
    assert not failures
    (event,) = (event for event in events if event.entity.type == "trace")
    return event


def singles(whole: ExportTraceServiceRequest) -> list[ExportTraceServiceRequest]:
    """One request per span."""
    made = []
    for group in whole.resource_spans:
        for scope_spans in group.scope_spans:
            for one in scope_spans.spans:
                alone = ExportTraceServiceRequest()
                target = alone.resource_spans.add(schema_url=group.schema_url)
                target.resource.CopyFrom(group.resource)
                scoped = target.scope_spans.add(schema_url=scope_spans.schema_url)
                scoped.scope.CopyFrom(scope_spans.scope)
                scoped.spans.add().CopyFrom(one)
                made.append(alone)
    return made


def substance(events: list[Event]) -> dict[str, tuple[Any, ...]]:
    """What does not depend on how spans were grouped into requests."""
    return {event.id: (event.entity, event.type, event.timestamp, event.body) for event in events if not event.shallow}

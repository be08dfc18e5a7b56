"""The fields of OTLP/JSON, one table per message (opentelemetry-proto: trace.proto, logs.proto, common.proto, resource.proto)."""

from __future__ import annotations

from typing import NamedTuple

from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from openfuse_collector.pdata import json_values as read
from openfuse_collector.pdata.json_fill import Table, attributes, many, one, value
from openfuse_collector.signals import Signal

_DROPPED_ATTRIBUTES = {"droppedAttributesCount": ("dropped_attributes_count", read.count)}

STATUS = Table(
    "status",
    {"message": ("message", read.text), "code": ("code", read.enum(Status.StatusCode.items(), "STATUS_CODE_"))},
    {},
)

EVENT = Table(
    "event",
    {"timeUnixNano": ("time_unix_nano", read.nanoseconds), "name": ("name", read.text), **_DROPPED_ATTRIBUTES},
    {"attributes": attributes},
    optional=("timeUnixNano",),
)

LINK = Table(
    "link",
    {
        "traceId": ("trace_id", read.id_bytes),
        "spanId": ("span_id", read.id_bytes),
        "traceState": ("trace_state", read.text),
        "flags": ("flags", read.count),
        **_DROPPED_ATTRIBUTES,
    },
    {"attributes": attributes},
)

SPAN = Table(
    "span",
    {
        "traceId": ("trace_id", read.id_bytes),
        "spanId": ("span_id", read.id_bytes),
        "parentSpanId": ("parent_span_id", read.id_bytes),
        "traceState": ("trace_state", read.text),
        "flags": ("flags", read.count),
        "name": ("name", read.text),
        "kind": ("kind", read.enum(Span.SpanKind.items(), "SPAN_KIND_")),
        "startTimeUnixNano": ("start_time_unix_nano", read.nanoseconds),
        "endTimeUnixNano": ("end_time_unix_nano", read.nanoseconds),
        "droppedEventsCount": ("dropped_events_count", read.count),
        "droppedLinksCount": ("dropped_links_count", read.count),
        **_DROPPED_ATTRIBUTES,
    },
    {
        "attributes": attributes,
        "events": many("events", EVENT),
        "links": many("links", LINK),
        "status": one("status", STATUS),
    },
    optional=("startTimeUnixNano", "endTimeUnixNano"),
)

LOG_RECORD = Table(
    "log record",
    {
        "timeUnixNano": ("time_unix_nano", read.nanoseconds),
        "observedTimeUnixNano": ("observed_time_unix_nano", read.nanoseconds),
        "severityNumber": ("severity_number", read.enum(SeverityNumber.items(), "SEVERITY_NUMBER_")),
        "severityText": ("severity_text", read.text),
        "eventName": ("event_name", read.text),
        "traceId": ("trace_id", read.id_bytes),
        "spanId": ("span_id", read.id_bytes),
        "flags": ("flags", read.count),
        **_DROPPED_ATTRIBUTES,
    },
    {"body": value("body"), "attributes": attributes},
    optional=("timeUnixNano", "observedTimeUnixNano", "severityNumber", "severityText"),
)

SCOPE = Table(
    "scope",
    {"name": ("name", read.text), "version": ("version", read.text), **_DROPPED_ATTRIBUTES},
    {"attributes": attributes},
)

RESOURCE = Table("resource", {**_DROPPED_ATTRIBUTES}, {"attributes": attributes})


class Tables(NamedTuple):
    """The messages of an export, from the outside in."""

    resources: Table
    scopes: Table
    item: Table


def _tables(resources: str, scopes: str, items: str, item: Table) -> Tables:
    schema = {"schemaUrl": ("schema_url", read.text)}
    return Tables(
        Table(resources, {**schema}, {"resource": one("resource", RESOURCE)}, elsewhere=(scopes,)),
        Table(scopes, {**schema}, {"scope": one("scope", SCOPE)}, elsewhere=(items,)),
        item,
    )


TABLES: dict[Signal, Tables] = {
    Signal.TRACES: _tables("resourceSpans", "scopeSpans", "spans", SPAN),
    Signal.LOGS: _tables("resourceLogs", "scopeLogs", "logRecords", LOG_RECORD),
}

"""The fields of OTLP/JSON traces, one table per message (opentelemetry-proto, trace.proto and common.proto)."""

from __future__ import annotations

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from openfuse_collector.pdata import json_values as read
from openfuse_collector.pdata.json_fill import Table, attributes, many, one

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

SCOPE = Table(
    "scope",
    {"name": ("name", read.text), "version": ("version", read.text), **_DROPPED_ATTRIBUTES},
    {"attributes": attributes},
)

RESOURCE = Table("resource", {**_DROPPED_ATTRIBUTES}, {"attributes": attributes})

SCOPE_SPANS = Table(
    "scopeSpans", {"schemaUrl": ("schema_url", read.text)}, {"scope": one("scope", SCOPE)}, elsewhere=("spans",)
)

RESOURCE_SPANS = Table(
    "resourceSpans",
    {"schemaUrl": ("schema_url", read.text)},
    {"resource": one("resource", RESOURCE)},
    elsewhere=("scopeSpans",),
)

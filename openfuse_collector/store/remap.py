"""Kept spans as the requests they came in, and what today's mapping makes of them."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.events.event import Entity, Event
from openfuse_collector.signals import Origin
from openfuse_collector.store.raw_spans import unpack
from openfuse_collector.store.rebuild import Remap, Report

KeptSpan = tuple[str, str, bytes, Origin]
"""(source, trace id, payload, origin)."""

Requests = dict[tuple[str, Origin], ExportTraceServiceRequest]
"""(trace id, origin) -> what one request said of one trace."""


def requests_of(spans: Iterable[KeptSpan], report: Report) -> tuple[Requests, set[str]]:
    """The spans of some traces as the requests they came in, oldest first, and their digests.

    Both matter to the shallow events of a trace: the mapping makes one per request, of which the connector lets pass what is news.
    """
    requests: Requests = {}
    sources: set[str] = set()
    for source, trace_id, payload, origin in spans:
        sources.add(source)
        try:
            span = unpack(payload)
        except ValueError as error:
            report.fail(f"span {source} of trace {trace_id}", error)
            continue
        requests.setdefault((trace_id, origin), ExportTraceServiceRequest()).resource_spans.append(span)
    report.spans += len(sources)
    return dict(sorted(requests.items(), key=lambda sent: sent[0][1].received_at)), sources


def mapped_events(requests: Requests, remap: Remap, report: Report) -> dict[Entity, list[Event]]:
    """The events of today's mapping, by entity."""
    mapped: dict[Entity, list[Event]] = {}
    for (_, origin), request in requests.items():
        events, unmapped = remap(request, origin)
        report.unmapped += unmapped
        for event in events:
            mapped.setdefault(event.entity, []).append(event)
    return mapped

"""The spans of a request as `raw_spans: true` keeps them (named by their digest, packed with scope and resource), and the way back."""

from __future__ import annotations

from collections.abc import Callable

import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.events.event import Event
from openfuse_collector.mapping import map_traces
from openfuse_collector.mapping.identity import resource_digest, scope_digest, span_digest
from openfuse_collector.signals import Origin, RawSpan
from openfuse_collector.store.raw_spans import LEVEL, packer
from openfuse_collector.store.sightings import Sightings

_NANOS = 1_000_000
_REMEMBERED = 10_000
"""Kept spans come trace by trace, so few traces are open at a time."""


def raw_spans(request: ExportTraceServiceRequest) -> list[RawSpan]:
    """Every span in the order of the request, those included that cannot be mapped."""
    compressor = zstandard.ZstdCompressor(level=LEVEL)
    kept: list[RawSpan] = []
    for group in request.resource_spans:
        resource = resource_digest(group)
        for scope_spans in group.scope_spans:
            scope = scope_digest(resource, scope_spans)
            pack = packer(group, scope_spans, compressor)
            for span in scope_spans.spans:
                kept.append(
                    RawSpan(
                        span_digest(scope, span),
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.start_time_unix_nano // _NANOS,
                        pack(span.SerializeToString()),
                    )
                )
    return kept


def remapping() -> Callable[[ExportTraceServiceRequest, Origin], tuple[list[Event], int]]:
    """Today's mapping as a function (request, origin) -> (events, spans not mapped), for kept spans, oldest request first.

    Shallow events that say nothing new are left out, as the connector does it.
    """
    sightings = Sightings(_REMEMBERED)

    def remap(request: ExportTraceServiceRequest, origin: Origin) -> tuple[list[Event], int]:
        events, failures = map_traces(request, origin)
        return [event for event in events if not event.shallow or sightings.is_news(event)], len(failures)

    return remap

"""Batches as text, one function per verbosity and signal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import text_format

from openfuse_collector.events.event import Event, encode_envelope
from openfuse_collector.pipeline.count import count_items
from openfuse_collector.signals import COUNTED, Batch, Item, Signal


def basic(batch: Batch) -> Iterator[str]:
    """One line per batch."""
    counted = f"{sum(map(count_items, batch.items))} {COUNTED[batch.signal].replace('_', ' ')}"
    yield f"{batch.pipeline}: {len(batch.items)} requests, {counted}, {batch.size} bytes"


def normal(batch: Batch) -> Iterator[str]:
    """The line of `basic`, then one per span, log record or event."""
    yield from basic(batch)
    for item in batch.items:
        for line in LINES[batch.signal](item.data):
            yield f"  {item.origin.project_id} {line}"


def detailed(batch: Batch) -> Iterator[str]:
    """Every field of everything."""
    yield from basic(batch)
    for item in batch.items:
        yield f"  request at {item.position}: {_origin(item)}"
        yield from _fields(batch.signal, item.data)


VERBOSITIES: dict[str, Callable[[Batch], Iterator[str]]] = {"basic": basic, "normal": normal, "detailed": detailed}


def _origin(item: Item) -> str:
    origin = item.origin
    sender = f"sdk {origin.sdk_name} {origin.sdk_version}"
    return f"project {origin.project_id}, receiver {origin.receiver}, received at {origin.received_at} ns, {sender}"


def _fields(signal: Signal, data: Any) -> Iterator[str]:
    if signal is Signal.EVENTS:
        for event in data:
            yield f"    {encode_envelope(event).decode()}"
        return
    for line in text_format.MessageToString(data, as_utf8=True).splitlines():
        yield f"    {line}"


def _spans(request: Any) -> Iterator[str]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                milliseconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
                yield f"{span.trace_id.hex()} {span.span_id.hex()} {scope.scope.name} {span.name!r} {milliseconds:.1f}ms"


def _log_records(request: Any) -> Iterator[str]:
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield f"{record.trace_id.hex()} {record.span_id.hex()} {scope.scope.name} {record.event_name or record.severity_text!r}"


def _events(events: list[Event]) -> Iterator[str]:
    for event in events:
        yield f"{event.entity.type} {event.entity.id} {event.type} {event.body.get('name', '')!r}"


LINES: dict[Signal, Callable[[Any], Iterator[str]]] = {
    Signal.TRACES: _spans,
    Signal.LOGS: _log_records,
    Signal.EVENTS: _events,
}

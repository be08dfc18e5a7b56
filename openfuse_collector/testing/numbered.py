"""Numbered data: one span, log record or event per number, and the numbers read back from whatever became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.events.event import Entity, Event
from openfuse_collector.signals import Batch, Delivery, Item, Origin, Signal

RECEIVED_AT = 1_795_000_000_000_000_000
"""Epoch nanoseconds at which everything numbered was received."""
TRACE_ID = b"contract-check-1"


def spans(numbers: Iterable[int]) -> ExportTraceServiceRequest:
    """A request with one root span per number, which is its span id (1 or more)."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in numbers:
        span = scope.spans.add(name=f"item {number}", trace_id=TRACE_ID, span_id=number.to_bytes(8, "big"))
        span.start_time_unix_nano, span.end_time_unix_nano = RECEIVED_AT, RECEIVED_AT + number
        span.attributes.add(key="gen_ai.request.model").value.string_value = "model"
    return request


def log_records(numbers: Iterable[int]) -> ExportLogsServiceRequest:
    """A request with one record of GenAI content per number, which is the id of the span it belongs to."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for number in numbers:
        record = scope.log_records.add(time_unix_nano=RECEIVED_AT + number, event_name="gen_ai.user.message")
        record.trace_id, record.span_id = TRACE_ID, number.to_bytes(8, "big")
        record.body.kvlist_value.values.add(key="content").value.string_value = f"item {number}"
    return request


def events(numbers: Iterable[int]) -> list[Event]:
    """One `span-create` per number, which is the observation's id in hexadecimal."""
    return [_event(number) for number in numbers]


def data(signal: Signal, numbers: Sequence[int]) -> Any:
    """What an item of that signal holds, with these numbers."""
    make = {Signal.TRACES: spans, Signal.LOGS: log_records, Signal.EVENTS: events}
    return make[signal](numbers)


def batch(signal: Signal, requests: Sequence[Sequence[int]], delivery: Delivery | None = None) -> Batch:
    """A batch with one item per list of numbers, as a pipeline called `contract` would read it from the journal."""
    origin = Origin(signal, "contract", RECEIVED_AT)
    items = [Item(origin, numbers[0], data(signal, numbers), 100 * len(numbers)) for numbers in requests]
    return Batch(signal, items, "contract", None, delivery or Delivery())


def numbers_in(held: Any) -> list[int]:
    """The numbers in an item's data, of whichever signal; traces made up for spans have none."""
    if isinstance(held, list):
        return [int(event.entity.id, 16) for event in held if event.entity.type == "observation"]
    if isinstance(held, ExportTraceServiceRequest):
        scopes = [scope for group in held.resource_spans for scope in group.scope_spans]
        return [int.from_bytes(span.span_id, "big") for scope in scopes for span in scope.spans]
    records = [scope.log_records for group in held.resource_logs for scope in group.scope_logs]
    return [int.from_bytes(record.span_id, "big") for some in records for record in some]


def numbers_of(some: Batch) -> list[int]:
    """The numbers in a batch."""
    return [number for item in some.items for number in numbers_in(item.data)]


def _event(number: int) -> Event:
    id = f"{number:016x}"
    body = {"id": id, "traceId": TRACE_ID.hex(), "name": f"item {number}", "startTime": "2026-11-21T06:00:00Z"}
    entity = Entity("default", "observation", id)
    return Event(entity, f"event {number}", "span-create", "2026-11-21T06:00:00Z", body, RECEIVED_AT // 1_000_000)

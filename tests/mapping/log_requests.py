"""OTLP logs requests for tests, from plain Python values, and the observation rows that follow from events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from openfuse_collector.enrich import enrich
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.rows import row
from openfuse_collector.signals import Origin, Signal
from tests.mapping.span_requests import ROOT, START, TRACE, add_attributes, any_value

LOGS_ORIGIN = Origin(Signal.LOGS, "otlp", 1_795_000_006_000_000_000)


def record(
    name: str = "",
    body: Any = None,
    attributes: Mapping[str, Any] | None = None,
    *,
    time: int = START + 1000,
    observed: int = 0,
    span_id: str = ROOT,
    trace_id: str = TRACE,
) -> LogRecord:
    """One log record; a body of None is not set."""
    made = LogRecord(
        event_name=name,
        time_unix_nano=time,
        observed_time_unix_nano=observed,
        trace_id=bytes.fromhex(trace_id),
        span_id=bytes.fromhex(span_id),
    )
    if body is not None:
        made.body.CopyFrom(any_value(body))
    add_attributes(made, attributes or {})
    return made


def logs_request(
    *records: LogRecord, scope: str = "test-scope", resource: Mapping[str, Any] | None = None
) -> ExportLogsServiceRequest:
    """Records of one scope and resource."""
    made = ExportLogsServiceRequest()
    group = made.resource_logs.add()
    group.resource.SetInParent()
    add_attributes(group.resource, resource or {})
    scope_logs = group.scope_logs.add()
    scope_logs.scope.name = scope
    scope_logs.log_records.extend(records)
    return made


def rows_of(events: Iterable[Event], restarts: frozenset[int] = frozenset()) -> dict[Entity, dict[str, Any]]:
    """The rows a store holds after these events in this order, its memory emptied before those numbered in `restarts`."""
    history: dict[Entity, list[Event]] = defaultdict(list)
    known: dict[Entity, Accumulator] = {}
    for number, event in enumerate(events):
        if number in restarts:
            known = {entity: Accumulator.of(history[entity]) for entity in history}
        history[event.entity].append(event)
        known.setdefault(event.entity, Accumulator()).apply(event)
    records = ((entity, accumulator.record()) for entity, accumulator in known.items())
    return {entity: dict(row(entity.type, enrich(entity.type, found))) for entity, found in records if found}

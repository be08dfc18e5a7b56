"""An OTLP logs request as Langfuse events: records that carry GenAI content join the observation of their span.

A record becomes an update that says nothing but `metadata."gen_ai.log_events".<time>-<digest>`; what input and output follow
from it is worked out after the fold (`enrich.log_events`), so it does not matter whether the span or its logs come first.
Pure (invariant I7, docs/architecture.md). A record that cannot be mapped leaves its neighbours alone (I5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from openfuse_collector.enrich.log_events import LOG_EVENTS, log_event_key
from openfuse_collector.enrich.log_vocabulary import (
    CONTENT_ATTRIBUTES,
    CONTENT_NAMES,
    NAME_ATTRIBUTES,
    holds_content,
)
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.mapping.anyvalue import attributes_of, plain
from openfuse_collector.mapping.identity import MAPPING_VERSION, event_id, record_digest, resource_digest, scope_digest
from openfuse_collector.mapping.remarks import UPDATE
from openfuse_collector.mapping.spans import Failure
from openfuse_collector.mapping.timestamps import LATEST, iso_nanoseconds
from openfuse_collector.signals import Origin

_VERSION = str(MAPPING_VERSION)
_CONSUMED = frozenset(NAME_ATTRIBUTES)


class MappedLogs(NamedTuple):
    """What became of a request."""

    events: list[Event]
    """One per record that joins an observation; never of traces."""
    failures: list[Failure]
    filtered: int
    """Records that belong to no span or hold no GenAI content. They are not stored."""


def map_logs(request: ExportLogsServiceRequest, origin: Origin) -> MappedLogs:
    """Events of all records of a request that carry GenAI content of a span."""
    events: list[Event] = []
    failures: list[Failure] = []
    records = 0
    counts: dict[Entity, int] = {}
    for path, record, scope in _records(request):
        records += 1
        try:
            if not _may_hold_content(record):
                continue
            entry = _entry(record)
            if entry is not None:
                events.append(_event(record, entry, scope.digest, origin, counts))
        except Exception as error:
            failures.append(Failure(path, f"{type(error).__name__}: {error}", scope.alone(record)))
    return MappedLogs(events, failures, records - len(events) - len(failures))


class _Scope:
    """The surroundings of some records. Most records of an application are not for us, so the digest waits for the first."""

    def __init__(self, resource_logs: ResourceLogs, scope_logs: ScopeLogs) -> None:
        self._resource_logs = resource_logs
        self._scope_logs = scope_logs
        self._digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        """Names scope and resource."""
        if self._digest is None:
            self._digest = scope_digest(resource_digest(self._resource_logs), self._scope_logs)
        return self._digest

    def alone(self, record: LogRecord) -> ExportLogsServiceRequest:
        """A request of this record only."""
        group = ResourceLogs(resource=self._resource_logs.resource, schema_url=self._resource_logs.schema_url)
        scope = self._scope_logs
        group.scope_logs.add(scope=scope.scope, schema_url=scope.schema_url, log_records=[record])
        return ExportLogsServiceRequest(resource_logs=[group])


def _records(request: ExportLogsServiceRequest) -> Iterator[tuple[str, LogRecord, _Scope]]:
    for r, resource_logs in enumerate(request.resource_logs):
        for s, scope_logs in enumerate(resource_logs.scope_logs):
            scope = _Scope(resource_logs, scope_logs)
            for i, record in enumerate(scope_logs.log_records):
                yield f"resourceLogs[{r}].scopeLogs[{s}].logRecords[{i}]", record, scope


def _may_hold_content(record: LogRecord) -> bool:
    """A look at ids, names and keys, before anything is decoded: an application's other logs pass here by the thousand."""
    if not any(record.span_id) or not any(record.trace_id):
        return False
    if record.event_name in CONTENT_NAMES:
        return True
    for pair in record.attributes:
        key = pair.key
        if key in CONTENT_ATTRIBUTES or (key in _CONSUMED and pair.value.string_value in CONTENT_NAMES):
            return True
    return False


def _entry(record: LogRecord) -> dict[str, Any] | None:
    """The record as metadata keeps it, None when its content was not captured."""
    attributes = attributes_of(record.attributes)
    names = (record.event_name, *(attributes.get(key) for key in NAME_ATTRIBUTES))
    name = next((name for name in names if name and isinstance(name, str)), "")
    body = plain(record.body)
    if not holds_content(name, body, attributes):
        return None
    rest = {key: value for key, value in attributes.items() if key not in _CONSUMED}
    entry = {"name": name, "body": body, "attributes": rest}
    return {part: value for part, value in entry.items() if value not in (None, "", {})}


def _event(record: LogRecord, entry: dict[str, Any], scope: bytes, origin: Origin, counts: dict[Entity, int]) -> Event:
    time = _time(record)
    digest = record_digest(scope, record)
    id_ = record.span_id.hex()
    entity = Entity(origin.project_id, "observation", id_)
    index = counts.get(entity, 0)
    counts[entity] = index + 1
    return Event(
        entity=entity,
        id=event_id(origin.project_id, "observation", id_, digest, _VERSION),
        type=UPDATE,
        timestamp=iso_nanoseconds(time or origin.received_at),
        body={
            "id": id_,
            "traceId": record.trace_id.hex(),
            "metadata": {LOG_EVENTS: {log_event_key(time, digest): entry}},
        },
        ingested_at=origin.received_at // 1_000_000 + index,
        metadata={"source": digest, "mapping": MAPPING_VERSION},
    )


def _time(record: LogRecord) -> int:
    """When it happened, else when the SDK saw it, else 0: neither is known."""
    for time in (record.time_unix_nano, record.observed_time_unix_nano):
        if 0 < time <= LATEST:
            return time
    return 0

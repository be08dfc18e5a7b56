"""Events with characters that mean something to SQL in every field there is, names of projects and entities included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from openfuse_collector.enrich import enrich
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.reference import fold
from openfuse_collector.events.rows import row
from tests.builders import RECEIVED_AT

EVIL = "'; DROP TABLE traces; -- \" ` \\' \\\\ %_ /* ? $1 :x {} [] \n\r\t\x1a ' OR '1'='1 \u2028 é😀 \\"
PROJECT = f"p{EVIL}"
EARLY, LATE = "2026-11-21T06:00:00Z", "2026-11-22T07:00:00Z"

_FIELDS: dict[str, tuple[str, ...]] = {
    "trace": ("name", "userId", "sessionId", "release", "version", "environment"),
    "observation": (
        *("name", "model", "statusMessage", "version", "environment", "parentObservationId", "promptName", "level"),
        *("completionStartTime",),
    ),
    "score": ("name", "stringValue", "comment", "environment", "configId", "queueId", "sessionId", "observationId"),
}
_TYPES = {"trace": "trace-create", "observation": "generation-create", "score": "score-create"}


def evil_events(time: str = LATE, turn: int = 0) -> list[Event]:
    """One of each kind. `time` is when the entity was: an earlier one moves its row."""
    return [_event(kind, time, turn) for kind in _TYPES]


def expected(events: Sequence[Event]) -> dict[str, dict[str, Any]]:
    """Entity type -> the row the fold of all events gives."""
    groups: dict[Entity, list[Event]] = defaultdict(list)
    for event in events:
        groups[event.entity].append(event)
    return {entity.type: row(entity.type, enrich(entity.type, fold(group) or {})) for entity, group in groups.items()}


def _event(kind: str, time: str, turn: int) -> Event:
    body: dict[str, Any] = {field: f"{field} {turn} {EVIL}" for field in _FIELDS[kind]}
    body |= {"id": f"{kind} {EVIL}", "traceId": f"trace {EVIL}", "timestamp": time, "startTime": time}
    body |= {"input": {EVIL: [EVIL]}, "output": EVIL, "tags": [EVIL], "metadata": {EVIL: {EVIL: EVIL}}}
    body |= {
        "usageDetails": {EVIL: 1, "input": 2},
        "modelParameters": {EVIL: EVIL},
        "dataType": "CATEGORICAL",
        "value": EVIL,
    }
    entity = Entity(PROJECT, kind, body["id"])
    arrival = RECEIVED_AT // 1_000_000 + turn
    return Event(entity, f"{kind} event {turn} {EVIL}", _TYPES[kind], time, body, arrival, {EVIL: EVIL})

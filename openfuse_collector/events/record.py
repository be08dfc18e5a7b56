"""From what the events of an entity say to its record: defaults, derived ids, consistency between columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid5

from openfuse_collector.events.columns import DEFAULTS, OTHERWISE, TIME_COLUMN
from openfuse_collector.events.event import Entity
from openfuse_collector.events.order import millis_or_none
from openfuse_collector.events.text import clean
from openfuse_collector.events.writes import Columns

Record = dict[str, Any]
"""Column -> value. Times are epoch milliseconds; metadata is nested, maps are maps, tags a sorted list."""

_TRACELESS = UUID("5d0b4c5e-4f3a-5c58-9d6e-1f0d5f1d7a31")


def finish(entity: Entity, columns: Columns, first: str, created_at: int, updated_at: int) -> Record:
    """The record of an entity from its merged columns.

    `first` is the instant of the lowest event: the time of an entity for which no event states one. Takes over nested
    values as they are and never changes them; the record itself belongs to the caller.
    """
    record = DEFAULTS[entity.type].copy()
    record["created_at"], record["updated_at"] = created_at, updated_at
    record.update(columns)
    record["project_id"], record["id"] = entity.project_id, entity.id
    time_column = TIME_COLUMN[entity.type]
    if record[time_column] is None:
        time = millis_or_none(first + "Z")
        record[time_column] = created_at if time is None else time
    _FINISH[entity.type](entity, record, columns)
    return record


def _trace(entity: Entity, record: Record, stated: Columns) -> None:
    for column, otherwise in OTHERWISE.items():
        known = record.pop(otherwise, None)
        if column not in stated:  # what a client cleared is stated: its value is None
            record[column] = known
    record["tags"] = sorted_tags(record["tags"] or ())
    if record["metadata"] is None:
        record["metadata"] = {}


def _observation(entity: Entity, record: Record, stated: Columns) -> None:
    if record["trace_id"] is None:
        record["trace_id"] = traceless_id(entity)
    if record["level"] is None:
        record["level"] = "DEFAULT"
    end = record["end_time"]
    if end is not None and end < record["start_time"]:
        record["end_time"] = record["start_time"]
    if record["metadata"] is None:
        record["metadata"] = {}
    record["usage_details"] = record["provided_usage_details"] = record["provided_usage_details"] or {}
    record["cost_details"] = record["provided_cost_details"] = record["provided_cost_details"] or {}
    record["tool_definitions"], record["tool_calls"], record["tool_call_names"] = {}, [], []


def _score(entity: Entity, record: Record, stated: Columns) -> None:
    if record["metadata"] is None:
        record["metadata"] = {}


def _nothing(entity: Entity, record: Record, stated: Columns) -> None:
    pass


_FINISH: dict[str, Callable[[Entity, Record, Columns], None]] = {
    "trace": _trace,
    "observation": _observation,
    "score": _score,
    "dataset_run_item": _nothing,
}


def traceless_id(entity: Entity) -> str:
    """The trace id of an observation that never names one: the same on every rebuild (Langfuse rolls dice)."""
    return str(uuid5(_TRACELESS, f"{entity.project_id}\n{entity.id}"))


def sorted_tags(tags: Any) -> list[str]:
    """Each tag once, as stores can hold it, ordered by UTF-16 code unit as JavaScript orders strings."""
    if not tags:
        return []
    unique = set(map(clean, tags))
    if all(map(str.isascii, unique)):
        return sorted(unique)
    return sorted(unique, key=lambda tag: tag.encode("utf-16-be", "surrogatepass"))

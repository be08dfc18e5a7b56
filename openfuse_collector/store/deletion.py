"""Deletion as every store does it: tombstones, and which entities belong to a trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.event import ERASED, REMARK, TOMBSTONE, UNREADABLE, Entity, Event
from openfuse_collector.events.instants import millis_text
from openfuse_collector.events.source import source_of
from openfuse_collector.events.text import clean

OF_TRACE = ("observation", "score", "dataset_run_item")
"""Entity types that name a trace they belong to, in a column of their rows and in `traceId` of their events."""

BEYOND_REACH = (
    "journals keep requests as they came until every pipeline is past them (and for journal.retain), "
    "dead letters until they are deleted, backups for as long as you keep them"
)
"""Where payloads are that no store can erase, as a person is told."""


def tombstone(entity: Entity, history: Sequence[Event], now: int) -> Event:
    """The event that deletes an entity, as Openfuse writes it. `now` is epoch milliseconds.

    It is never older than what the entity has received, wherever clocks stand: at the same millisecond it wins.
    """
    at = max((now, *(event.ingested_at for event in history)))
    stamp = millis_text(at)
    return Event(entity, f"tombstone-{entity.id}-{at}", TOMBSTONE, stamp, {"id": entity.id, "deletedAt": stamp}, at)


def names_trace(event: Event, trace_id: str) -> bool:
    """Whether the event says that its entity is this trace, or part of it."""
    return event.entity.id == trace_id if event.entity.type == "trace" else event.body.get("traceId") == trace_id


def is_elsewhere(events: Sequence[Event], trace_id: str) -> bool:
    """Whether an entity belongs to another trace although one of its events names this one.

    `trace_id` of an observation or score is what the first event says of it, of a run item what the last one says (docs/fold.md).
    Tombstones aside: what is deleted is still of its trace, and its payloads are erased with no other. Nor does what cannot be read
    say anything. A row of the trace is believed where no event names it: the one that did may have expired.
    """
    if not any(names_trace(event, trace_id) for event in events):
        return False
    record = Accumulator.of(event for event in events if event.type not in (TOMBSTONE, UNREADABLE)).record()
    return record is not None and clean(record.get("trace_id") or "") != trace_id


def erased(event: Event) -> Event:
    """The event without its payload: still known when it is sent again, still of its trace, its source and its place in the order.

    A shallow event stays one, and so does a remark: alone it must not make an observation.
    """
    body: dict[str, Any] = {"id": event.entity.id}
    if isinstance(trace_id := event.body.get("traceId"), str):
        body["traceId"] = trace_id
    metadata: dict[str, Any] = {ERASED: True}
    if (source := source_of(event)) is not None:
        metadata |= {"source": source.digest, "mapping": source.mapping}
    if event.shallow:
        metadata["shallow"] = True
    if event.remark:
        metadata[REMARK] = True
    # Nothing that could not be read is left of one that was unreadable.
    type_ = f"{event.entity.type}-update" if event.type == UNREADABLE else event.type
    return structs.replace(event, type=type_, body=body, metadata=metadata)


def is_erased(event: Event) -> bool:
    """Whether there is no payload left to erase; tombstones have none. Told by the event itself: whoever sends it may write any mark."""
    return event.type == TOMBSTONE or event == erased(event)

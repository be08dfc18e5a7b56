"""How far back a project has rows: entities without news since have none, whatever their own events say.

A project that was deleted has a tombstone that counts for all of its entities. A store that cannot forget single raw events says in the
same way how far it has expired them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.deletion import NEVER
from openfuse_collector.events.event import UNREADABLE, Event
from openfuse_collector.events.record import Record


class Horizon(NamedTuple):
    """Of one project, in epoch milliseconds."""

    deleted: int = NEVER
    """The project's tombstone: what was news then or before is deleted."""
    expired: int = NEVER
    """Entities that received nothing later than this have expired."""


OPEN = Horizon()
"""Of a project that was never deleted and keeps everything."""

Horizons = Mapping[str, Horizon]
"""By project id; projects that are not named have `OPEN`."""


def record_within(accumulator: Accumulator, horizon: Horizon) -> Record | None:
    """The record of an entity; beyond the horizon it is a deleted one, or None where deleted ones are. Raises as `record` does."""
    if not accumulator.readable and accumulator.last_received <= horizon.expired:
        return None
    record = accumulator.record(horizon.deleted)
    if record is None or record["updated_at"] > horizon.expired:
        return record
    record["is_deleted"] = True
    return record


def is_alive(events: Iterable[Event], horizon: Horizon) -> bool:
    """Whether an entity with these events has a row, as far as they can be read."""
    record = record_within(Accumulator.of(event for event in events if event.type != UNREADABLE), horizon)
    return record is not None and not record["is_deleted"]


def is_gone(events: Iterable[Event], horizon: Horizon) -> bool:
    """Whether an entity with these events has no row, whatever those say that cannot be read."""
    try:
        record = record_within(Accumulator.of(events), horizon)
    except ValueError:
        return False
    return record is None or record["is_deleted"]

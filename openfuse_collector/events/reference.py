"""The fold, spelled out: the events of one entity, sorted, one laid over the other. What the accumulator must equal."""

from __future__ import annotations

from collections.abc import Iterable

from openfuse_collector.events.columns import MERGES, Merge
from openfuse_collector.events.deletion import NEVER, last_stated
from openfuse_collector.events.event import TOMBSTONE, Event
from openfuse_collector.events.metadata import merged
from openfuse_collector.events.order import order_key
from openfuse_collector.events.record import Record, finish
from openfuse_collector.events.source import source_of
from openfuse_collector.events.writes import Columns, writes


def fold(events: Iterable[Event], deleted_at: int = NEVER) -> Record | None:
    """The record of the entity all events belong to, None when there is nothing to store. `deleted_at` is the project's tombstone.

    Depends on the set of events alone: not on their order, not on how often each of them is there.
    """
    distinct = deduplicated(events)
    live = [event for event in distinct if event.type != TOMBSTONE]
    said = [(event, columns) for event in effective(live) if (columns := writes(event)) is not None]
    if all(event.remark for event, _ in said):
        return None
    said.sort(key=lambda pair: order_key(pair[0]))
    state: Columns = {}
    for event, columns in said:
        overwrite(state, columns, MERGES[event.entity.type])
    arrivals = [event.ingested_at for event in distinct]
    first = said[0][0]
    record = finish(first.entity, state, order_key(first)[0], min(arrivals), max(arrivals))
    deleted = max((deleted_at, *(event.ingested_at for event in distinct if event.type == TOMBSTONE)))
    if deleted != NEVER and deleted >= last_stated(live):
        if first.entity.type == "dataset_run_item":
            return None
        record["is_deleted"] = True
    return record


def deduplicated(events: Iterable[Event]) -> list[Event]:
    """One event per envelope id: the copy that was received first."""
    first: dict[str, Event] = {}
    for event in events:
        known = first.get(event.id)
        if known is None or event.ingested_at < known.ingested_at:
            first[event.id] = event
    return list(first.values())


def effective(live: list[Event]) -> list[Event]:
    """The events that count: of one source the highest mapping only, shallow ones only when there are no others."""
    highest: dict[str, int] = {}
    for event in live:
        if (source := source_of(event)) is not None:
            highest[source.digest] = max(source.mapping, highest.get(source.digest, source.mapping))
    current = [e for e in live if (source := source_of(e)) is None or source.mapping == highest[source.digest]]
    return [event for event in current if not event.shallow] or current


def overwrite(state: Columns, columns: Columns, merges: dict[str, Merge]) -> None:
    """Lay the columns of a newer event over the state of the older ones."""
    for column, value in columns.items():
        merge = merges.get(column)
        if column not in state:
            state[column] = value
        elif merge is Merge.FIRST:
            continue
        elif merge is Merge.UNION:
            state[column] = [*state[column], *value]
        elif merge is Merge.DEEP:
            state[column] = merged(state[column], value)
        elif merge is Merge.KEEP and not value:
            continue
        else:
            state[column] = value

"""How entities stand in the store, in few numbers: which events there are, and where rows and side rows are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from openfuse_collector.events.accumulator import Extent
from openfuse_collector.events.columns import COLUMNS, TIME_COLUMN
from openfuse_collector.events.event import Entity
from openfuse_collector.exporters.greptimedb.ddl import literal, quoted, select
from openfuse_collector.exporters.greptimedb.probe import Ask, parts_of, these
from openfuse_collector.exporters.greptimedb.rows import PROJECTIONS
from openfuse_collector.exporters.greptimedb.schema import RAW_EVENTS
from openfuse_collector.exporters.greptimedb.side_tables import SIDE_TABLES
from openfuse_collector.store.present import Present


class Place(NamedTuple):
    """Where the projection has rows of one entity."""

    times: frozenset[int] = frozenset()
    """Epoch milliseconds."""
    generation: int = 0
    """The largest of them."""


def extents(ask: Ask, entities: Sequence[Entity]) -> dict[Entity, Extent]:
    """Which raw events there are, without reading them. Entities without any are absent."""
    asked = list(parts_of(entities))
    found: dict[Entity, Extent] = {}
    for (_, _, named), rows in zip(asked, ask([_extent_query(*part) for part in asked]), strict=True):
        for id, events, received in rows:
            if id in named:
                found[named[id]] = Extent(int(events), int(received))
    return found


def places(ask: Ask, entities: Sequence[Entity]) -> dict[Entity, Place]:
    """Where the projections have rows. Entities without any are absent."""
    asked = [part for part in parts_of(entities) if part[1] in PROJECTIONS]
    found: dict[Entity, Place] = {}
    for (_, _, named), rows in zip(asked, ask([_place_query(*part) for part in asked]), strict=True):
        for id, time, generation in rows:
            if id in named:
                times, largest = found.get(named[id], Place())
                found[named[id]] = Place(times | {time}, max(largest, generation or 0))
    return found


def everywhere(ask: Ask, entities: Sequence[Entity], present: Mapping[Entity, Present]) -> dict[Entity, Present]:
    """`present`, and the times and generations of side rows with it: what has to go, and what a new generation has to be above."""
    found = dict(present)
    asked = [(side.name, part) for part in parts_of(entities) for side in SIDE_TABLES.get(part[1], ())]
    queries = [_side_query(table, project_id, ids) for table, (project_id, _, ids) in asked]
    for (_, (_, _, named)), rows in zip(asked, ask(queries), strict=True):
        for id, time, generation in rows:
            if id in named:
                there = found.get(named[id], Present(frozenset(), 0, 0))
                largest = max(there.generation, generation or 0)
                found[named[id]] = there._replace(times=there.times | {time}, generation=largest)
    return found


def _extent_query(project_id: str, entity_type: str, ids: Iterable[str]) -> str:
    """Of each event its first copy, then their number and the sum of their times."""
    where = f"`entity_type` = {literal(entity_type)} AND {these(project_id, 'entity_id', ids)}"
    first = ("`entity_id`", "CAST(min(`ingested_at`) AS BIGINT) AS first_received")
    events = f"({select(first, quoted(RAW_EVENTS.name), where)} GROUP BY `entity_id`, `event_id`) AS events"
    return select(("`entity_id`", "count(*)", "sum(first_received)"), events, "TRUE") + " GROUP BY `entity_id`"


def _place_query(project_id: str, entity_type: str, ids: Iterable[str]) -> str:
    generation = "`eav_generation`" if "eav_generation" in COLUMNS[entity_type] else "0"
    columns = ("`id`", quoted(TIME_COLUMN[entity_type]), generation)
    return select(columns, quoted(PROJECTIONS[entity_type]), these(project_id, "id", ids))


def _side_query(table: str, project_id: str, ids: Iterable[str]) -> str:
    keys = ", ".join(map(quoted, ("entity_id", "timestamp", "generation")))
    return select((keys,), quoted(table), f"{these(project_id, 'entity_id', ids)} GROUP BY {keys}")

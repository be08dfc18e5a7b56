"""What the store has of entities, to hold it against what it should have: extents of events, places of rows, rows whole."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from openfuse_collector.events.accumulator import Extent
from openfuse_collector.events.columns import COLUMNS, PROJECTIONS, TIME_COLUMN
from openfuse_collector.events.event import Entity
from openfuse_collector.exporters.greptimedb.ddl import literal, moment, quoted, select
from openfuse_collector.exporters.greptimedb.probe import Ask, parts, these
from openfuse_collector.exporters.greptimedb.rows import Row, projection_row
from openfuse_collector.exporters.greptimedb.schema import RAW_EVENTS, TABLES
from openfuse_collector.exporters.greptimedb.side_tables import SIDE_TABLES
from openfuse_collector.store.present import NOTHING, Present


class Place(NamedTuple):
    """Where the projection has rows of one entity."""

    times: frozenset[int] = frozenset()
    """Epoch milliseconds."""
    generation: int = 0
    """The largest of them."""


def extents(ask: Ask, entities: Sequence[Entity]) -> dict[Entity, Extent]:
    """Which raw events there are, without reading them. Entities without any are absent."""
    asked = list(parts(entities))
    found: dict[Entity, Extent] = {}
    for (_, _, named), rows in zip(asked, ask([_extent_query(*part) for part in asked]), strict=True):
        for id, events, received in rows:
            if id in named:
                found[named[id]] = Extent(int(events), int(received))
    return found


def received_within(ask: Ask, start: int, end: int, most: int | None = None) -> list[Entity]:
    """The entities something was received of at `start`, at `end` or in between, epoch milliseconds; any of them where there are `most`.

    Others may store what has no table here, Openfuse sessions for one: those are left out.
    """
    names = ", ".join(map(quoted, ("project_id", "entity_type", "entity_id")))
    limit = "" if most is None else f" LIMIT {most}"
    (rows,) = ask([select((names,), quoted(RAW_EVENTS.name), f"{_within(start, end)} GROUP BY {names}{limit}")])
    return [Entity(*row) for row in rows]


def first_received(ask: Ask, start: int, end: int) -> int | None:
    """When the first of everything within that time was received, epoch milliseconds; None where nothing was."""
    (rows,) = ask([select(("min(`ingested_at`)",), quoted(RAW_EVENTS.name), _within(start, end))])
    first: int | None = rows[0][0] if rows else None
    return first


def _within(start: int, end: int) -> str:
    kinds = ", ".join(map(literal, PROJECTIONS))
    return f"`ingested_at` >= {moment(start)} AND `ingested_at` <= {moment(end)} AND `entity_type` IN ({kinds})"


def places(ask: Ask, entities: Sequence[Entity]) -> dict[Entity, Place]:
    """Where the projections have rows. Entities without any are absent."""
    asked = [part for part in parts(entities) if part[1] in PROJECTIONS]
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
    asked = [(side.name, part) for part in parts(entities) for side in SIDE_TABLES.get(part[1], ())]
    queries = [_side_query(table, project_id, ids) for table, (project_id, _, ids) in asked]
    for (_, (_, _, named)), rows in zip(asked, ask(queries), strict=True):
        for id, time, generation in rows:
            if id in named:
                there = found.get(named[id], NOTHING)
                largest = max(there.generation, generation or 0)
                found[named[id]] = there._replace(times=there.times | {time}, generation=largest)
    return found


def differences(entity_type: str, expected: Mapping[str, Any], stored: Sequence[Any]) -> tuple[str, ...]:
    """The columns in which a stored row is not what a projector's row would be stored as. Generations are not compared."""
    columns = TABLES[PROJECTIONS[entity_type]].columns
    return tuple(
        column.name
        for column, wanted, found in zip(columns, projection_row(entity_type, expected), stored, strict=True)
        if column.name != "eav_generation" and not _same(column.type, wanted, found)
    )


def _same(type: str, wanted: Any, found: Any) -> bool:
    if wanted is None or found is None:
        return wanted is found
    compare = _COMPARE.get(type)
    return bool(wanted == found) if compare is None else compare(wanted, found)


def _same_json(wanted: str, found: str) -> bool:
    """As values: the server orders keys. Integers beyond 64 bits rest there as the nearest number of floating point."""
    return bool(
        json.loads(wanted) == json.loads(found)
        or json.loads(wanted, parse_int=float) == json.loads(found, parse_int=float)
    )


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "JSON": _same_json,
    "DECIMAL(38, 12)": lambda wanted, found: bool(wanted == Decimal(str(found))),
}


def rows_of(ask: Ask, entities: Sequence[Entity]) -> dict[Entity, list[Row]]:
    """The projection rows of entities, several where an entity has several, in the order of the table's columns."""
    asked = [part for part in parts(entities) if part[1] in PROJECTIONS]
    found: dict[Entity, list[Row]] = defaultdict(list)
    for (_, entity_type, named), rows in zip(asked, ask([_row_query(*part) for part in asked]), strict=True):
        at = COLUMNS[entity_type].index("id")
        for row in rows:
            if row[at] in named:
                found[named[row[at]]].append(row)
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


def _row_query(project_id: str, entity_type: str, ids: Iterable[str]) -> str:
    table = TABLES[PROJECTIONS[entity_type]]
    columns = (
        f"json_to_string({quoted(column.name)})" if column.type == "JSON" else quoted(column.name)
        for column in table.columns
    )
    return select(columns, quoted(table.name), these(project_id, "id", ids))


def _side_query(table: str, project_id: str, ids: Iterable[str]) -> str:
    keys = ", ".join(map(quoted, ("entity_id", "timestamp", "generation")))
    return select((keys,), quoted(table), f"{these(project_id, 'entity_id', ids)} GROUP BY {keys}")

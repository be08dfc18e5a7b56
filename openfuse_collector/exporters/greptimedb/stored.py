"""Rows read back, and one form of a row for both sides of a comparison.

The server gives JSON, decimals and booleans a form of its own. What it would give for a row of ours is found by the conversions that
writing makes; JSON is compared as what it stands for, because the server is free to order keys and to add blanks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from openfuse_collector.events.columns import COLUMNS, TIME_COLUMN
from openfuse_collector.events.event import Entity
from openfuse_collector.events.text import parsed
from openfuse_collector.exporters.greptimedb.ddl import quoted
from openfuse_collector.exporters.greptimedb.probe import Ask, parts_of, these
from openfuse_collector.exporters.greptimedb.rows import CONVERSIONS, PROJECTIONS
from openfuse_collector.exporters.greptimedb.schema import TABLES
from openfuse_collector.exporters.greptimedb.side_tables import SIDE_TABLES, SideTable, side_rows
from openfuse_collector.store.rebuild import differences

Row = dict[str, Any]


class Stored(NamedTuple):
    """Everything readers may find of one entity."""

    rows: Sequence[Row] = ()
    """Of the projection, as `plain` has them."""
    side_rows: Mapping[str, Sequence[Row]] = {}
    """By side table."""


def whole(ask: Ask, entities: Sequence[Entity]) -> dict[Entity, Stored]:
    """Rows and side rows of entities."""
    rows, side_rows = rows_of(ask, entities), side_rows_of(ask, entities)
    return {entity: Stored(rows.get(entity, ()), side_rows.get(entity, {})) for entity in entities}


def is_right(entity: Entity, expected: Mapping[str, Any] | None, found: Stored) -> bool:
    """Whether readers find what they should: one row, which is `expected`, and the side rows it has.

    Side rows of other generations are hidden from readers; at another time than the row's they are what somebody has left behind.
    """
    if expected is None:
        return not found.rows and not any(found.side_rows.values())
    if len(found.rows) != 1 or differences(plain(entity.type, expected), found.rows[0]):
        return False
    time, generation = expected[TIME_COLUMN[entity.type]], found.rows[0].get("eav_generation") or 0
    elsewhere = any(row["timestamp"] != time for rows in found.side_rows.values() for row in rows)
    return not elsewhere and not any(unfit(entity, expected, generation, found.side_rows))


def rows_of(ask: Ask, entities: Sequence[Entity]) -> dict[Entity, list[Row]]:
    """The rows of entities in their projections, column -> plain value, several where an entity has several."""
    parts = [part for part in parts_of(entities) if part[1] in PROJECTIONS]
    queries = [_query(PROJECTIONS[kind], these(project, "id", named)) for project, kind, named in parts]
    found: dict[Entity, list[Row]] = defaultdict(list)
    for (_, kind, named), answer in zip(parts, ask(queries), strict=True):
        names = [column.name for column in TABLES[PROJECTIONS[kind]].columns]
        for values in answer:
            row = plain(kind, dict(zip(names, values, strict=True)))
            if row["id"] in named:
                found[named[row["id"]]].append(row)
    return found


def side_rows_of(ask: Ask, entities: Sequence[Entity]) -> dict[Entity, dict[str, list[Row]]]:
    """The rows of entities in the side tables that are written, column -> value, by side table. Deleted ones are left out."""
    asked = [(part, side.name) for part in parts_of(entities) for side in SIDE_TABLES[part[1]]]
    queries = [_query(table, these(project, "entity_id", named)) for (project, _, named), table in asked]
    found: dict[Entity, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for ((_, _, named), table), answer in zip(asked, ask(queries), strict=True):
        names = [column.name for column in TABLES[table].columns]
        for values in answer:
            row = dict(zip(names, values, strict=True))
            if row["entity_id"] in named and not row["is_deleted"]:
                found[named[row["entity_id"]]][table].append(row)
    return found


def plain(entity_type: str, row: Mapping[str, Any]) -> Row:
    """A row, stored or made, in the form that is compared."""
    made = {column: row[column] for column in COLUMNS[entity_type]}
    for column, convert in _conversions(entity_type):
        if made[column] is not None:
            made[column] = convert(made[column])
    return made


def unfit(
    entity: Entity, expected: Mapping[str, Any] | None, generation: int, stored: Mapping[str, Sequence[Row]]
) -> Iterator[str]:
    """Side tables that do not have what a reader should see: the rows of the generation, and no others.

    `expected` is the row as the projector makes it; an entity without one should have no side rows at all.
    """
    for side in SIDE_TABLES[entity.type]:
        there = stored.get(side.name, ())
        if expected is None:
            if there:
                yield side.name
            continue
        seen = sorted(_content(row.values()) for row in there if row["generation"] == generation)
        if seen != sorted(_wanted(entity.type, side, expected)):
            yield side.name


def chosen(entity_type: str, expected: Mapping[str, Any] | None, rows: Sequence[Row]) -> Row | None:
    """Of several rows the one at the time where one should be, else the newest written."""
    time = TIME_COLUMN[entity_type]
    if expected is not None:
        rows = [row for row in rows if row[time] == expected[time]] or rows
    return max(rows, key=lambda row: row.get("eav_generation") or 0, default=None)


def _wanted(entity_type: str, side: SideTable, expected: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    return map(_content, side_rows(entity_type, side, expected))


def _content(values: Iterable[Any]) -> tuple[str, ...]:
    """A side row without `is_deleted` and `generation`, its last two columns; numbers in one form."""
    return tuple(repr(float(value) if type(value) is int else value) for value in list(values)[:-2])


def _query(table: str, where: str) -> str:
    columns = (
        f"json_to_string({quoted(column.name)})" if column.type == "JSON" else quoted(column.name)
        for column in TABLES[table].columns
    )
    return f"SELECT {', '.join(columns)} FROM {quoted(table)} WHERE {where}"  # noqa: S608


@cache
def _conversions(entity_type: str) -> tuple[tuple[str, Any], ...]:
    columns = TABLES[PROJECTIONS[entity_type]].columns
    converted = ((column.name, parsed if column.type == "JSON" else CONVERSIONS.get(column.type)) for column in columns)
    return tuple(pair for pair in converted if pair[1] is not None)

"""An entity as readers find it, held against what its events say: which columns and which side tables are not right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from openfuse_collector.events.columns import PROJECTIONS, TIME_COLUMN
from openfuse_collector.events.event import Entity
from openfuse_collector.exporters.greptimedb.ddl import quoted, select
from openfuse_collector.exporters.greptimedb.probe import Ask, parts, these
from openfuse_collector.exporters.greptimedb.rows import Row as Values
from openfuse_collector.exporters.greptimedb.schema import TABLES
from openfuse_collector.exporters.greptimedb.side_tables import SIDE_TABLES, side_rows
from openfuse_collector.exporters.greptimedb.stored import differences
from openfuse_collector.store.rebuild import Verdict

Row = dict[str, Any]
"""Column -> value."""


def side_rows_of(ask: Ask, entities: Sequence[Entity]) -> dict[Entity, dict[str, list[Row]]]:
    """The rows of entities in the side tables that are written, by side table. Deleted ones are left out."""
    asked = [(part, side.name) for part in parts(entities) for side in SIDE_TABLES.get(part[1], ())]
    queries = [_query(table, these(project, "entity_id", named)) for (project, _, named), table in asked]
    found: dict[Entity, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for ((_, _, named), table), answer in zip(asked, ask(queries), strict=True):
        names = [column.name for column in TABLES[table].columns]
        for values in answer:
            row = dict(zip(names, values, strict=True))
            if row["entity_id"] in named and not row["is_deleted"]:
                found[named[row["entity_id"]]][table].append(row)
    return found


def compared(verdict: Verdict, rows: Sequence[Values], sides: Mapping[str, Sequence[Row]]) -> Verdict:
    """The verdict about everything the store has of the entity: its rows, the one that should be among them, its side rows."""
    kind, expected = verdict.entity.type, verdict.expected
    chosen = _chosen(kind, expected, rows)
    stored = None if chosen is None else _named(kind, chosen)
    columns: tuple[str, ...] = ()
    if expected is not None and chosen is not None:
        columns = differences(kind, expected, chosen)
    if expected is None or stored is not None:
        generation = 0 if stored is None else stored.get("eav_generation") or 0
        columns += tuple(_unfit(kind, expected, generation, sides))
    return replace(verdict, stored=stored, columns=columns, surplus=max(0, len(rows) - 1))


def is_right(
    entity: Entity, expected: Mapping[str, Any] | None, rows: Sequence[Values], sides: Mapping[str, Sequence[Row]]
) -> bool:
    """Whether readers find what they should of an entity: the expected row alone, and its side rows."""
    return not compared(Verdict(entity, expected, None), rows, sides).row_differs


def _chosen(kind: str, expected: Mapping[str, Any] | None, rows: Sequence[Values]) -> Values | None:
    """Of several rows one at the time where one should be."""
    if expected is not None:
        at = [column.name for column in TABLES[PROJECTIONS[kind]].columns].index(TIME_COLUMN[kind])
        rows = [row for row in rows if row[at] == expected[TIME_COLUMN[kind]]] or rows
    return rows[0] if rows else None


def _named(kind: str, row: Values) -> Row:
    columns = TABLES[PROJECTIONS[kind]].columns
    return {
        column.name: Decimal(str(value)) if value is not None and column.type.startswith("DECIMAL") else value
        for column, value in zip(columns, row, strict=True)
    }


def _unfit(
    kind: str, expected: Mapping[str, Any] | None, generation: int, sides: Mapping[str, Sequence[Row]]
) -> Iterator[str]:
    """Side tables in which an entity has something else than the rows of its generation.

    Rows of older generations at its own time are hidden from readers and no matter; at another time they are what somebody left behind.
    An entity without a row should have no side rows at all.
    """
    for side in SIDE_TABLES[kind]:
        there = sides.get(side.name, ())
        if expected is None:
            wanted: list[tuple[str, ...]] = []
        else:
            time = expected[TIME_COLUMN[kind]]
            there = [row for row in there if row["generation"] == generation or row["timestamp"] != time]
            wanted = sorted(map(_content, side_rows(kind, side, expected)))
        if sorted(_content(row.values()) for row in there) != wanted:
            yield side.name


def _content(values: Iterable[Any]) -> tuple[str, ...]:
    """A side row without `is_deleted` and `generation`, its last two columns; numbers in one form."""
    return tuple(repr(float(value) if type(value) is int else value) for value in list(values)[:-2])


def _query(table: str, where: str) -> str:
    return select((quoted(column.name) for column in TABLES[table].columns), quoted(table), where)

"""What the store already has: raw events, rows and side rows of entities, asked for in batches by entity id.

Ids are asked for together within a project and entity type, which is the primary key of raw_events. No JOIN anywhere: below one,
older servers do not push conditions down (GreptimeDB #8338).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from openfuse_collector.events.columns import COLUMNS, PROJECTIONS, TIME_COLUMN
from openfuse_collector.events.event import Entity, Event, decode_envelope
from openfuse_collector.events.text import clean
from openfuse_collector.exporters.greptimedb.ddl import literal, quoted, select
from openfuse_collector.exporters.greptimedb.ingest import key_columns
from openfuse_collector.exporters.greptimedb.schema import TABLES
from openfuse_collector.exporters.greptimedb.side_tables import EMPTIED
from openfuse_collector.exporters.greptimedb.sql import Rows
from openfuse_collector.store.present import Present

LOOKUP = 500
"""Entities asked for in one query."""

Ask = Callable[[Sequence[str]], Iterable[Rows]]
"""Runs queries, some of them at the same time; the answers come in their order."""

_NULLABLE = {
    entity_type: tuple((1 << at, column.name) for at, column in enumerate(TABLES[table].columns) if column.nullable)
    for entity_type, table in PROJECTIONS.items()
}
_ALWAYS = {
    entity_type: sum(1 << at for at, column in enumerate(TABLES[table].columns) if not column.nullable)
    for entity_type, table in PROJECTIONS.items()
}


def history(ask: Ask, entities: Sequence[Entity]) -> dict[Entity, list[Event]]:
    """All raw events of entities, copies included, in no particular order. Entities without any are absent."""
    asked = list(parts(entities))
    found: dict[Entity, list[Event]] = defaultdict(list)
    for (_, _, named), rows in zip(asked, ask([_history_query(*part) for part in asked]), strict=True):
        for project_id, id, ingested_at, body in rows:
            entity = named.get(id)
            # A comparison of strings by the server may be looser than ours.
            if entity is not None and project_id == clean(entity.project_id):
                found[entity].append(decode_envelope(entity, body, ingested_at))
    return found


def known(ask: Ask, entities: Sequence[Entity]) -> set[Entity]:
    """Those of the entities that have raw events."""
    asked = list(parts(entities))
    queries = [
        select(
            ("DISTINCT `entity_id`",),
            "`raw_events`",
            f"`entity_type` = {literal(kind)} AND {these(project, 'entity_id', ids)}",
        )
        for project, kind, ids in asked
    ]
    answers = zip(asked, ask(queries), strict=True)
    return {named[id] for (_, _, named), rows in answers for (id,) in rows if id in named}


def presence(ask: Ask, entities: Sequence[Entity]) -> dict[Entity, Present]:
    """The rows the projections have of entities."""
    asked = [part for part in parts(entities) if part[1] in PROJECTIONS]
    found: dict[Entity, Present] = {}
    for (_, entity_type, named), rows in zip(asked, ask([_row_query(*part) for part in asked]), strict=True):
        for id, time, generation, *is_filled in rows:
            entity = named[id]
            bits = _ALWAYS[entity_type]
            for (bit, _), there in zip(_NULLABLE[entity_type], is_filled, strict=True):
                if there:
                    bits |= bit
            found[entity] = _joined(found.get(entity), Present(frozenset((time,)), generation or 0, bits))
    return found


def side_row_keys(
    ask: Ask, entities: Sequence[Entity], keep: Mapping[Entity, int | None]
) -> Iterator[tuple[str, Rows]]:
    """(side table, keys of rows) of entities of one type, without the rows at the time to keep."""
    asked = list(parts(entities))
    for table in EMPTIED[entities[0].type] if entities else ():
        columns = key_columns(table)
        entity_at, time_at = columns.index("entity_id"), columns.index("timestamp")
        rows: Rows = []
        queries = [_side_query(table, columns, project_id, named) for project_id, _, named in asked]
        for (_, _, named), answer in zip(asked, ask(queries), strict=True):
            rows += [row for row in answer if row[time_at] != keep.get(named[row[entity_at]])]
        if rows:
            yield table, rows


def _joined(one: Present | None, other: Present) -> Present:
    if one is None:
        return other
    return Present(one.times | other.times, max(one.generation, other.generation), one.filled | other.filled)


def parts(entities: Sequence[Entity]) -> Iterator[tuple[str, str, dict[str, Entity]]]:
    """(project, entity type, entities by clean id), at most LOOKUP of them each."""
    groups: dict[tuple[str, str], dict[str, Entity]] = defaultdict(dict)
    for entity in entities:
        groups[entity.project_id, entity.type][clean(entity.id)] = entity
    for (project_id, entity_type), named in groups.items():
        ids = list(named)
        for start in range(0, len(ids), LOOKUP):
            yield project_id, entity_type, {id: named[id] for id in ids[start : start + LOOKUP]}


def _history_query(project_id: str, entity_type: str, ids: Iterable[str]) -> str:
    of_type = f"`entity_type` = {literal(entity_type)}"
    columns = map(quoted, ("project_id", "entity_id", "ingested_at", "body"))
    return select(columns, "`raw_events`", f"{of_type} AND {these(project_id, 'entity_id', ids)}")


def _row_query(project_id: str, entity_type: str, ids: Iterable[str]) -> str:
    generation = "`eav_generation`" if "eav_generation" in COLUMNS[entity_type] else "0"
    nullable = (f"{quoted(name)} IS NOT NULL" for _, name in _NULLABLE[entity_type])
    columns = ("`id`", quoted(TIME_COLUMN[entity_type]), generation, *nullable)
    return select(columns, quoted(PROJECTIONS[entity_type]), these(project_id, "id", ids))


def _side_query(table: str, columns: Iterable[str], project_id: str, ids: Iterable[str]) -> str:
    return select(map(quoted, columns), quoted(table), these(project_id, "entity_id", ids))


def these(project_id: str, id_column: str, ids: Iterable[str]) -> str:
    """The condition for some ids of a project."""
    listed = ", ".join(map(literal, ids))
    return f"`project_id` = {literal(clean(project_id))} AND {quoted(id_column)} IN ({listed})"

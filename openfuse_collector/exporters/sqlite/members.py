"""Which traces there are of an id, and what may be part of a trace: by the rows and, for what has none any more, by the events."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.event import UNREADABLE, Entity, Event
from openfuse_collector.exporters.sqlite import statements
from openfuse_collector.store.deletion import OF_TRACE, is_elsewhere, names_trace

_ROWS_OF_TRACE = "SELECT id FROM {} WHERE trace_id = ? AND project_id = ?"
_SHOWING = {
    table: f"SELECT DISTINCT project_id FROM {table} WHERE {'id' if kind == 'trace' else 'trace_id'} = ?"  # noqa: S608
    for kind, table in PROJECTIONS.items()
}
_TRACES = "SELECT DISTINCT project_id FROM raw_events WHERE entity_type = 'trace' AND entity_id = ?"
_NAMING = f"""
SELECT openfuse_entity, ingested_at FROM raw_events
WHERE ifnull(project_id = ?2, TRUE) AND entity_type IN ({", ".join(map(repr, OF_TRACE))})
  AND instr(body, '"traceId":' || json_quote(?1)) > 0
"""  # noqa: S608
"""The text of an envelope names it like this; so may a text within, which does no harm."""


def projects_of(connection: sqlite3.Connection, trace_id: str, project: str | None) -> list[str]:
    """The projects, or just the one named, that have anything of such a trace; in order.

    It need not have said anything of itself: clients may send observations and scores alone. Only where nothing is shown events are
    searched, from front to back, for what was deleted before.
    """
    shown = {
        found
        for table, query in _SHOWING.items()
        if statements.has_table(connection, table)
        for (found,) in connection.execute(query, (trace_id,))
        if project in (None, found)
    }
    return sorted(shown or _announcing(connection, trace_id, project) or _speaking(connection, trace_id, project))


def members_of(connection: sqlite3.Connection, trace: Entity, *, without_rows: bool) -> list[Entity]:
    """What may be observations, scores and run items of a trace: those with rows that say so; if asked for, all that name it."""
    project_id, _, id = trace
    found: dict[Entity, None] = {}
    for kind in OF_TRACE:
        rows = connection.execute(_ROWS_OF_TRACE.format(PROJECTIONS[kind]), (id, project_id))
        found |= {Entity(project_id, kind, one): None for (one,) in rows}
    if without_rows:
        found |= {entity: None for entity, _ in _naming(connection, id, project_id)}
    return list(found)


def _announcing(connection: sqlite3.Connection, trace_id: str, project: str | None) -> set[str]:
    """The projects in which there are events of the trace itself."""
    if project is None:
        return {found for (found,) in connection.execute(_TRACES, (trace_id,))}
    key = statements.entity_key(Entity(project, "trace", trace_id))
    return {project} if statements.known_keys(connection, [key]) else set()


def _speaking(connection: sqlite3.Connection, trace_id: str, project: str | None) -> set[str]:
    """The projects in which something else is part of the trace."""
    naming = _naming(connection, trace_id, project)
    return {entity.project_id for entity, events in naming if not is_elsewhere(events, trace_id)}


def _naming(
    connection: sqlite3.Connection, trace_id: str, project: str | None
) -> Iterator[tuple[Entity, Sequence[Event]]]:
    """What names the trace in one of its events, and all of them; some at a time, because a text may be found in every body.

    Where nobody can read an event, and nothing that can be read says whose the entity is, its text is believed.
    """
    found: dict[int, set[int]] = defaultdict(set)
    for key, ingested_at in connection.execute(_NAMING, (trace_id, project)):
        found[key].add(ingested_at)
    keys = list(found)
    for start in range(0, len(keys), statements.LOOKUP):
        history = statements.history(connection, keys[start : start + statements.LOOKUP])
        for entity, events in history.items():
            if entity.type in OF_TRACE and (
                any(names_trace(event, trace_id) for event in events)
                or _by_text(connection, entity, events, found[statements.entity_key(entity)])
            ):
                yield entity, events


def _by_text(
    connection: sqlite3.Connection, entity: Entity, events: Sequence[Event], found_at: Collection[int]
) -> bool:
    """Whether the text of an event nobody can read, one received at `found_at`, is all there is to say whose the entity is."""
    if not any(event.type == UNREADABLE and event.ingested_at in found_at for event in events):
        return False
    stated = any(isinstance(event.body.get("traceId"), str) for event in events)
    return not stated and entity not in statements.stored_rows(connection, [entity])

"""What a rebuild goes over: keys of traces and entities, names of rows. In pages that begin behind the last key, never at an OFFSET."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.store.rebuild import Selection

PAGE_KEYS = 500
PAGE_ROWS = 1000
"""Raw events or spans of a page, unless a single key has more: bounds its memory and the time others wait for its transaction."""

_LEAST, _KEYS = -(2**63), 2**64
"""Keys are 64-bit hashes, so where a key stands between the least and the greatest says how much is done."""

REBUILT = "CREATE TEMP TABLE openfuse_rebuilt (key INTEGER PRIMARY KEY)"
"""Keys of entities that need no second visit."""

MENTIONS = "instr(body, substr(json_quote(?1), 2, length(json_quote(?1)) - 2)) > 0"
"""Observations and scores name their trace in the body. Looking for the id anywhere in it, as JSON has it, selects too much at worst."""
_OF_TRACE = f"((entity_type = 'trace' AND entity_id = ?1) OR {MENTIONS})"


class Page(NamedTuple):
    """Some keys in order, and how much of everything is done with them, 0 to 1."""

    keys: list[int]
    share: float


def trace_pages(connection: sqlite3.Connection, selection: Selection) -> Iterator[Page]:
    """Traces that have kept spans. A trace is selected as a whole."""
    clauses = {
        "project_id = ?": selection.project,
        "trace_id = ?": selection.trace,
        "? IN (trace_id, span_id)": selection.entity,
        "ingested_at >= ?": selection.since,
    }
    return _pages(connection, "openfuse_raw_spans", "openfuse_trace", *_where(clauses))


def entity_pages(connection: sqlite3.Connection, selection: Selection, start: int = _LEAST) -> Iterator[Page]:
    """Entities that have raw events, from the key `start` on; those in `openfuse_rebuilt` left out."""
    clauses = {
        _OF_TRACE: selection.trace,
        "project_id = ?": selection.project,
        "ingested_at >= ?": selection.since,
        "entity_type = ?": selection.entity_type,
        "entity_id = ?": selection.entity,
    }
    return _pages(connection, "raw_events", "openfuse_entity", *_where(clauses), start=start)


def row_pages(
    connection: sqlite3.Connection, entity_type: str, selection: Selection
) -> Iterator[tuple[list[tuple[str, str]], float]]:
    """(project, id) of the rows of a projection, and how much of it is done with them."""
    table = PROJECTIONS[entity_type]
    of_trace = "id = ?" if entity_type == "trace" else "trace_id = ?"
    where, values = _where(
        {
            of_trace: selection.trace,
            "project_id = ?": selection.project,
            "updated_at >= ?": selection.since,
            "? IN (id)": selection.entity,
        }
    )
    (total,) = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}", values).fetchone()  # noqa: S608
    query = (
        f"SELECT project_id, id FROM {table} WHERE {where} AND (project_id, id) > (?, ?) "  # noqa: S608
        f"ORDER BY project_id, id LIMIT {PAGE_ROWS}"
    )
    last, done = ("", ""), 0
    while names := connection.execute(query, (*values, *last)).fetchall():
        last, done = names[-1], done + len(names)
        yield names, min(1.0, done / max(1, total))


def _pages(
    connection: sqlite3.Connection, table: str, column: str, where: str, values: list[Any], start: int = _LEAST
) -> Iterator[Page]:
    if values:
        # One reading of the table from front to back, instead of a visit to every key wherever its rows are.
        chosen = f"openfuse_chosen_{table}"
        connection.execute(f"CREATE TEMP TABLE {chosen} (key INTEGER PRIMARY KEY, rows INTEGER)")
        connection.execute(
            f"INSERT INTO {chosen} SELECT {column}, count(*) FROM {table} WHERE {where} GROUP BY {column}",  # noqa: S608
            values,
        )
        query = f"SELECT key, rows FROM {chosen} WHERE key >= ? AND key NOT IN openfuse_rebuilt ORDER BY key"  # noqa: S608
    else:
        query = (
            f"SELECT {column}, count(*) FROM {table} WHERE {column} >= ? AND {column} NOT IN openfuse_rebuilt "  # noqa: S608
            f"GROUP BY {column} ORDER BY {column}"
        )
    while start < _LEAST + _KEYS:
        found = connection.execute(f"{query} LIMIT {PAGE_KEYS}", (start,)).fetchall()
        if not found:
            return
        keys = _fitting(found)
        start = keys[-1] + 1
        yield Page(keys, (start - _LEAST) / _KEYS)


def _fitting(found: list[tuple[int, int]]) -> list[int]:
    """The first keys whose rows fit into a page, at least one."""
    keys: list[int] = []
    rows = 0
    for key, count in found:
        rows += count
        if keys and rows > PAGE_ROWS:
            break
        keys.append(key)
    return keys


def _where(clauses: dict[str, Any]) -> tuple[str, list[Any]]:
    """The clauses that have a value, and the values."""
    given = {clause: value for clause, value in clauses.items() if value is not None}
    return " AND ".join(["TRUE", *given]), list(given.values())

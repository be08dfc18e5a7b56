"""SQL of the embedded store and the values that go with it, shared by the writer and by rebuilds."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from operator import itemgetter
from typing import Any

from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.events.columns import COLUMNS, PROJECTIONS
from openfuse_collector.events.event import Entity, Event, decode_envelope
from openfuse_collector.events.rows import raw_row
from openfuse_collector.events.text import clean
from openfuse_collector.signals import Origin, RawSpan, Signal
from openfuse_collector.store.horizon import Horizon

LOOKUP = 500
"""Keys asked for in one statement; SQLite's limit on variables is far above."""

INSERT_RAW = "INSERT INTO raw_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
# The copy received first counts, content included: copies of one delivery should be equal, but nobody enforces it.
# What was erased stays so.
EARLIER = """
UPDATE raw_events SET ingested_at = ?, event_type = ?, event_ts = ?,
  body = CASE WHEN json_valid(body) AND body ->> '$.metadata.erased' THEN body ELSE ? END
WHERE openfuse_entity = ? AND entity_id = ? AND event_id = ? AND ingested_at > ?
"""
SET_CURSOR = "INSERT INTO openfuse_cursors VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET position = excluded.position"

# The earliest copy counts, as with events: what a span is mapped to later must not depend on which copy came first.
ADD_RAW_SPAN = """
INSERT INTO openfuse_raw_spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (openfuse_trace, source) DO UPDATE SET
  ingested_at = excluded.ingested_at, received_at = excluded.received_at, receiver = excluded.receiver,
  public_key = excluded.public_key, sdk_name = excluded.sdk_name, sdk_version = excluded.sdk_version
WHERE excluded.received_at < received_at
"""


def entity_key(entity: Entity) -> int:
    """64-bit hash of an entity's name: an index over integers is a third of one over names, and stays in memory three times longer."""
    project_id, kind, id = entity
    return _hash(f"{project_id}\0{kind}\0{clean(id)}")


def trace_key(project_id: str, trace_id: str) -> int:
    """64-bit hash of a trace's name, the key of its raw spans."""
    return _hash(f"{project_id}\0{trace_id}")


def _hash(text: str) -> int:
    encoded = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "big", signed=True)


def upsert(table: str, columns: Sequence[str]) -> str:
    """INSERT that replaces every column of a row with the same (project_id, id)."""
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    replaced = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in ("project_id", "id"))
    return f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT (project_id, id) DO UPDATE SET {replaced}"  # noqa: S608


UPSERTS = {kind: upsert(table, COLUMNS[kind]) for kind, table in PROJECTIONS.items()}
DELETES = {kind: f"DELETE FROM {table} WHERE project_id = ? AND id = ?" for kind, table in PROJECTIONS.items()}  # noqa: S608
VALUES: dict[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]] = {
    kind: itemgetter(*COLUMNS[kind]) for kind in PROJECTIONS
}
"""Entity type -> the values of a row in the order of `UPSERTS`."""


def write_rows(connection: sqlite3.Connection, kind: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of one projection; those of deleted entities go. Entity types without a table here are passed over."""
    if kind not in PROJECTIONS:
        return
    connection.executemany(UPSERTS[kind], map(VALUES[kind], [row for row in rows if not row["is_deleted"]]))
    gone = [(row["project_id"], row["id"]) for row in rows if row["is_deleted"]]
    if gone:
        connection.executemany(DELETES[kind], gone)


def earlier_row(event: Event, key: int) -> tuple[Any, ...]:
    """The values of `EARLIER`."""
    at, _, _, entity_id, event_id, *content = raw_row(event)
    return (at, *content, key, entity_id, event_id, at)


def raw_span_row(origin: Origin, span: RawSpan) -> tuple[Any, ...]:
    """The values of `ADD_RAW_SPAN`."""
    return (
        trace_key(origin.project_id, span.trace_id),
        span.source,
        origin.project_id,
        span.trace_id,
        span.span_id,
        span.start_time,
        origin.received_at // 1_000_000,
        origin.received_at,
        origin.receiver,
        origin.public_key,
        origin.sdk_name,
        origin.sdk_version,
        span.payload,
    )


SET_PROJECT_TOMBSTONE = """
INSERT INTO project_tombstones VALUES (?, ?)
ON CONFLICT DO UPDATE SET deleted_at = max(deleted_at, excluded.deleted_at)
"""

_HISTORY = "SELECT project_id, entity_type, entity_id, ingested_at, body FROM raw_events WHERE openfuse_entity IN ({})"
_KNOWN = "SELECT DISTINCT openfuse_entity FROM raw_events WHERE openfuse_entity IN ({})"
_RAW_SPANS = """
SELECT source, trace_id, payload, receiver, received_at, project_id, public_key, sdk_name, sdk_version
FROM openfuse_raw_spans WHERE openfuse_trace IN ({}) AND length(payload) > 0 ORDER BY rowid
"""
_ROWS = {
    kind: f"SELECT {', '.join(COLUMNS[kind])} FROM {table} WHERE id IN ({{}}) AND project_id = ?"  # noqa: S608
    for kind, table in PROJECTIONS.items()
}


def history(connection: sqlite3.Connection, keys: Iterable[int]) -> dict[Entity, list[Event]]:
    """All raw events of the entities with these keys, in no particular order."""
    found: dict[Entity, list[Event]] = defaultdict(list)
    for project, kind, id, ingested_at, body in _in_parts(connection, _HISTORY, keys):
        entity = Entity(project, kind, id)
        found[entity].append(decode_envelope(entity, body, ingested_at))
    return found


def events_of(connection: sqlite3.Connection, entity: Entity, key: int) -> Iterator[Event]:
    """All raw events of one entity, one after the other."""
    for *name, ingested_at, body in connection.execute(_HISTORY.format("?"), (key,)):
        if (*name,) == entity:
            yield decode_envelope(entity, body, ingested_at)


def horizons(connection: sqlite3.Connection) -> dict[str, Horizon]:
    """The projects that were deleted. None in a file that no version of the program that deletes has opened for writing."""
    if not has_table(connection, "project_tombstones"):
        return {}
    found = connection.execute("SELECT project_id, deleted_at FROM project_tombstones")
    return {project: Horizon(deleted=at) for project, at in found}


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Whether there is such a table: a file that is only read may be older than the newest migration."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (name,)).fetchone() is not None


def known_keys(connection: sqlite3.Connection, keys: Iterable[int]) -> set[int]:
    """Those of the keys that have raw events."""
    return {key for (key,) in _in_parts(connection, _KNOWN, keys)}


def raw_spans(connection: sqlite3.Connection, traces: Iterable[int]) -> Iterator[tuple[str, str, bytes, Origin]]:
    """(source, trace id, payload, origin) of the kept spans of traces."""
    for source, trace_id, payload, *origin in _in_parts(connection, _RAW_SPANS, traces):
        yield source, trace_id, payload, Origin(Signal.TRACES, *origin)


def stored_rows(connection: sqlite3.Connection, entities: Iterable[Entity]) -> dict[Entity, dict[str, Any]]:
    """The rows there are, column -> value. Entity types without a table here have none."""
    named: dict[tuple[str, str], list[str]] = defaultdict(list)
    for project, kind, id in entities:
        if kind in PROJECTIONS:
            named[project, kind].append(id)
    found: dict[Entity, dict[str, Any]] = {}
    for (project, kind), ids in named.items():
        for values in _in_parts(connection, _ROWS[kind], ids, project):
            row = dict(zip(COLUMNS[kind], values, strict=True))
            found[Entity(project, kind, row["id"])] = row
    return found


def _in_parts(connection: sqlite3.Connection, query: str, keys: Iterable[Any], *more: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of a query whose `IN ({})` lists the keys, some hundred at a time; `more` fills the marks behind it."""
    wanted = list(keys)
    for start in range(0, len(wanted), LOOKUP):
        some = wanted[start : start + LOOKUP]
        yield from connection.execute(query.format(",".join("?" * len(some))), (*some, *more))


ADD_DEAD_LETTER = "INSERT OR REPLACE INTO openfuse_dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
REMOVE_DEAD_LETTER = "DELETE FROM openfuse_dead_letters WHERE id = ?"


def dead_letter_row(letter: DeadLetter) -> tuple[str | int, ...]:
    """A row of openfuse_dead_letters."""
    return (
        letter.id,
        letter.at,
        letter.pipeline,
        letter.component,
        clean(letter.reason),
        str(letter.signal),
        letter.project_id,
        letter.origin.receiver,
        letter.origin.received_at,
        letter.position,
        letter.payload_text,
    )

"""The embedded store: one SQLite file in WAL mode, one writer, any number of readers."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from openfuse_collector.enrich import Enrich, enrich
from openfuse_collector.events.columns import COLUMNS
from openfuse_collector.events.event import Entity, Event, decode_envelope
from openfuse_collector.events.rows import raw_row
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.schema import migrate
from openfuse_collector.store.projector import Changes, Projector

PAGE_SIZE = 8192
LOOKUP = 500
"""Entities asked for in one statement; SQLite's limit on variables is far above."""

INSERT_RAW = "INSERT INTO raw_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
EARLIER = "UPDATE raw_events SET ingested_at = min(ingested_at, ?) WHERE openfuse_entity = ? AND entity_id = ? AND event_id = ?"
SET_CURSOR = "INSERT INTO openfuse_cursors VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET position = excluded.position"


def entity_key(entity: Entity) -> int:
    """64-bit hash of an entity's name: an index over integers is a third of one over names, and stays in memory three times longer."""
    text = f"{entity.project_id}\0{entity.type}\0{entity.id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)


def upsert(table: str, columns: Sequence[str]) -> str:
    """INSERT that replaces every column of a row with the same (project_id, id)."""
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    replaced = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in ("project_id", "id"))
    return f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT (project_id, id) DO UPDATE SET {replaced}"  # noqa: S608


TABLES = {"trace": "traces", "observation": "observations", "score": "scores"}
UPSERTS = {kind: upsert(table, COLUMNS[kind]) for kind, table in TABLES.items()}
DELETES = {kind: f"DELETE FROM {table} WHERE project_id = ? AND id = ?" for kind, table in TABLES.items()}  # noqa: S608


class Store:
    """Owns the writing connection. Not thread-safe. Every method raises sqlite3.Error."""

    def __init__(self, config: SqliteConfig, enrich: Enrich = enrich) -> None:
        self._config = config
        self._connection = _connect(config)
        self._projector = Projector(self._history, enrich, config.fold_cache_size)
        self._data_version = -1

    def cursor(self, instance: str, pipeline: str) -> int | None:
        """The journal offset committed with the last batch of that pipeline."""
        found = self._connection.execute(
            "SELECT position FROM openfuse_cursors WHERE instance = ? AND pipeline = ?", (instance, pipeline)
        ).fetchone()
        return None if found is None else int(found[0])

    def write(self, events: Iterable[Event], cursor: tuple[str, str, int] | None = None) -> Changes:
        """Everything in one durable transaction: new raw events, the rows they lead to, and `cursor` (instance, pipeline, position).

        Raises PermanentError when an entity cannot be folded. After any exception nothing was written.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._notice_other_writers()
            changes = self._projector.apply(events)
            self._write(changes)
            if cursor is not None:
                connection.execute(SET_CURSOR, cursor)
            connection.execute("COMMIT")
        except BaseException:
            self._projector.forget()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return changes

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        self._connection.close()

    def _write(self, changes: Changes) -> None:
        execute, many = self._connection.execute, self._connection.executemany
        many(INSERT_RAW, ((entity_key(event.entity), *raw_row(event)) for event in changes.raw))
        for event in changes.earlier:
            execute(EARLIER, (event.ingested_at, entity_key(event.entity), event.entity.id, event.id))
        for kind, rows in changes.rows.items():
            columns = COLUMNS[kind]
            many(UPSERTS[kind], (_values(row, columns) for row in rows if not row["is_deleted"]))
            many(DELETES[kind], ((row["project_id"], row["id"]) for row in rows if row["is_deleted"]))

    def _notice_other_writers(self) -> None:
        """`data_version` moves when another connection has written: a second collector, a command of ours, a person."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            self._projector.forget()
            self._data_version = version

    def _history(self, entities: Sequence[Entity]) -> Mapping[Entity, Sequence[Event]]:
        """All raw events of `entities`, in no particular order."""
        found: dict[Entity, list[Event]] = defaultdict(list)
        wanted = {entity_key(entity): entity for entity in entities}
        keys = list(wanted)
        for start in range(0, len(keys), LOOKUP):
            some = keys[start : start + LOOKUP]
            query = (
                "SELECT project_id, entity_type, entity_id, ingested_at, body FROM raw_events "  # noqa: S608
                f"WHERE openfuse_entity IN ({','.join('?' * len(some))})"
            )
            for project, kind, id, ingested_at, body in self._connection.execute(query, some):
                entity = Entity(project, kind, id)
                found[entity].append(decode_envelope(entity, body, ingested_at))
        return found


def _values(row: Mapping[str, Any], columns: Sequence[str]) -> list[Any]:
    return [row[column] for column in columns]


def _connect(config: SqliteConfig) -> sqlite3.Connection:
    """A connection for one writer: WAL for concurrent readers, synchronous=FULL so that a commit survives a power cut."""
    Path(config.path).parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        config.path, timeout=config.busy_timeout, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = {-config.cache_size // 1024}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {max(1, config.wal_size // PAGE_SIZE)}")
        connection.execute(f"PRAGMA journal_size_limit = {config.wal_size}")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection

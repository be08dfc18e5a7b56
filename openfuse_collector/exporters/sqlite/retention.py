"""Retention in the embedded store: entities whose newest event is too old go whole, raw events included.

Many transactions, each bounded, so that the collector gets its turn between them. The file does not shrink: its pages are used again.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.event import Entity
from openfuse_collector.exporters.sqlite import statements
from openfuse_collector.exporters.sqlite.locking import PATIENCE, reading, writing
from openfuse_collector.exporters.sqlite.schema import BY_TIME
from openfuse_collector.exporters.sqlite.statements import entity_key
from openfuse_collector.store.operations import Removed
from openfuse_collector.store.retention import RetentionConfig

PAGE = 4000
"""Rows of one transaction, or of one entity. Rows stand all over the indexes: of many at once most pages are written once, of few at
a time again and again."""

FREED = 4000
"""Pages of the file, 31 MiB, that one transaction may free, or one entity. All of it is overwritten (`PRAGMA
secure_delete`), so all of it is written to the log, and a row may be as large as a request."""

LOOK = 10
"""Rows between two looks at the pages that were freed: a look at each would cost a twelfth of the pass."""

SECONDS = 0.25
"""After which a transaction removes no more: a collector waits for it, and then for its commit."""

_PROJECTS = """
WITH RECURSIVE projects(id) AS (
  SELECT min(project_id) FROM {table}
  UNION ALL SELECT (SELECT min(project_id) FROM {table} WHERE project_id > projects.id) FROM projects WHERE id IS NOT NULL
)
SELECT id FROM projects WHERE id IS NOT NULL
"""
"""One look at the index per project, instead of one per row."""
_OLD = """
SELECT ingested_at, rowid, openfuse_entity, entity_type, entity_id FROM raw_events
WHERE project_id = ? AND ingested_at < ? AND (ingested_at, rowid) > (?, ?) ORDER BY ingested_at, rowid LIMIT ?
"""
_COUNT_OLD = "SELECT count(*) FROM raw_events WHERE project_id = ? AND ingested_at < ?"
_OF_ENTITY = "openfuse_entity = ? AND project_id = ? AND entity_type = ? AND entity_id = ?"
_NEWEST = f"SELECT max(ingested_at), count(*) FROM raw_events WHERE {_OF_ENTITY}"  # noqa: S608
_FORGET = f"DELETE FROM raw_events WHERE {_OF_ENTITY}"  # noqa: S608
_LETTER_PROJECTS = "SELECT DISTINCT project_id FROM openfuse_dead_letters"
_BY_AGE = {
    "openfuse_raw_spans": "FROM openfuse_raw_spans WHERE project_id = ? AND ingested_at < ?",
    "openfuse_dead_letters": "FROM openfuse_dead_letters WHERE project_id = ? AND at < ?",
}
"""Table -> its rows that have expired, by their own age: by when a span was received, and a letter set aside.

Spans first, before all else: one that is kept longer than its events would be mapped to them again.
"""


class Limit(NamedTuple):
    """What was received for a project before `cutoff`, in epoch milliseconds, has expired."""

    project_id: str
    cutoff: int


class Expiry:
    """One pass; see `Expiring`. The connection must be in autocommit mode; for a dry run it may be read-only."""

    def __init__(self, connection: sqlite3.Connection, *, dry_run: bool, patience: float = PATIENCE) -> None:
        self.removed = Removed()
        self._connection = connection
        self._dry_run = dry_run
        self._patience = patience
        self._seen: set[int] = set()
        """Keys of entities whose old events stay: one that goes on for ever is on every page, and has more to count each time."""
        connection.execute("PRAGMA synchronous = NORMAL")  # what a power cut brings back expires again

    def expire(self, retention: RetentionConfig, now: int) -> Iterator[float]:
        """Project by project. Raises sqlite3.Error."""
        if not retention.limited:
            return
        if not self._dry_run:
            with writing(self._connection, self._patience):
                for statement in BY_TIME:
                    self._connection.execute(statement)
        projects = sorted(self._projects())
        limits = [Limit(id, cutoff) for id in projects if (cutoff := retention.cutoff(id, now)) is not None]
        for number, limit in enumerate(limits):
            for share in self._expire(limit):
                yield (number + share) / len(limits)

    def _projects(self) -> set[str]:
        tables = ("raw_events", "openfuse_raw_spans")
        queries = (*(_PROJECTS.format(table=table) for table in tables), _LETTER_PROJECTS)
        return {id for query in queries for (id,) in self._connection.execute(query)}

    def _expire(self, limit: Limit) -> Iterator[float]:
        for table, expired in _BY_AGE.items():
            yield from self._expire_by_age(table, expired, limit)
        (total,) = self._connection.execute(_COUNT_OLD, limit).fetchone()
        done, last = 0, (-1, -1)
        self._seen.clear()
        while page := self._connection.execute(_OLD, (*limit, *last, PAGE)).fetchall():
            entities = {
                key: Entity(limit.project_id, kind, id) for _, _, key, kind, id in page if key not in self._seen
            }
            for _ in self._forget(entities.values(), limit):
                yield min(1.0, done / max(1, total))
            # An entity that has news keeps its old events: the next page begins behind them.
            last, done = page[-1][:2], done + len(page)
        yield 1.0

    def _forget(self, entities: Iterable[Entity], limit: Limit) -> Iterator[None]:
        """In as many transactions as it takes; gives control back after each."""
        waiting = list(entities)
        while waiting:
            gone = Removed()
            with reading(self._connection) if self._dry_run else writing(self._connection, self._patience):
                turn = Turn(self._connection)
                while waiting and turn.lasts:
                    turn.count(self._forget_one(waiting.pop(), limit, gone))
            self.removed.entities.update(gone.entities)
            self.removed.rows.update(gone.rows)
            yield

    def _forget_one(self, entity: Entity, limit: Limit, gone: Removed) -> int:
        """The number of raw events it had, if it has expired; `gone` is what the transaction removes."""
        name = (entity_key(entity), *entity)
        newest, events = self._connection.execute(_NEWEST, name).fetchone()
        has_news = newest is None or newest >= limit.cutoff
        if has_news or self._dry_run:
            self._seen.add(name[0])
        if has_news:
            return 1
        gone.entities[entity.type] += 1
        gone.rows["raw_events"] += events
        if entity.type in PROJECTIONS:
            gone.rows[PROJECTIONS[entity.type]] += self._row(entity)
        if not self._dry_run:
            self._connection.execute(_FORGET, name)
        return int(events)

    def _row(self, entity: Entity) -> int:
        project_id, kind, id = entity
        if self._dry_run:
            return len(statements.stored_rows(self._connection, [entity]))
        return self._connection.execute(statements.DELETES[kind], (project_id, id)).rowcount

    def _expire_by_age(self, table: str, expired: str, limit: Limit) -> Iterator[float]:
        if self._dry_run:
            (rows,) = self._connection.execute(f"SELECT count(*) {expired}", limit).fetchone()
            self.removed.rows[table] += rows
            return
        find, remove = f"SELECT rowid {expired} LIMIT ?", f"DELETE FROM {table} WHERE rowid = ?"  # noqa: S608
        found = self._connection.execute(find, (*limit, 1)).fetchall()
        while found:
            with writing(self._connection, self._patience):
                turn = Turn(self._connection)
                found = self._connection.execute(find, (*limit, PAGE)).fetchall()
                for at in range(0, len(found), LOOK):
                    if not turn.lasts:
                        break
                    turn.count(self._connection.executemany(remove, found[at : at + LOOK]).rowcount)
            self.removed.rows[table] += turn.rows
            yield 0.0


class Turn:
    """What one transaction may do before it is a collector's turn. Made within the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ends = time.monotonic() + SECONDS
        self.rows = self._looked_at = self._freed = 0
        self._free = self._count_free()

    @property
    def lasts(self) -> bool:
        """At least until one thing is done, however little time there is."""
        return not self.rows or (self.rows < PAGE and self._freed < FREED and time.monotonic() < self._ends)

    def count(self, rows: int) -> None:
        """So many rows more are done with."""
        self.rows += rows
        if self.rows - self._looked_at >= LOOK:
            self._looked_at, self._freed = self.rows, self._count_free() - self._free

    def _count_free(self) -> int:
        (pages,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages)

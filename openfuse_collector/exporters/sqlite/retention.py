"""Retention in the embedded store: entities whose newest event is too old go whole, raw events included.

One transaction a page, so that the collector gets its turn between them. The file does not shrink: its pages are used again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
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
a time again and again. The collector waits half a second for them at most."""

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
_OLD_SPANS = "SELECT rowid FROM openfuse_raw_spans WHERE project_id = ? AND ingested_at < ? LIMIT ?"
_COUNT_SPANS = "SELECT count(*) FROM openfuse_raw_spans WHERE project_id = ? AND ingested_at < ?"
_LETTER_PROJECTS = "SELECT DISTINCT project_id FROM openfuse_dead_letters"
_OLD_LETTERS = "openfuse_dead_letters WHERE project_id = ? AND at < ?"


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
        """Spans first: one that is kept longer than its events would be mapped to them again."""
        self._spans(limit)
        self._letters(limit)
        (total,) = self._connection.execute(_COUNT_OLD, limit).fetchone()
        done, last = 0, (-1, -1)
        seen: set[int] = set()
        while page := self._connection.execute(_OLD, (*limit, *last, PAGE)).fetchall():
            entities = {key: Entity(limit.project_id, kind, id) for _, _, key, kind, id in page if key not in seen}
            if self._dry_run:
                seen |= entities.keys()
            self._forget(entities.values(), limit)
            # An entity that has news keeps its old events: the next page begins behind them.
            last, done = page[-1][:2], done + len(page)
            yield min(1.0, done / max(1, total))

    def _forget(self, entities: Iterable[Entity], limit: Limit) -> None:
        waiting = list(entities)
        while waiting:
            with reading(self._connection) if self._dry_run else writing(self._connection, self._patience):
                rows = 0
                while waiting and rows < PAGE:
                    rows += self._forget_one(waiting.pop(), limit)

    def _forget_one(self, entity: Entity, limit: Limit) -> int:
        """The number of raw events it had, if it has expired."""
        name = (entity_key(entity), *entity)
        newest, events = self._connection.execute(_NEWEST, name).fetchone()
        if newest is None or newest >= limit.cutoff:
            return 1
        self.removed.entities[entity.type] += 1
        self.removed.rows["raw_events"] += events
        if entity.type in PROJECTIONS:
            self.removed.rows[PROJECTIONS[entity.type]] += self._row(entity)
        if not self._dry_run:
            self._connection.execute(_FORGET, name)
        return int(events)

    def _row(self, entity: Entity) -> int:
        project_id, kind, id = entity
        if self._dry_run:
            return len(statements.stored_rows(self._connection, [entity]))
        return self._connection.execute(statements.DELETES[kind], (project_id, id)).rowcount

    def _spans(self, limit: Limit) -> None:
        if self._dry_run:
            (old,) = self._connection.execute(_COUNT_SPANS, limit).fetchone()
            self.removed.rows["openfuse_raw_spans"] += old
            return
        found: Sequence[tuple[int]] = [(0,)]
        while found:
            with writing(self._connection, self._patience):
                found = self._connection.execute(_OLD_SPANS, (*limit, PAGE)).fetchall()
                self._connection.executemany("DELETE FROM openfuse_raw_spans WHERE rowid = ?", found)
            self.removed.rows["openfuse_raw_spans"] += len(found)

    def _letters(self, limit: Limit) -> None:
        """Copies of dead letters, by when they were set aside."""
        (old,) = self._connection.execute(f"SELECT count(*) FROM {_OLD_LETTERS}", limit).fetchone()  # noqa: S608
        if old and not self._dry_run:
            with writing(self._connection, self._patience):
                self._connection.execute(f"DELETE FROM {_OLD_LETTERS}", limit)  # noqa: S608
        self.removed.rows["openfuse_dead_letters"] += old

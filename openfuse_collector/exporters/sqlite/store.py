"""The embedded store: one SQLite file in WAL mode, one writer, any number of readers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from openfuse_collector.crash_points import crash_point
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.enrich import Enrich, enrich
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.rows import raw_row
from openfuse_collector.exporters.sqlite import statements
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.locking import execute, transaction
from openfuse_collector.exporters.sqlite.schema import migrate
from openfuse_collector.exporters.sqlite.statements import entity_key
from openfuse_collector.exporters.sqlite.wal import WriteAheadLog
from openfuse_collector.open_files import is_named
from openfuse_collector.signals import Origin, RawSpan
from openfuse_collector.store.projector import Changes, Projector

PAGE_SIZE = 8192


class Store:
    """Owns the writing connection. Not thread-safe. Every method raises sqlite3.Error."""

    def __init__(self, config: SqliteConfig, enrich: Enrich = enrich) -> None:
        self._connection = connect(config)
        self._patience = config.busy_timeout
        self._path = Path(config.path)
        self._opened: os.stat_result | None = self._path.stat()
        self.log = WriteAheadLog(self._connection, self._path, config.wal_size)
        self._projector = Projector(self._history, enrich, config.fold_cache_size)
        self._data_version = -1
        self._keys: dict[Entity, int] = {}
        """Keys of the entities of the batch at hand, each worked out once."""

    def cursor(self, instance: str, pipeline: str) -> int | None:
        """The journal offset committed with the last batch of that pipeline."""
        found = self._connection.execute(
            "SELECT position FROM openfuse_cursors WHERE instance = ? AND pipeline = ?", (instance, pipeline)
        ).fetchone()
        return None if found is None else int(found[0])

    def write(
        self,
        events: Sequence[Event],
        cursor: tuple[str, str, int] | None = None,
        spans: Iterable[tuple[Origin, RawSpan]] = (),
        announced: Iterable[Event] = (),
    ) -> Changes:
        """Everything in one durable transaction: new raw events, the rows they lead to, `spans` they were made from, and
        `cursor` (instance, pipeline, position); those of `announced` that the store may lack.

        Raises PermanentError when an entity cannot be folded. After any exception nothing was written.
        """
        with self._transaction() as connection:
            self._notice_other_writers()
            given = self._projector.with_announcements(list(events), announced)
            changes = self._projector.apply(given)
            changes.events = len(given)
            crash_point("sqlite.write.before")
            self._write(changes)
            rows = (statements.raw_span_row(origin, span) for origin, span in spans)
            changes.spans = max(0, connection.executemany(statements.ADD_RAW_SPAN, rows).rowcount)
            if cursor is not None:
                connection.execute(statements.SET_CURSOR, cursor)
        return changes

    def copy(self, letters: Iterable[DeadLetter], gone: Iterable[str] = ()) -> None:
        """Keep copies of dead letters, and none of those that were replayed or dropped, in a transaction of their own."""
        with transaction(self._connection, self._patience):
            self._connection.executemany(statements.ADD_DEAD_LETTER, map(statements.dead_letter_row, letters))
            self._connection.executemany(statements.REMOVE_DEAD_LETTER, ((id,) for id in gone))

    def replaced(self) -> bool:
        """Whether the file at the path is no longer the one that is open: somebody removed it or put another there, or a link to it
        leads elsewhere.

        A store that is closed has no file open, also where its file has come back to its place.
        """
        return self._opened is None or not is_named(self._path, self._opened)

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        self._opened = None
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, what is remembered of entities included."""
        try:
            with transaction(self._connection, self._patience):
                yield self._connection
                crash_point("sqlite.commit.before")
            crash_point("sqlite.commit.after")
        except BaseException:
            self._projector.forget()
            raise
        finally:
            self._keys.clear()

    def _write(self, changes: Changes) -> None:
        connection, key = self._connection, self._key
        connection.executemany(statements.INSERT_RAW, ((key(event.entity), *raw_row(event)) for event in changes.raw))
        for event in changes.earlier:
            connection.execute(statements.EARLIER, statements.earlier_row(event, key(event.entity)))
        for kind, rows in changes.rows.items():
            statements.write_rows(connection, kind, rows)
        for project_id, kind, id in changes.gone:
            if kind in PROJECTIONS:
                connection.execute(statements.DELETES[kind], (project_id, id))

    def _notice_other_writers(self) -> None:
        """`data_version` moves when another connection has written: a second collector, a command of ours, a person."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            self._projector.forget()
            self._projector.horizons = statements.horizons(self._connection)
            self._data_version = version

    def _history(self, entities: Sequence[Entity]) -> Mapping[Entity, Iterable[Event]]:
        """All raw events of `entities`, in no particular order."""
        keys = {entity: self._key(entity) for entity in entities}
        known = statements.known_keys(self._connection, keys.values())
        return _Histories(self._connection, {entity: key for entity, key in keys.items() if key in known})

    def _key(self, entity: Entity) -> int:
        key = self._keys.get(entity)
        if key is None:
            key = self._keys[entity] = entity_key(entity)
        return key


class _Histories(Mapping[Entity, Iterable[Event]]):
    """The raw events of entities that have some, each read as it is gone over."""

    def __init__(self, connection: sqlite3.Connection, keys: Mapping[Entity, int]) -> None:
        self._connection = connection
        self._keys = keys

    def __getitem__(self, entity: Entity) -> Iterable[Event]:
        return statements.events_of(self._connection, entity, self._keys[entity])

    def __contains__(self, entity: object) -> bool:
        return entity in self._keys

    def __iter__(self) -> Iterator[Entity]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def connect(config: SqliteConfig) -> sqlite3.Connection:
    """A connection for one writer: WAL for concurrent readers, synchronous=FULL so that a commit survives a power cut."""
    Path(config.path).parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        config.path, timeout=config.busy_timeout, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        # Of two that make a file, SQLite tells one that it is locked, whatever the timeout.
        execute(connection, "PRAGMA journal_mode = WAL", config.busy_timeout)
        connection.execute("PRAGMA synchronous = FULL")
        # What is overwritten or freed is zeroes on the disk, by whoever: a deletion that erases cannot find what a row once said. Not every
        # build of SQLite does so unasked.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA cache_size = {-config.cache_size // 1024}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {max(1, config.wal_size // PAGE_SIZE)}")
        connection.execute(f"PRAGMA journal_size_limit = {config.wal_size}")
        connection.execute("PRAGMA busy_timeout = 0")  # see `locking`
        migrate(connection, config.busy_timeout)
    except BaseException:
        connection.close()
        raise
    return connection

"""The file of the dead letters: one SQLite database in a directory of its own, so that a group of letters costs one sync.

The collector writes it; the `dead-letters` commands read it beside the collector, and mark letters in it. A letter is `kept`
until somebody asks for its replay, `replay` until the stage that refused it has dealt with it, and `gone` after that until the
store that keeps copies has none of it. Whether it had one only the store knows: a copy is committed there before it is noted here.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from openfuse_collector.component import Kind
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.journal.files import OsFiles
from openfuse_collector.open_files import is_named
from openfuse_collector.signals import Origin, Signal

NAME = "letters.db"
_FILES = OsFiles()
BUSY_SECONDS = 30.0
"""How long one process waits for the other; each holds the file for one short transaction."""

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS letters (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL,"
    " at INTEGER NOT NULL, state TEXT NOT NULL, copied INTEGER NOT NULL, attempts INTEGER NOT NULL, size INTEGER NOT NULL,"
    " pipeline TEXT NOT NULL, component TEXT NOT NULL, kind TEXT NOT NULL, signal TEXT NOT NULL, project_id TEXT NOT NULL,"
    " position INTEGER NOT NULL, reason TEXT NOT NULL, origin TEXT NOT NULL, spans BLOB NOT NULL, payload BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS letters_size ON letters (size)",
    "CREATE INDEX IF NOT EXISTS letters_at ON letters (at)",
    "CREATE INDEX IF NOT EXISTS letters_uncopied ON letters (number) WHERE copied = 0",
    "CREATE INDEX IF NOT EXISTS letters_to_replay ON letters (number) WHERE state = 'replay'",
    "CREATE INDEX IF NOT EXISTS letters_gone ON letters (number) WHERE state = 'gone'",
)
_FIELDS = "at, pipeline, component, kind, reason, signal, origin, position, payload, spans"
_ADD = f"""
INSERT INTO letters ({_FIELDS}, id, size, project_id, state, copied, attempts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'kept', 0, 0)
ON CONFLICT (id) DO UPDATE SET at = excluded.at, reason = excluded.reason, size = excluded.size, payload = excluded.payload,
  spans = excluded.spans, state = 'kept', copied = 0, attempts = 0
"""  # noqa: S608 - no values in it

_REMOVE = """
UPDATE letters SET state = 'gone', size = 0, reason = '', payload = x'', spans = x'' WHERE state != 'gone' AND ({})
"""
_UNCOPIED = "copied = 0 AND state != 'gone'"
_BUT_FOR = " AND id NOT IN (SELECT value FROM json_each(?))"
_COPIED = "UPDATE letters SET copied = 1 WHERE id = ? AND at = ? AND reason = ?"


class LetterFile:
    """One connection. Not thread-safe. Every method raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection, path: Path, opened: os.stat_result) -> None:
        self._connection = connection
        self._path, self._opened = path, opened
        self._version: int | None = None

    @classmethod
    def create(cls, directory: Path) -> LetterFile:
        """Open the file in `directory`, made (0700, file 0600) where it is not there. Raises OSError, sqlite3.Error."""
        for folder in (directory.parent, directory):  # the journal's own may have been removed with it
            _FILES.make_directory(folder)
        path = directory / NAME
        opened = _made(path)
        connection = _connect(path.absolute().as_uri())
        try:
            connection.execute("PRAGMA auto_vacuum = FULL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {4 << 20}")
            for statement in SCHEMA:
                connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        _FILES.sync_directory(directory)
        return cls(connection, path, opened)

    @classmethod
    def existing(cls, directory: Path) -> LetterFile | None:
        """The file as a command uses it; None where no letter was ever written."""
        path = directory / NAME
        if not path.is_file() or not (opened := path.stat()).st_size:
            return None
        connection = _connect(path.absolute().as_uri() + "?mode=rw")
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'letters'").fetchone() is None:
            connection.close()  # a collector is just making it
            return None
        connection.execute("PRAGMA synchronous = FULL")
        return cls(connection, path, opened)

    def replaced(self) -> bool:
        """Whether the file was removed since, or another one put in its place: what is added is lost then. Raises OSError."""
        return not is_named(self._path, self._opened)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Keep letters durably, in one transaction. One that is there already, waiting for a replay or not, is kept once more
        with its new reason."""
        with self._transaction() as connection:
            connection.executemany(_ADD, map(_row, letters))

    def letters(self, condition: str, values: Sequence[Any] = (), most: int = -1) -> Iterator[tuple[str, DeadLetter]]:
        """(id, letter) of those that fulfil an SQL condition, oldest first."""
        query = f"SELECT id, {_FIELDS} FROM letters WHERE {condition} ORDER BY number LIMIT ?"  # noqa: S608
        for id, *fields in self._connection.execute(query, (*values, most)):
            yield id, _letter(fields)

    def uncopied(self, without: Collection[str], most: int) -> Iterator[tuple[str, DeadLetter]]:
        """(id, letter) of those no store has a copy of, oldest first, however many are left out."""
        left_out = msgspec.json.encode(list(without)).decode()
        return self.letters(_UNCOPIED + _BUT_FOR, (left_out,), most)

    def to_copy(self, id: str) -> DeadLetter | None:
        """A letter no store has a copy of, None where it is not one."""
        return next((letter for _, letter in self.letters(f"{_UNCOPIED} AND id = ?", (id,))), None)

    def rows(self, condition: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """What a list shows of letters, without their payload."""
        columns = ("id", "at", "state", "component", "pipeline", "project_id", "signal", "size", "reason")
        query = f"SELECT {', '.join(columns)} FROM letters WHERE {condition} ORDER BY at, number"  # noqa: S608
        return [dict(zip(columns, row, strict=True)) for row in self._connection.execute(query, values)]

    def totals(self) -> tuple[int, int]:
        """How many letters there are, and their bytes."""
        count, size = self._connection.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM letters WHERE size > 0"
        ).fetchone()
        return count, size

    def ask_for_replay(self, condition: str, values: Sequence[Any] = ()) -> int:
        """Mark kept letters to be offered again; gives how many."""
        update = f"UPDATE letters SET state = 'replay', attempts = 0 WHERE state = 'kept' AND ({condition})"  # noqa: S608
        with self._transaction() as connection:
            return connection.execute(update, values).rowcount

    def remove(self, condition: str, values: Sequence[Any] = ()) -> int:
        """Remove letters; gives how many. Nothing stays but their ids, until there is no copy of them."""
        with self._transaction() as connection:
            return connection.execute(_REMOVE.format(condition), values).rowcount

    def to_replay(self) -> list[tuple[Kind, str]]:
        """(kind, component) of the stages some letter is to be offered to."""
        found = self._connection.execute("SELECT DISTINCT kind, component FROM letters WHERE state = 'replay'")
        return [(Kind(kind), component) for kind, component in found]

    def attempt(self, ids: Sequence[str], change: int) -> None:
        """Count attempts to replay, before they are made; -1 takes one back."""
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE letters SET attempts = attempts + ? WHERE id = ?", ((change, id) for id in ids)
            )

    def keep_again(self, id: str, reason: str) -> None:
        """A letter that could not be offered to anybody stays, with what stood in the way as its reason. One that was dropped
        meanwhile does not."""
        keep = "UPDATE letters SET state = 'kept', copied = 0, reason = ? WHERE id = ? AND state = 'replay'"
        with self._transaction() as connection:
            connection.execute(keep, (reason, id))

    def drop_older_than(self, at: int) -> int:
        """Forget letters refused before `at` (epoch milliseconds); gives how many."""
        with self._transaction() as connection:
            return connection.execute("DELETE FROM letters WHERE at < ? AND state = 'kept'", (at,)).rowcount

    def drop_beyond(self, max_size: int) -> int:
        """Forget the oldest letters until the others are within `max_size` bytes; gives how many. What waits for its replay stays."""
        _, size = self.totals()
        if size <= max_size:
            return 0
        with self._transaction() as connection:
            last = 0
            for number, freed in connection.execute(
                "SELECT number, size FROM letters WHERE state = 'kept' ORDER BY number"
            ):
                last, size = number, size - freed
                if size <= max_size:
                    break
            return connection.execute("DELETE FROM letters WHERE state = 'kept' AND number <= ?", (last,)).rowcount

    def gone(self, most: int) -> list[str]:
        """Ids of removed letters of which a store may have copies."""
        found = self._connection.execute("SELECT id FROM letters WHERE state = 'gone' LIMIT ?", (most,))
        return [id for (id,) in found]

    def copied(self, letters: Iterable[DeadLetter], gone: Iterable[str]) -> None:
        """A store has copies of `letters` now, and none of `gone` any more. What was refused again meanwhile is yet to be copied."""
        with self._transaction() as connection:
            connection.executemany(_COPIED, ((letter.id, letter.at, letter.reason) for letter in letters))
            connection.executemany("DELETE FROM letters WHERE id = ? AND state = 'gone'", ((id,) for id in gone))

    def forget_uncopied(self) -> None:
        """Where no store keeps copies: nobody will say of removed letters that there is none."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM letters WHERE state = 'gone' AND copied = 0")

    def changed(self) -> bool:
        """Whether somebody else has written since this was asked last; the first time the answer is yes."""
        before = self._version
        (self._version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return self._version != before

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """One state of the file for several reads, whatever a command does beside them."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _row(letter: DeadLetter) -> tuple[Any, ...]:
    return (
        letter.at,
        letter.pipeline,
        letter.component,
        letter.kind,
        letter.reason.encode("utf-8", "replace").decode(),
        letter.signal,
        msgspec.json.encode(letter.origin).decode(),
        letter.position,
        letter.payload,
        letter.spans,
        letter.id,
        letter.size,
        letter.project_id,
    )


def _letter(fields: Sequence[Any]) -> DeadLetter:
    at, pipeline, component, kind, reason, signal, origin, position, payload, spans = fields
    sender = msgspec.json.decode(origin, type=Origin)
    return DeadLetter(at, pipeline, component, Kind(kind), reason, Signal(signal), sender, position, payload, spans)


def _made(path: Path) -> os.stat_result:
    """The file at `path`, empty where there was none; the files SQLite puts beside it get its mode."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)

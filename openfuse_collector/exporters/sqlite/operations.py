"""What the commands do to the embedded store; see `store.operations`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from openfuse_collector.config.types import Duration
from openfuse_collector.enrich import Enrich
from openfuse_collector.errors import CollectorError
from openfuse_collector.events.event import Entity
from openfuse_collector.exporters.sqlite import statements
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.deletion import Deletion
from openfuse_collector.exporters.sqlite.locking import PATIENCE, is_busy, writing
from openfuse_collector.exporters.sqlite.members import projects_of
from openfuse_collector.exporters.sqlite.rebuild import Rebuild
from openfuse_collector.exporters.sqlite.retention import Expiry
from openfuse_collector.exporters.sqlite.store import PAGE_SIZE, connect
from openfuse_collector.exporters.sqlite.wal import BESIDE
from openfuse_collector.store.rebuild import Selection

_CURSOR = "SELECT position FROM openfuse_cursors WHERE instance = ? AND pipeline = ?"


class SqliteOperations:
    """One file. Opened at the first use, read-only until something is to be written."""

    erases = True
    failures: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, config: SqliteConfig) -> None:
        self._config = config
        self.where = str(Path(config.path))
        self._connections: dict[bool, sqlite3.Connection] = {}

    def explain(self, error: Exception) -> str:
        """What SQLite says, and what to do about the file being in use."""
        remedy = f"; another program has been writing to it for {PATIENCE:g}s: try again when it is done"
        return f"{self.where}: {error}{remedy if is_busy(error) else ''}"

    def check(self) -> None:
        """Raises CollectorError where there is no file, or another kind of file."""
        if not Path(self._config.path).is_file():
            raise CollectorError(
                f"no store at {self.where}: start one with `openfuse-collector run`, or name it with --store or OPENFUSE_STORE"
            )
        with closing(self._reader()) as reader:
            if not statements.has_table(reader, "openfuse_schema_migrations"):
                raise CollectorError(f"{self.where} is no store of this program")

    @contextmanager
    def changing(self, reason: str) -> Iterator[None]:
        """Nothing to do: whoever writes to the file sees by its data version that somebody else has."""
        yield

    def changed_tables(self) -> Sequence[str]:
        """None: a row that is replaced or deleted leaves nothing behind that would have to be merged."""
        return ()

    def merge(self, table: str) -> None:
        """Nothing to do."""

    def rebuild(self, enrich: Enrich, selection: Selection, *, dry_run: bool) -> Rebuild:
        """See `rebuild`."""
        return Rebuild(self._connection(dry_run), enrich, selection, dry_run=dry_run)

    def find_traces(self, id: str, project: str | None) -> list[Entity]:
        """See `members`."""
        projects = projects_of(self._connection(read_only=True), id, project)
        return [Entity(found, "trace", id) for found in projects]

    def deletion(self, *, erase: bool, dry_run: bool) -> Deletion:
        """See `deletion`."""
        return Deletion(self._connection(dry_run), erase=erase, dry_run=dry_run)

    def expiry(self, *, dry_run: bool) -> Expiry:
        """See `retention`."""
        return Expiry(self._connection(dry_run), dry_run=dry_run)

    def rewind(self, instance: str, pipeline: str, offset: int, *, dry_run: bool) -> int | None:
        """The cursor that was committed with the data; none where there is no file yet."""
        if not Path(self._config.path).is_file():
            return None
        connection = self._connection(dry_run)
        found = connection.execute(_CURSOR, (instance, pipeline)).fetchone()
        if found is not None and found[0] > offset and not dry_run:
            with writing(connection, PATIENCE):
                connection.execute(statements.SET_CURSOR, (instance, pipeline, offset))
        return None if found is None else int(found[0])

    def close(self) -> None:
        """Closes what was opened."""
        while self._connections:
            self._connections.popitem()[1].close()

    def _connection(self, read_only: bool) -> sqlite3.Connection:
        if read_only not in self._connections:
            self._connections[read_only] = self._reader() if read_only else self._writer()
        return self._connections[read_only]

    def _writer(self) -> sqlite3.Connection:
        connection = connect(replace(self._config, busy_timeout=Duration(PATIENCE)))
        pages = BESIDE * self._config.wal_size // PAGE_SIZE
        connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
        return connection

    def _reader(self) -> sqlite3.Connection:
        uri = f"{Path(self._config.path).absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)

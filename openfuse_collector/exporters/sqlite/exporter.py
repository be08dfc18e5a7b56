"""The `sqlite` exporter: batches of events into the embedded store, cursor included."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial

from openfuse_collector.component import Settings
from openfuse_collector.errors import CollectorError, PermanentError, RetryableError
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.locking import is_busy
from openfuse_collector.exporters.sqlite.operations import SqliteOperations
from openfuse_collector.exporters.sqlite.store import Store
from openfuse_collector.signals import Batch
from openfuse_collector.store.enrichment import configured_enrichment
from openfuse_collector.store.upkeep import Upkeep
from openfuse_collector.telemetry.limited import Limited

UNSTORABLE = (
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.IntegrityError,
    OverflowError,
    UnicodeError,
)
"""What SQLite says of values it cannot take. Every other error (locked, full, I/O, corrupt) is about the file, and waiting may help."""


class SqliteExporter:
    """One instance owns the file's fold; see `Store`."""

    def __init__(self, settings: Settings, config: SqliteConfig) -> None:
        self._settings = settings
        self._log = Limited(settings.log)
        self._path = config.path
        self._open = partial(Store, config, configured_enrichment(settings))
        try:
            self._store = self._open()
        except (sqlite3.Error, OSError) as error:
            remedy = "`path` must be a SQLite file, or none yet, in a directory this user may write to"
            if is_busy(error):
                remedy = f"it was in use by another program for {config.busy_timeout:g}s: try again when that is done"
            raise CollectorError(f"exporters::{settings.id}: cannot open {config.path}: {error}; {remedy}") from error
        self._keeps_copies = settings.dead_letters.keep_copies(str(settings.id))
        self._upkeep = Upkeep(settings, config.retention, partial(SqliteOperations, config))
        metrics, id = settings.metrics, str(settings.id)
        written = metrics.counter("openfuse_store_written_rows", "Rows the store has committed.", ["exporter", "table"])
        self._raw = written.labels(id, "raw_events")
        self._spans = written.labels(id, "openfuse_raw_spans")
        self._rows = {kind: written.labels(id, table) for kind, table in PROJECTIONS.items()}
        self._known = metrics.counter(
            "openfuse_store_duplicate_events", "Events the store already had.", ["exporter"]
        ).labels(id)

    async def start(self) -> None:
        """The file is open since construction, because its cursors are needed to build the pipelines."""
        self._settings.log.info("store is open, `openfuse-collector traces` reads it", path=self._path)
        self._upkeep.start()

    async def shutdown(self) -> None:
        """Close the file; may take a moment when the write-ahead log is large."""
        await asyncio.to_thread(self._upkeep.stop)
        await asyncio.to_thread(self._store.close)

    def cursor(self, pipeline: str) -> int | None:
        """The position committed with the data."""
        return self._store.cursor(self._settings.instance, pipeline)

    def export(self, batch: Batch) -> None:
        """Write one batch and its cursor in one transaction."""
        events = [event for item in batch.items for event in item.data]
        announced = [event for item in batch.items for event in item.announced]
        spans = [(item.origin, span) for item in batch.items for span in item.spans]
        cursor = None if batch.end is None else (self._settings.instance, batch.pipeline, batch.end)
        try:
            if self._store.replaced():
                self._reopen()
            self._copy_dead_letters()
            changes = self._store.write(events, cursor, spans, announced)
        except UNSTORABLE as error:
            raise PermanentError(f"{type(error).__name__}: {error}") from error
        except (sqlite3.Error, OSError) as error:
            raise RetryableError(f"{self._path}: {error}") from error
        finally:
            self._hold_log()
        self._raw.inc(len(changes.raw))
        self._known.inc(changes.events - len(changes.raw))
        self._spans.inc(changes.spans)
        for kind in PROJECTIONS.keys() & changes.rows.keys():
            self._rows[kind].inc(len(changes.rows[kind]))

    def idle(self) -> None:
        """Between batches: keep the copies of dead letters up to date, and the write-ahead log small that others write meanwhile."""
        self._copy_dead_letters()
        self._hold_log()

    def _hold_log(self) -> None:
        """After every attempt, whatever became of it: SQLite folds the log after a commit, and a log that has filled the disk lets
        nobody commit. The batch is stored, or not, whatever becomes of this."""
        try:
            if self._store.log.hold():
                return
            reason = "somebody reads the store, or writes to it, without a pause"
            remedy = "end what reads the file for minutes; see exporters::sqlite::wal_size"
        except sqlite3.Error as error:
            reason, remedy = str(error), "see that the disk of the store has room and is well"
        self._log.warning(
            ("wal", reason),
            "the write-ahead log grows, it cannot be begun anew",
            error=reason,
            mib=self._store.log.size >> 20,
            remedy=remedy,
        )

    def _reopen(self) -> None:
        """Go on in a new file: what is written to one without a name would be gone with the process."""
        self._settings.log.error(
            "the store's file was removed or replaced while in use, opening it anew", path=self._path
        )
        self._store.close()
        self._store = self._open()

    def _copy_dead_letters(self) -> None:
        """Copies for people who look into the store. The file beside the journal is what counts, so no batch waits for them."""
        if not self._keeps_copies:
            return
        dead_letters = self._settings.dead_letters
        try:
            letters, gone = dead_letters.changes()
            if letters or gone:
                self._store.copy(letters, gone)
                dead_letters.copied(letters, gone)
        except (sqlite3.Error, OSError) as error:
            self._log.warning("copies", "dead letters are not copied into the store, will try again", error=str(error))

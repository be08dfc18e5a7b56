"""What the database needs beside rows: raw_events flushed, and a warning before a table has more files than can be read.

Before a flush, looking up one entity reads the whole of the newest data (117 ms against 6 ms in Openfuse's measurement); the server's
own flush comes after half an hour. Never per batch: every flush makes a file, and a region of more than 384 cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event, Thread
from time import monotonic

from openfuse_collector.component import Settings
from openfuse_collector.config.types import Duration
from openfuse_collector.exporters.greptimedb import ddl
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.errors import CallError
from openfuse_collector.exporters.greptimedb.sql import SqlClient

FLUSH = "ADMIN flush_table('raw_events')"


PATIENCE = 3600.0
"""Seconds to wait for one statement that merges files: it takes as long as the table is large."""


def patient(config: GreptimedbConfig) -> SqlClient:
    """A client for such statements. To be closed."""
    return SqlClient(replace(config, timeout=Duration(PATIENCE)))


def compact(client: SqlClient, table: str) -> None:
    """Flush a table and merge its files, after many rows were written or deleted. Raises CallError."""
    client.run(f"ADMIN flush_table({ddl.literal(table)})")
    client.run(compaction(table))


def compaction(table: str) -> str:
    """Makes one file per day of data. Window 0 is for tables without a long TTL only."""
    return f"ADMIN compact_table({ddl.literal(table)}, 'strict_window', '86400')"


def files_by_table(client: SqlClient, database: str) -> dict[str, int]:
    """Files of the region that has most of them, for every table. Raises CallError.

    Statistics are about the whole cluster and know tables by number only; the two are brought together here, without a JOIN.
    """
    of_database = f"table_schema = {ddl.literal(database)}"
    names = dict(client.rows(ddl.select(("table_id", "table_name"), "information_schema.tables", of_database)))
    files: dict[str, int] = {}
    for table, number in client.rows(
        ddl.select(("table_id", "sst_num"), "information_schema.region_statistics", "TRUE")
    ):
        if table in names:
            files[names[table]] = max(files.get(names[table], 0), number or 0)
    return files


class Maintenance:
    """A thread that does these things now and then. What fails is tried again when it is due again."""

    def __init__(self, settings: Settings, config: GreptimedbConfig, sql: SqlClient) -> None:
        self._config = config.maintenance
        self._database = config.database
        self._log = settings.log
        self._sql = sql
        self._id = str(settings.id)
        self._files = settings.metrics.gauge(
            "openfuse_greptimedb_files", "Files of the region that has most of them, by table.", ["exporter", "table"]
        )
        self._stop = Event()
        self._wrote = Event()
        self._thread = Thread(target=self._run, name="greptimedb maintenance", daemon=True)

    def start(self) -> None:
        """Begin, unless everything is off."""
        if self._config.flush_interval or self._config.check_interval:
            self._thread.start()

    def stop(self) -> None:
        """Idempotent, and safe without `start`."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)  # a call under way may end with the process

    def wrote(self) -> None:
        """There is something new to flush."""
        self._wrote.set()

    def flush(self) -> None:
        """Flush raw_events if anything was written since the last time that worked. Raises CallError."""
        if self._wrote.is_set():
            self._wrote.clear()  # first: what is written meanwhile may not be in it
            try:
                self._sql.run(FLUSH)
            except BaseException:
                self._wrote.set()
                raise

    def check(self) -> None:
        """Count files; warn about tables that have too many, and merge theirs. Raises CallError."""
        for table, files in files_by_table(self._sql, self._database).items():
            self._files.labels(self._id, table).set(files)
            if files >= self._config.warn_at_files:
                self._log.warning(
                    "a table has many files, reading it gets slow and stops at 384",
                    table=table,
                    files=files,
                    advice=compaction(table),
                )
                if self._config.compact:
                    compact(self._sql, table)

    def _run(self) -> None:
        tasks = ((self._config.flush_interval, self.flush), (self._config.check_interval, self.check))
        due = [(monotonic() + interval, interval, task) for interval, task in tasks if interval]
        while not self._stop.wait(max(0.0, min(at for at, _, _ in due) - monotonic())):
            now = monotonic()
            for index, (at, interval, task) in enumerate(due):
                if at <= now:
                    self._attempt(task)
                    due[index] = (now + interval, interval, task)

    def _attempt(self, task: Callable[[], None]) -> None:
        try:
            task()
        except CallError as error:
            self._log.info("maintenance of the store did not work this time", task=task.__name__, error=str(error))
        except Exception:
            self._log.exception("maintenance of the store failed unexpectedly, will be tried again", task=task.__name__)

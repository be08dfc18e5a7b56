"""What the database needs beside rows: raw_events flushed, and files merged before a table has more of them than can be read.

Before a flush, looking up one entity reads the whole of the newest data (117 ms against 6 ms in Openfuse's measurement); the server's
own flush comes after half an hour. Never per batch: every flush makes a file, and a region of more than 384 cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from threading import Event, Thread
from time import monotonic

from openfuse_collector.component import Settings
from openfuse_collector.exporters.greptimedb import compaction, ddl
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.errors import CallError, Cause
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from openfuse_collector.threads import end

FLUSH = "ADMIN flush_table('raw_events')"
GROWN = 1.1
"""A table that was dealt with, and still has too many files, is dealt with again when it has so many times as many."""


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


@dataclass
class _Crowded:
    """A table that has too many files."""

    files: int
    """The fewest since it was dealt with."""
    warned: float = -inf
    """When to warn again."""
    merged: float = -inf
    """When to merge again."""


class Maintenance:
    """Two threads that do these things now and then, for merging takes long. What fails is tried again when it is due again."""

    def __init__(
        self, settings: Settings, config: GreptimedbConfig, sql: SqlClient, clock: Callable[[], float] = monotonic
    ) -> None:
        self._config = config
        self._settings = config.maintenance
        self._clock = clock
        self._crowded: dict[str, _Crowded] = {}
        self._log = settings.log
        self._sql = sql
        self._id = str(settings.id)
        self._files = settings.metrics.gauge(
            "openfuse_greptimedb_files", "Files of the region that has most of them, by table.", ["exporter", "table"]
        )
        self._stop = Event()
        self._wrote = Event()
        tasks = ((self._settings.flush_interval, self.flush), (self._settings.check_interval, self.check))
        self._threads = [
            Thread(target=self._every, args=(interval, task), name=f"greptimedb {task.__name__}", daemon=True)
            for interval, task in tasks
            if interval
        ]

    def start(self) -> None:
        """Begin, unless everything is off."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Idempotent, and safe without `start`."""
        end(self._stop, *self._threads)

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
        """Count files; warn about tables that have too many, and merge theirs, one table after the other. Raises CallError."""
        counted = files_by_table(self._sql, self._config.database)
        for table, files in counted.items():
            self._files.labels(self._id, table).set(files)
        crowded = {table: files for table, files in counted.items() if files >= self._settings.warn_at_files}
        self._crowded = {table: known for table, known in self._crowded.items() if table in crowded}
        for table, files in crowded.items():
            if not self._stop.is_set():
                self._relieve(table, files)

    def _relieve(self, table: str, files: int) -> None:
        """Warn once a day, merge once: what that leaves will not become fewer by doing it again."""
        known = self._crowded.get(table)
        if known is None or files >= GROWN * known.files:
            known = self._crowded[table] = _Crowded(files)
        known.files = min(known.files, files)
        now = self._clock()
        if now >= known.warned:
            known.warned = now + compaction.DAY
            self._warn(table, files)
        if self._settings.compact and now >= known.merged:
            known.merged = self._merge(table, now)

    def _warn(self, table: str, files: int) -> None:
        try:
            advice = compaction.statement(self._sql, self._config, table)
        except CallError as error:
            advice = f"merge its files as docs/greptimedb.md says (Sizing); its times cannot be asked: {error}"
        text = "a table has many files, reading it gets slow and stops at 384"
        self._log.warning(text, table=table, files=files, advice=advice)

    def _merge(self, table: str, now: float) -> float:
        """When to do it again if there are too many files then: at the next check where it failed, tomorrow where it may be under way."""
        try:
            compaction.compact(self._config, table)
        except CallError as error:
            self._log.info("the files of a table could not be merged this time", table=table, error=str(error))
            return now + compaction.DAY if error.cause is Cause.UNCLEAR else now
        return inf

    def _every(self, interval: float, task: Callable[[], None]) -> None:
        while not self._stop.wait(interval):
            self._attempt(task)

    def _attempt(self, task: Callable[[], None]) -> None:
        try:
            task()
        except CallError as error:
            self._log.info("maintenance of the store did not work this time", task=task.__name__, error=str(error))
        except Exception:
            self._log.exception("maintenance of the store failed unexpectedly, will be tried again", task=task.__name__)

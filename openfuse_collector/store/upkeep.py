"""Retention while the collector runs: a thread of its own, a connection of its own, the same pass as the command's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from threading import Event, Thread

from openfuse_collector.clock import epoch_millis
from openfuse_collector.component import Settings
from openfuse_collector.errors import CollectorError
from openfuse_collector.store.operations import Operations, Removed
from openfuse_collector.store.retention import RetentionConfig
from openfuse_collector.threads import end

FIRST_PASS = 60.0
"""Seconds after the start at the latest: a collector that is often restarted expires data too."""


class Upkeep:
    """Removes what has expired at an interval. A pass that fails is tried again when the next is due."""

    def __init__(self, settings: Settings, retention: RetentionConfig, operations: Callable[[], Operations]) -> None:
        self._retention = retention
        self._operations = operations
        self._log = settings.log
        self._id = str(settings.id)
        self._expired = settings.metrics.counter(
            "openfuse_store_expired_rows", "Rows removed by retention, by table.", ["exporter", "table"]
        )
        self._stop = Event()
        self._thread = Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Begin, if anything is to expire by itself."""
        if self._retention.scheduled:
            self._thread.start()

    def stop(self) -> None:
        """Idempotent, and safe without `start`. A pass under way ends after the step it is at: a transaction or a page."""
        end(self._stop, self._thread, patience=5.0)

    def _run(self) -> None:
        pause = min(self._retention.interval, FIRST_PASS)
        while not self._stop.wait(pause):
            self._attempt()
            pause = self._retention.interval

    def _attempt(self) -> None:
        """One pass. Whatever becomes of it, the thread goes on: the store itself may be what cannot be had at the moment."""
        try:
            with closing(self._operations()) as store:
                self._pass(store)
        except CollectorError as error:
            self._log.warning("retention did not work this time", error=str(error))
        except Exception:
            self._log.exception("retention failed unexpectedly, will be tried again")

    def _pass(self, store: Operations) -> None:
        """Raises CollectorError; what was removed until then is told."""
        try:
            store.check()
            expiry = store.expiry(dry_run=False)
            try:
                with store.changing("retention"):
                    for _ in expiry.expire(self._retention, epoch_millis()):
                        if self._stop.is_set():
                            break
            finally:
                self._tell(expiry.removed)
        except store.failures as error:
            raise CollectorError(store.explain(error)) from error

    def _tell(self, removed: Removed) -> None:
        for table, rows in removed.rows.items():
            self._expired.labels(self._id, table).inc(rows)
        if removed.entities:
            self._log.info("expired data removed", **dict(removed.entities))

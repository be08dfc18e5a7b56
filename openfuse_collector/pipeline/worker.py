"""The thread in front of an exporter: a short queue, retries for ever, and the search for the entity at fault."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from threading import Event as Flag
from threading import Thread

import structlog
from prometheus_client import Counter

from openfuse_collector.component import ComponentID, Exporter
from openfuse_collector.crash_points import crash_point
from openfuse_collector.errors import PermanentError, RetryableError
from openfuse_collector.pipeline.count import count_items
from openfuse_collector.pipeline.dead_letters import DeadLetters
from openfuse_collector.pipeline.retry import RetryConfig, Stopped, pause
from openfuse_collector.pipeline.split import parts
from openfuse_collector.signals import Batch
from openfuse_collector.telemetry.metrics import Metrics

QUEUED_BATCHES = 2
"""One being written, one ready: more would only move the wait from the journal, which is durable, into memory."""
BUG_ATTEMPTS = 3
"""An error nobody foresaw is tried this often before the data counts as the cause."""
COUNTED = {"traces": "spans", "logs": "log_records", "metrics": "metric_points", "events": "events"}


class ExporterWorker:
    """Consumer that queues batches for one exporter and exports them in order on its own thread.

    `consume` blocks while the queue is full, which stops the pipeline from reading on. Once `stopping` is set no attempt is made any
    more; the batches left have not called `done`, so their cursor has not moved.
    """

    def __init__(
        self,
        id: ComponentID,
        exporter: Exporter,
        retry: RetryConfig,
        dead_letters: DeadLetters,
        stopping: Flag,
        metrics: Metrics,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._id = str(id)
        self._exporter = exporter
        self._retry = retry
        self._dead_letters = dead_letters
        self._log = log
        self._metrics = metrics
        self._queue: queue.Queue[Batch | None] = queue.Queue(QUEUED_BATCHES)
        self._stopping = stopping
        self._thread = Thread(target=self._run, name=f"exporter {id}", daemon=True)
        self._seconds = metrics.histogram(
            "openfuse_exporter_export_seconds", "Time of one export call that succeeded.", ["exporter"]
        )
        self._queue_size = metrics.gauge(
            "otelcol_exporter_queue_size", "Batches waiting for the exporter.", ["exporter"]
        )
        self._queue_size.labels(self._id).set_function(self._queue.qsize)
        metrics.gauge(
            "otelcol_exporter_queue_capacity", "Batches that may wait for the exporter.", ["exporter"]
        ).labels(self._id).set(QUEUED_BATCHES)

    def start(self) -> None:
        """Begin exporting."""
        self._thread.start()

    def consume(self, batch: Batch) -> None:
        """Queue a batch. Raises Stopped when the service goes down meanwhile."""
        while True:
            if self._stopping.is_set():
                raise Stopped
            try:
                self._queue.put(batch, timeout=0.2)
            except queue.Full:
                continue
            return

    def join(self, timeout: float) -> None:
        """After `stopping` was set: wait for the export under way, at most `timeout` seconds."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            pass
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            batch = self._queue.get()
            if batch is None:
                return
            try:
                self._finish(batch)
            except Stopped:
                return

    def _finish(self, batch: Batch) -> None:
        """Deliver the batch, whatever happens: an error nobody foresaw even while setting aside is tried again for ever."""
        for delay in self._retry.delays():
            try:
                self._deliver(batch)
            except Stopped:
                raise
            except Exception:
                self._log.exception(
                    "a batch can neither be exported nor set aside, will retry", retry_in=round(delay, 3)
                )
                pause(self._stopping, delay)
            else:
                break
        batch.delivery.done()

    def _deliver(self, batch: Batch) -> None:
        """Export all of `batch`, or set aside what can never be exported."""
        delays = self._retry.delays()
        bugs = 0
        while not self._stopping.is_set():
            try:
                crash_point("exporter.export.before")
                with self._seconds.labels(self._id).time():
                    self._exporter.export(batch)
                crash_point("exporter.export.after")
            except RetryableError as error:
                self._wait(delays, error)
            except PermanentError as error:
                self._narrow(batch, str(error))
                return
            except Exception as error:
                bugs += 1
                self._log.exception("exporter failed unexpectedly", attempt=bugs)
                if bugs >= BUG_ATTEMPTS:
                    self._narrow(batch, f"{type(error).__name__}: {error}")
                    return
                self._wait(delays, RetryableError(str(error)))
            else:
                self._counter("sent", batch).inc(_count(batch))
                return
        raise Stopped

    def _wait(self, delays: Iterator[float], error: RetryableError) -> None:
        delay = max(next(delays), error.after or 0)
        self._log.warning("export failed, will retry", error=str(error), retry_in=round(delay, 3))
        pause(self._stopping, delay)

    def _narrow(self, batch: Batch, reason: str) -> None:
        smaller = parts(batch)
        for part in smaller:
            self._deliver(part)
        if not smaller:
            self._set_aside(batch, reason)

    def _set_aside(self, batch: Batch, reason: str) -> None:
        for item in batch.items:
            self._dead_letters.add(item, batch.pipeline, self._id, reason, batch.signal)
        self._counter("send_failed", batch).inc(_count(batch))

    def _counter(self, outcome: str, batch: Batch) -> Counter:
        name = f"otelcol_exporter_{outcome}_{COUNTED[batch.signal]}"
        return self._metrics.counter(name, f"Items the exporter has {outcome.replace('_', ' ')}.", ["exporter"]).labels(
            self._id
        )


def _count(batch: Batch) -> int:
    return sum(count_items(item) for item in batch.items)

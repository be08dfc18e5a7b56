"""The thread in front of an exporter: a short queue, retries for ever, and the search for the entity at fault."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import suppress
from threading import Event as Flag
from threading import Thread
from time import perf_counter
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter

from openfuse_collector.component import ComponentID, Exporter, Kind
from openfuse_collector.crash_points import crash_point
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.errors import PartialError, PermanentError, RetryableError, SuspectError
from openfuse_collector.pipeline.count import count_items
from openfuse_collector.pipeline.exporter_state import ExporterState
from openfuse_collector.pipeline.outage import Outage
from openfuse_collector.pipeline.retry import RetryConfig, Stopped, pause
from openfuse_collector.pipeline.search import Part, Search
from openfuse_collector.pipeline.split import parts
from openfuse_collector.signals import COUNTED, Batch, Delivery
from openfuse_collector.telemetry.limited import Limited
from openfuse_collector.telemetry.metrics import Metrics

QUEUED_BATCHES = 2
"""One being written, one ready: more would only move the wait from the journal, which is durable, into memory."""
IDLE_SECONDS = 1.0
"""Without a batch for this long an exporter may do what it does beside exporting."""
BUG_ATTEMPTS = 3
"""An error nobody foresaw is tried this often before the data counts as the cause."""
SUSPECT_ATTEMPTS = 5
"""A batch the destination fails with is tried whole this often before its parts are tried alone."""


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
        self.id = str(id)
        self._exporter = exporter
        self._retry = retry
        self._dead_letters = dead_letters
        self._log = Limited(log)
        self._outage = Outage(log)
        self.state = ExporterState()
        self._queue: queue.Queue[Batch | None] = queue.Queue(QUEUED_BATCHES)
        self._stopping = stopping
        self._thread = Thread(target=self._run, name=f"exporter {id}", daemon=True)
        self._make_metrics(metrics)

    def status(self) -> dict[str, Any]:
        """JSON values: how the exporter is doing."""
        return {**self.state.status(), "queued_batches": self._queue.qsize()}

    def start(self) -> None:
        """Begin exporting."""
        self._thread.start()

    def consume(self, batch: Batch) -> None:
        """Queue a batch. Raises Stopped when the service goes down meanwhile."""
        while True:
            self._unless_stopping()
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
            try:
                batch = self._queue.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                self._idle()
                continue
            if batch is None:
                return
            try:
                self._finish(batch)
            except Stopped:
                return

    def _idle(self) -> None:
        """Exporters with something to do between batches, a store with copies of dead letters for one, have a method `idle`."""
        try:
            getattr(self._exporter, "idle", lambda: None)()
        except Exception as error:
            self._log.warning(
                "idle", "what is done between batches failed, will retry", error=f"{type(error).__name__}: {error}"
            )

    def _finish(self, batch: Batch) -> None:
        """Deliver the batch, whatever happens: an error nobody foresaw even while setting aside is tried again for ever."""
        for delay in self._retry.delays():
            try:
                self._deliver(batch)
                self._dead_letters.sync()
            except Stopped:
                raise
            except Exception as error:
                self._log.error(
                    type(error).__name__,
                    "a batch can neither be exported nor set aside, will retry",
                    retry_in=round(delay, 3),
                    exc_info=True,
                )
                pause(self._stopping, delay)
            else:
                break
        batch.delivery.done()

    def _deliver(self, batch: Batch) -> None:
        """Export all of `batch`, or set aside what can never be exported."""
        delays = self._retry.delays()
        failed = 0
        while (error := self._attempt(batch)) is not None:
            if isinstance(error, PermanentError):
                self._narrow(batch, str(error))
                return
            if isinstance(error, SuspectError):
                failed += 1
                if failed == SUSPECT_ATTEMPTS:
                    self._search(batch, error)
                    return
            self._wait(delays, error)

    def _attempt(self, batch: Batch) -> PermanentError | RetryableError | None:
        """Export once and say how it went; what nobody foresaw is tried a few times and counts as permanent then. Raises Stopped."""
        delays = self._retry.delays()
        for attempt in range(1, BUG_ATTEMPTS + 1):
            self._unless_stopping()
            try:
                crash_point("exporter.export.before")
                began = perf_counter()
                self._exporter.export(batch)
                took = perf_counter() - began
                crash_point("exporter.export.after")
            except PartialError as error:
                # Which ones it rejected, a destination does not say; what is sent again now would be there twice.
                self._outage.succeeded()
                self._set_aside(batch, f"{error.rejected} of {_count(batch)} items rejected: {error}")
                self._dead_letters.sync()
                return None
            except (PermanentError, RetryableError) as error:
                self._unless_stopping()
                return error
            except Exception as error:
                self._unless_stopping()
                self._bugs.inc()
                failure = f"{type(error).__name__}: {error}"
                self._log.error(type(error).__name__, "exporter failed unexpectedly", attempt=attempt, exc_info=True)
                if attempt < BUG_ATTEMPTS:
                    self._wait(delays, RetryableError(failure, kind=type(error).__name__))
            else:
                self.state.succeeded()
                self._outage.succeeded()
                self._seconds.labels(self.id).observe(took)
                self._counter("sent", batch).inc(_count(batch))
                return None
        return PermanentError(failure)

    def _unless_stopping(self) -> None:
        """Raises Stopped when the service goes down: an error of an exporter that is being closed says nothing about the data."""
        if self._stopping.is_set():
            raise Stopped

    def _wait(self, delays: Iterator[float], error: RetryableError) -> None:
        delay = max(next(delays), error.after or 0)
        self.state.failed(str(error))
        self._retries.inc()
        self._outage.failed(error, delay)
        pause(self._stopping, delay)

    def _search(self, batch: Batch, error: SuspectError) -> None:
        """Deliver a batch the destination keeps failing with, and those that come meanwhile, until nothing is in doubt any more."""
        self._log.warning(
            "search",
            "the destination fails again and again: trying the data in parts",
            items=len(batch.items),
            error=str(error),
        )
        search, delays = Search(self._retry), self._retry.delays()
        search.begin(batch, Delivery(on_wait=batch.delivery.waits))
        while search:
            part = search.next()
            if part is None:
                self._let_through(search)
                continue
            failure = self._attempt(part.batch)
            if failure is None:
                search.taken(part)
                delays = self._retry.delays()
            elif isinstance(failure, PermanentError):
                if not search.divide(part):
                    self._give_up(search, part, str(failure))
            elif not isinstance(failure, SuspectError):
                search.again(part)
                self._wait(delays, failure)
            elif search.failed(part):
                self._give_up(search, part, f"fails alone, while others are taken: {failure}")
            else:
                if search.hopeless:
                    self._wait(delays, failure)
                self._let_through(search)

    def _let_through(self, search: Search) -> None:
        """After one suspect, and while all wait for their next attempt, the next batch has its turn: with many, or slow ones, there is
        always one due. Its cursor counts only with those before it."""
        if not search.has_room:
            pause(self._stopping, search.wait())
            return
        with suppress(queue.Empty):
            batch = self._queue.get(timeout=search.wait())
            if batch is None:
                raise Stopped
            search.add(msgspec.structs.replace(batch, end=None), Delivery(batch.delivery.done, batch.delivery.waits))

    def _give_up(self, search: Search, part: Part, reason: str) -> None:
        """Set a part aside. Where even that fails, it goes on being searched for: batches that were let through depend on it."""
        try:
            self._set_aside(part.batch, reason)
            self._dead_letters.sync()
        except Stopped:
            raise
        except Exception as error:
            self._log.error(type(error).__name__, "a dead letter cannot be made, will retry", exc_info=True)
            search.later(part)
        else:
            part.share.done()

    def _narrow(self, batch: Batch, reason: str) -> None:
        smaller = parts(batch)
        for part in smaller:
            self._deliver(part)
        if not smaller:
            self._set_aside(batch, reason)

    def _set_aside(self, batch: Batch, reason: str) -> None:
        self.state.refused(reason)
        for item in batch.items:
            self._dead_letters.add(item, batch.pipeline, self.id, reason, batch.signal, kind=Kind.EXPORTER)
        self._counter("send_failed", batch).inc(_count(batch))

    def _counter(self, outcome: str, batch: Batch) -> Counter:
        name = f"otelcol_exporter_{outcome}_{COUNTED[batch.signal]}"
        return self._metrics.counter(name, f"Items the exporter has {outcome.replace('_', ' ')}.", ["exporter"]).labels(
            self.id
        )

    def _make_metrics(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._retries = metrics.counter(
            "openfuse_exporter_retries", "Export calls that failed and were, or will be, repeated.", ["exporter"]
        ).labels(self.id)
        self._seconds = metrics.histogram(
            "openfuse_exporter_export_seconds", "Time of one export call that succeeded.", ["exporter"]
        )
        self._bugs = metrics.counter(
            "openfuse_exporter_unexpected_errors", "Errors of an exporter that nobody foresaw.", ["exporter"]
        ).labels(self.id)
        metrics.gauge("otelcol_exporter_queue_size", "Batches waiting for the exporter.", ["exporter"]).labels(
            self.id
        ).set_function(self._queue.qsize)
        metrics.gauge(
            "otelcol_exporter_queue_capacity", "Batches that may wait for the exporter.", ["exporter"]
        ).labels(self.id).set(QUEUED_BATCHES)


def _count(batch: Batch) -> int:
    return sum(count_items(item) for item in batch.items)

"""The thread that writes the log: everything that is queued goes to disk with one write and one sync (group commit)."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from openfuse_collector.errors import OverloadError, PermanentError, RetryableError
from openfuse_collector.journal.bounds import Bounds, Refusal
from openfuse_collector.journal.record import HEADER_SIZE
from openfuse_collector.signals import Origin
from openfuse_collector.telemetry.limited import Limited
from openfuse_collector.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

MAX_BATCH = 8 * 1024 * 1024
"""Bytes written before a sync; more only delays the first of them."""

TICK = 1.0
"""Seconds between two rounds of housekeeping."""


REMEDIES = {
    "queue": "a faster disk for service::journal::directory, or fewer senders",
    "max_size": "see why a pipeline does not finish (/status), or raise service::journal::max_size",
    "max_backlog": "see why the pipeline's exporters fail (/status), or raise its max_backlog",
    "min_free_disk": "make room on the disk of service::journal::directory",
    "disk": "see to the disk of service::journal::directory: full, read-only or failing",
}
"""Reason of a refusal -> what helps."""


class Pending(NamedTuple):
    """A record on its way to disk and the coroutine that waits for it."""

    future: asyncio.Future[int]
    origin: Origin
    encoded: bytes
    """The origin as msgpack."""
    payload: bytes
    data: Any

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return HEADER_SIZE + len(self.encoded) + len(self.payload)


class Writer:
    """`submit` from any event loop; `write` and `tidy` run on the writer's own thread."""

    def __init__(
        self,
        bounds: Bounds,
        write: Callable[[Sequence[Pending], int], Sequence[int]],
        tidy: Callable[[], None],
        metrics: Metrics,
        log: BoundLogger,
    ) -> None:
        """`write` makes a batch of so many bytes durable and returns the offsets; it raises OSError when the disk refuses."""
        self._bounds = bounds
        self._write = write
        self._tidy = tidy
        self._log = log
        self._limited = Limited(log)
        self._refused = metrics.counter(
            "openfuse_journal_refused_requests", "Requests not taken, by the bound that was reached.", ("reason",)
        )
        self._queue: deque[Pending] = deque()
        self._queued = 0
        self._wake = Condition()
        self._idle = False
        self._due = False
        self._closed = False
        self.failing: Refusal | None = None
        """What the disk said to the last write, None when it took it. Of the writer's thread."""
        self.failed_size = 0
        """Bytes of that write."""
        self._thread = Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def submit(self, pending: Pending) -> None:
        """Queue one record. Raises OverloadError at a bound, PermanentError for a record that could never fit."""
        size = pending.size
        if size > self._bounds.largest:
            raise PermanentError(f"a request of {size} bytes is larger than the journal may become")
        with self._wake:
            if self._closed:
                raise OverloadError("the journal is closed", after=5.0)
            refusal = self._bounds.refusal(size, self._queued)
            if refusal is None:
                self._queue.append(pending)
                self._queued += size
                if self._idle:
                    self._wake.notify()
                return
        raise self.refuse(refusal)

    def poke(self) -> None:
        """Do the housekeeping now instead of at the next tick."""
        with self._wake:
            self._due = True
            self._wake.notify()

    def close(self) -> None:
        """Take no more, write what is queued, end the thread. Idempotent."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        tidied = monotonic()
        while True:
            batch, size = self._next(tidied + TICK)
            if batch:
                self._commit(batch, size)
            elif self._closed:
                return
            if self._due or monotonic() >= tidied + TICK:
                self._due = False
                self._keep_house()
                tidied = monotonic()

    def _keep_house(self) -> None:
        try:
            self._tidy()
        except Exception:  # a bug there must not end the thread all senders depend on
            self._limited.error("housekeeping", "journal housekeeping failed", exc_info=True)

    def _next(self, deadline: float) -> tuple[list[Pending], int]:
        """Everything queued, up to `MAX_BATCH` bytes; nothing at the deadline, when housekeeping is due or at the end."""
        batch: list[Pending] = []
        size = 0
        with self._wake:
            if not (self._queue or self._due or self._closed):
                self._idle = True
                self._wake.wait(max(deadline - monotonic(), 0))
                self._idle = False
            while self._queue and (not batch or size + self._queue[0].size <= MAX_BATCH):
                pending = self._queue.popleft()
                size += pending.size
                batch.append(pending)
        return batch, size

    def _commit(self, batch: Sequence[Pending], size: int) -> None:
        offsets: Sequence[int] = ()
        failure: Exception | None = None
        try:
            offsets = self._write(batch, size)
            self._bounds.spend(size)
        except Exception as error:
            failure = error
        with self._wake:
            self._queued -= size
        if failure is None:
            _wake_waiters(batch, offsets, None)
            self.recovered()
        else:
            self._fail(batch, size, failure)

    def _fail(self, batch: Sequence[Pending], size: int, error: Exception) -> None:
        """Tell every waiter of the batch that nothing was taken. Logged once a minute until a write succeeds again."""
        if isinstance(error, OSError):
            self._limited.error("failing", "the disk refuses the journal, senders are told to retry", error=str(error))
            self.failing = Refusal("disk", f"the journal's disk refuses: {error}", 2.0)
            self.failed_size = size
        else:
            self._limited.error(type(error).__name__, "writing the journal failed", exc_info=error)
        answer = self.refuse(Refusal("disk", f"the journal's disk refuses: {error}", 2.0), len(batch))
        _wake_waiters(batch, [0] * len(batch), answer)

    def recovered(self) -> None:
        """The disk has taken something. On the writer's thread."""
        if self.failing is not None:
            self.failing = None
            self._log.info("the disk takes the journal again")

    def refuse(self, refusal: Refusal, requests: int = 1) -> RetryableError:
        """The answer to requests that are not taken, counted and logged. From any thread."""
        self._refused.labels(refusal.reason).inc(requests)
        self._limited.warning(
            refusal.reason,
            "requests refused by the journal, senders are told to retry",
            reason=refusal.reason,
            why=refusal.message,
            remedy=REMEDIES[refusal.reason],
        )
        return OverloadError(refusal.message, after=refusal.after)


def _wake_waiters(batch: Sequence[Pending], offsets: Sequence[int], error: RetryableError | None) -> None:
    """One call into each event loop, however many coroutines wait there."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], int]]] = defaultdict(list)
    for pending, offset in zip(batch, offsets, strict=True):
        by_loop[pending.future.get_loop()].append((pending.future, offset))
    for loop, waiters in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, waiters, error)
        except RuntimeError:  # the loop is closed: nobody waits any more, the records are kept all the same
            continue


def _settle(waiters: Sequence[tuple[asyncio.Future[int], int]], error: RetryableError | None) -> None:
    for future, offset in waiters:
        if future.done():  # the sender went away
            continue
        if error is None:
            future.set_result(offset)
        else:
            future.set_exception(OverloadError(str(error), after=error.after))

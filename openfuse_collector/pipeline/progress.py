"""The low-water mark of a pipeline: how far everything before an offset is finished, whatever order batches finish in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition

from openfuse_collector.signals import Delivery


@dataclass
class Unfinished:
    """A batch that was handed out."""

    size: int
    """Payload bytes, 0 once it waits for others."""
    received_at: int | None
    """Epoch nanoseconds of its oldest request, None for one without requests."""
    through: int
    """Offset up to which everything behind the batch is finished: its own end, or that of later batches that were quicker."""


class Progress:
    """Hands out a delivery per batch and moves the cursor to the end of the oldest unbroken run of finished ones. Thread-safe.

    Only what is unfinished is remembered, so that it stays small while one batch waits for a store for days and others, or records
    of other pipelines, go past it.
    """

    def __init__(self, commit: Callable[[int], None]) -> None:
        self._commit = commit
        self._changed = Condition()
        self._unfinished: dict[int, Unfinished] = {}  # by end offset, in the order the batches were read
        self._size = 0

    def begin(
        self, end: int, finished: Callable[[], None] = lambda: None, size: int = 0, received_at: int | None = None
    ) -> Delivery:
        """A new batch of `size` bytes that ends at `end`, behind all earlier ones; `finished` is called when it is dealt with."""
        with self._changed:
            self._unfinished[end] = Unfinished(size, received_at, end)
            self._size += size

        def on_done() -> None:
            finished()
            self._finish(end)

        return Delivery(on_done, lambda: self._wait(end))

    def go_past(self, end: int) -> None:
        """Behind all earlier batches there was nothing to hand out up to `end`."""
        with self._changed:
            self._finished_through(end, next(reversed(self._unfinished.values()), None))

    def _wait(self, end: int) -> None:
        """A batch that waits for others takes none of their room, or they would never be read."""
        with self._changed:
            if (batch := self._unfinished.get(end)) is not None:
                self._size -= batch.size
                batch.size = 0
                self._changed.notify_all()

    def _finish(self, end: int) -> None:
        with self._changed:
            before = None
            for other, batch in self._unfinished.items():
                if other == end:
                    break
                before = batch
            finished = self._unfinished.pop(end)
            self._size -= finished.size
            self._finished_through(finished.through, before)
            self._changed.notify_all()

    def _finished_through(self, offset: int, before: Unfinished | None) -> None:
        """`before` is the youngest unfinished batch in front of it, None where the cursor may go there."""
        if before is None:
            self._commit(offset)
        else:
            before.through = offset

    @property
    def idle(self) -> bool:
        """True when every batch handed out is finished."""
        return not self._unfinished

    @property
    def oldest(self) -> int | None:
        """Receive time (epoch nanoseconds) of the oldest request that is not finished; None when all are."""
        with self._changed:
            times = (batch.received_at for batch in self._unfinished.values())
            return min((at for at in times if at is not None), default=None)

    def wait_room(self, bound: int, timeout: float) -> bool:
        """Block until unfinished batches, but for those that wait for others, hold less than `bound` bytes, or none is left, or
        `timeout` seconds passed; tells whether there is room."""
        with self._changed:
            return self._changed.wait_for(lambda: self._size < bound or not self._unfinished, timeout)

    def wait_idle(self, timeout: float) -> bool:
        """Block until everything is finished or `timeout` seconds passed; tells which."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._unfinished, timeout)

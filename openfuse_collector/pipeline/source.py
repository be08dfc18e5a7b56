"""The thread of a journalled pipeline: reads the journal, drives the stages, moves the cursor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import repeat
from threading import Event as Flag
from threading import Thread
from typing import Any

from openfuse_collector.component import Consumer
from openfuse_collector.config.service import BatchConfig
from openfuse_collector.crash_points import crash_point
from openfuse_collector.journal import Reader
from openfuse_collector.pipeline.count import count_items
from openfuse_collector.pipeline.progress import Progress
from openfuse_collector.pipeline.queued import Queued
from openfuse_collector.pipeline.retry import Stopped
from openfuse_collector.signals import Batch, Item, Signal
from openfuse_collector.telemetry.metrics import Metrics

POLL = 0.25
"""Longest time the thread stays inside the journal before it looks whether it should stop."""

UNFINISHED = 2
"""Batches' worth of bytes (`max_bytes`) that may be unfinished before another batch is read. Full batches of spans of a few KB
are smaller than that by far; requests of many MB travel one at a time."""

FIRST = 256
"""Items in the first batch after the start."""


def batch_sizes(most: int) -> Iterator[int]:
    """How many items batch after batch may have: few at first, then twice as many each time, up to `most`.

    A process that dies again and again, out of memory for one, gets ahead by what it finishes in between; with full batches from the
    start it might never finish one.
    """
    size = FIRST
    while size < most:
        yield size
        size *= 2
    yield from repeat(most)


class Source:
    """Feeds one pipeline from the journal until told to stop.

    An error nobody foresaw ends the thread: the batch has been shared out, and only a restart, which goes on from the cursor, deals with it
    for certain. `crashed` is told, so that the service can say it is not well.
    """

    def __init__(
        self,
        pipeline: str,
        signal: Signal,
        reader: Reader,
        batching: BatchConfig,
        following: Consumer,
        crashed: Callable[[str], None],
        metrics: Metrics,
        *,
        queued: Queued,
        pressed: Callable[[], bool] = lambda: False,
        keeps_cursor: bool = True,
    ) -> None:
        """`pressed` tells that memory is short: one batch at a time is taken then."""
        self.pipeline = pipeline
        self._queued = queued
        self._pressed = pressed
        self._crash = False
        self._signal = signal
        self._reader = reader
        self._batching = batching
        self._following = following
        self._crashed = crashed
        self._keeps_cursor = keeps_cursor
        self.progress = Progress(reader.commit)
        self._finishing = Flag()
        self._stopping = Flag()
        self._thread = Thread(target=self._run, name=f"pipeline {pipeline}", daemon=True)
        self._lag = metrics.gauge(
            "openfuse_ingest_lag_seconds",
            "Age of the newest request of a batch at the moment the batch was finished everywhere.",
            ["pipeline"],
        ).labels(pipeline)

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    def finish(self) -> None:
        """Read what is left in the journal, then no more."""
        self._finishing.set()

    def drain(self, deadline: float) -> bool:
        """After `finish`: wait until everything is finished everywhere, until `deadline` (of `time.monotonic`) at the latest; tells
        whether that worked."""
        if self._thread.is_alive():
            self._thread.join(max(0.0, deadline - time.monotonic()))
        drained = not self._thread.is_alive() and self.progress.wait_idle(max(0.0, deadline - time.monotonic()))
        self._stopping.set()
        return drained

    def join(self) -> None:
        """Wait for the thread after `drain`; its consumers must have been stopped, or it may be blocked by them."""
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        try:
            self._feed()
        except Stopped:
            return
        except Exception as error:
            self._crash = True
            self._crashed(f"pipeline {self.pipeline} has stopped: {type(error).__name__}: {error}")

    def _feed(self) -> None:
        batching, read_to = self._batching, -1
        sizes = batch_sizes(batching.max_items)
        size = next(sizes)
        while not self._stopping.is_set():
            if not self.progress.wait_room(1 if self._pressed() else UNFINISHED * batching.max_bytes, POLL):
                continue
            finishing = self._finishing.is_set()
            items, end = self._reader.take(
                size,
                batching.max_bytes,
                0 if finishing else batching.timeout,
                0 if finishing else POLL,
                count_items,
            )
            if not items and end == read_to:
                if finishing:
                    return
                continue
            read_to = end
            if not items:
                self.progress.go_past(end)
                continue
            crash_point("pipeline.read")
            self._following.consume(self._batch(items, end))
            size = next(sizes)
            del items  # while it waits for more, nothing of the last batch is kept

    def _batch(self, items: list[Item], end: int) -> Batch:
        count = 0
        for item in items:
            items_in_it = count_items(item)
            self._queued.read(item, items_in_it)
            count += items_in_it
        received = items[0].origin.received_at, items[-1].origin.received_at
        size = sum(item.size for item in items)
        delivery = self.progress.begin(end, partial(self._finished, received[1], count), size, received[0])
        return Batch(self._signal, items, self.pipeline, end if self._keeps_cursor else None, delivery)

    def _finished(self, received_at: int, count: int) -> None:
        self._queued.add(-count)
        self._lag.set(max(0.0, time.time() - received_at / 1e9))

    def status(self) -> dict[str, Any]:
        """JSON values: whether it runs, and how far behind it is. `oldest_unprocessed` is ISO-8601, lag in seconds."""
        oldest = self.progress.oldest
        return {
            "state": "stopped" if self._crash else "idle" if oldest is None else "working",
            "queued_items": self._queued.items,
            "lag_seconds": 0.0 if oldest is None else round(max(0.0, time.time() - oldest / 1e9), 3),
            "oldest_unprocessed": oldest
            and datetime.fromtimestamp(oldest / 1e9, UTC).isoformat(timespec="milliseconds"),
        }

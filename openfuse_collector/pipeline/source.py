"""The thread of a journalled pipeline: reads the journal, drives the stages, moves the cursor."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from threading import Event as Flag
from threading import Thread

from openfuse_collector.component import Consumer
from openfuse_collector.config.service import BatchConfig
from openfuse_collector.crash_points import crash_point
from openfuse_collector.journal import Reader
from openfuse_collector.pipeline.count import count_items
from openfuse_collector.pipeline.progress import Progress
from openfuse_collector.pipeline.retry import Stopped
from openfuse_collector.signals import Batch, Signal
from openfuse_collector.telemetry.metrics import Metrics

POLL = 0.25
"""Longest time the thread stays inside the journal before it looks whether it should stop."""


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
        keeps_cursor: bool = True,
    ) -> None:
        self._pipeline = pipeline
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

    def drain(self, timeout: float) -> bool:
        """Read what is left in the journal, wait until it is finished everywhere, at most `timeout` seconds; tells whether that worked."""
        deadline = time.monotonic() + timeout
        self._finishing.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
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
            self._crashed(f"pipeline {self._pipeline} has stopped: {type(error).__name__}: {error}")

    def _feed(self) -> None:
        batching, read_to = self._batching, -1
        while not self._stopping.is_set():
            finishing = self._finishing.is_set()
            items, end = self._reader.take(
                batching.max_items,
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
                self.progress.begin(end).done()
                continue
            crash_point("pipeline.read")
            delivery = self.progress.begin(end, partial(self._finished, items[-1].origin.received_at))
            self._following.consume(
                Batch(self._signal, items, self._pipeline, end if self._keeps_cursor else None, delivery)
            )

    def _finished(self, received_at: int) -> None:
        self._lag.set(max(0.0, time.time() - received_at / 1e9))

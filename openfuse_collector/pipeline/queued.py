"""How many spans, log records or events have been accepted for a pipeline and are not finished: a gauge, kept from both ends."""

from __future__ import annotations

from threading import Lock

from openfuse_collector.pipeline.count import count_items
from openfuse_collector.signals import Item
from openfuse_collector.telemetry.metrics import Metrics


class Queued:
    """Of one pipeline. Thread-safe: receivers add on the event loop, the pipeline subtracts where its batches end.

    What an earlier process left in the journal counts from the moment it is read: before, nobody knows how much it is.
    """

    def __init__(self, pipeline: str, metrics: Metrics, journal_end: int) -> None:
        self.items = 0
        self._lock = Lock()
        self._left_until = journal_end
        self._gauge = metrics.gauge(
            "openfuse_pipeline_queued_items",
            "Spans, log records or events that were accepted for a pipeline and are not finished.",
            ["pipeline"],
        ).labels(pipeline)

    def add(self, items: int) -> None:
        """So many are on their way into the journal (or, negative, are finished or were refused)."""
        with self._lock:
            self.items += items
            self._gauge.set(self.items)

    def read(self, item: Item, items: int) -> None:
        """The pipeline has read a request of so many."""
        if item.position < self._left_until:
            self.add(items)

    def given_up(self, item: Item) -> None:
        """A request will never be read."""
        if item.position >= self._left_until:
            self.add(-count_items(item))

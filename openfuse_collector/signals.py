"""What travels through a pipeline: signals, the origin of a request, items and batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from threading import Lock
from typing import Any

import msgspec


class Signal(StrEnum):
    """The kind of data a pipeline carries. `events` is this project's own: Langfuse ingestion events."""

    TRACES = "traces"
    LOGS = "logs"
    METRICS = "metrics"
    EVENTS = "events"


COUNTED = {
    Signal.TRACES: "spans",
    Signal.LOGS: "log_records",
    Signal.METRICS: "metric_points",
    Signal.EVENTS: "events",
}
"""Signal -> what is counted of it, in the words of the Collector's metrics."""


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """Who sent a request, through what, and when. Kept in the journal beside the payload."""

    signal: Signal
    receiver: str
    """Component id of the receiver, `otlp` or `otlp/eu`."""
    received_at: int
    """Epoch nanoseconds."""
    project_id: str = "default"
    public_key: str = ""
    """Never a secret."""
    sdk_name: str = "unknown"
    sdk_version: str = "unknown"


class RawSpan(msgspec.Struct, frozen=True, gc=False):
    """One span as the connector got it, to be kept beside the events made of it."""

    source: str
    """Digest of the span with its scope and resource: what `source` is in the metadata of its events."""
    trace_id: str
    span_id: str
    """Hexadecimal, empty where the span has none."""
    start_time: int
    """Epoch milliseconds, 0 where the span has none."""
    payload: bytes
    """See `store.raw_spans`."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """One accepted request: its origin, its place in the journal and its decoded data.

    `data` is an `ExportTraceServiceRequest` (traces), an `ExportLogsServiceRequest` (logs) or a list of `Event` (events).
    Consumers share it: nobody writes to it. A processor that changes data makes a new item.
    """

    origin: Origin
    position: int
    """Offset of the journal record, unique in this collector."""
    data: Any
    size: int
    """Payload bytes, for bounds."""
    spans: Sequence[RawSpan] = ()
    """Of events: the spans they were made from, where those are to be kept too."""
    announced: Sequence[Any] = ()
    """Of events: more of them, which announce traces that were announced before. A store that others have changed since may lack those."""


class Delivery:
    """Counts the consumers that still have to finish a batch, and calls back once when all have.

    Fan-out takes a share per branch with `fork`; each consumer calls `done` exactly once. Thread-safe.
    """

    __slots__ = ("_lock", "_on_done", "_on_wait", "_open")

    def __init__(self, on_done: Callable[[], None] = lambda: None, on_wait: Callable[[], None] = lambda: None) -> None:
        """`on_wait` is called when a consumer cannot go on with the batch before others behind it were tried."""
        self._open = 1
        self._on_done = on_done
        self._on_wait = on_wait
        self._lock = Lock()

    def fork(self, branches: int) -> None:
        """One share becomes `branches` shares (0 finishes it at once)."""
        if branches == 0:
            self.done()
            return
        with self._lock:
            self._open += branches - 1

    def waits(self) -> None:
        """What is left of the batch waits for others. May be said more than once."""
        self._on_wait()

    def done(self) -> None:
        """One consumer has dealt with the batch for good: stored, forwarded, filtered or dead-lettered."""
        with self._lock:
            self._open -= 1
            finished = self._open == 0
        if finished:
            self._on_done()


class Batch(msgspec.Struct, gc=False):
    """Some consecutive items of one pipeline."""

    signal: Signal
    items: Sequence[Item]
    pipeline: str
    """Id of the journalled pipeline that owns the cursor."""
    end: int | None
    """Journal offset behind the last item: what the pipeline's cursor becomes once this and all earlier batches are finished.
    None for a part of a batch: finishing it proves nothing about the rest."""
    delivery: Delivery

    @property
    def size(self) -> int:
        """Payload bytes of all items."""
        return sum(item.size for item in self.items)

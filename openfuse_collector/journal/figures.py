"""The journal's own metrics, made in one place."""

from __future__ import annotations

from openfuse_collector.telemetry.metrics import Metrics


class Figures:
    """Size, traffic and speed of one journal."""

    def __init__(self, metrics: Metrics) -> None:
        self.bytes = metrics.gauge("openfuse_journal_bytes", "Bytes in all segments of the journal.")
        self._records = metrics.counter("openfuse_journal_records", "Requests appended to the journal.")
        self._appended = metrics.counter(
            "openfuse_journal_appended_bytes", "Bytes appended to the journal, headers included."
        )
        self._fsync = metrics.histogram("openfuse_journal_fsync_seconds", "Duration of one sync of the journal.")
        self._lag = metrics.gauge(
            "openfuse_journal_cursor_lag_bytes", "Bytes of the journal a pipeline has not finished.", ("pipeline",)
        )

    def synced(self, seconds: float) -> None:
        """One sync took so long."""
        self._fsync.observe(seconds)

    def written(self, records: int, size: int) -> None:
        """So many records, of `size` bytes together, are durable."""
        self._records.inc(records)
        self._appended.inc(size)

    def lag(self, pipeline: str, size: int) -> None:
        """A pipeline has so many bytes in front of it."""
        self._lag.labels(pipeline).set(size)


class GivenUp:
    """What pipelines will never deliver, whoever decides that."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests = metrics.counter(
            "openfuse_pipeline_given_up_requests",
            "Requests a pipeline has not delivered because its quota was full, or because it was taken out of the configuration.",
            ["pipeline"],
        )
        self._bytes = metrics.counter(
            "openfuse_pipeline_given_up_bytes", "Bytes of the journal they were in.", ["pipeline"]
        )

    def begin(self, pipeline: str) -> None:
        """It may have to give up: the counters are there from the start, or the first step of all would raise no alert."""
        self.count(pipeline, 0, 0)

    def count(self, pipeline: str, requests: int, size: int) -> None:
        """So many requests, in `size` bytes of the journal, are given up."""
        self._requests.labels(pipeline).inc(requests)
        self._bytes.labels(pipeline).inc(size)

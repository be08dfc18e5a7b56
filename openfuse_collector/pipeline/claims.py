"""Which requests in the journal belong to which pipeline, and which belong to none any more."""

from __future__ import annotations

from collections.abc import Callable, Collection
from threading import Lock

import structlog

from openfuse_collector.component import ComponentID
from openfuse_collector.config.service import CollectorConfig
from openfuse_collector.journal import made_by
from openfuse_collector.signals import Origin, Signal
from openfuse_collector.telemetry.metrics import Metrics


class Claims:
    """Answers for every pipeline whether a journal record is its own. Records that are nobody's are counted and logged once.

    The journal lets a pipeline have what was accepted for it, also by a receiver it does not have any more. These are requests of
    receivers whose whole pipeline is gone, or of which the journal has forgotten whose they are.
    """

    def __init__(self, config: CollectorConfig, metrics: Metrics) -> None:
        self._claimed = {
            (id.signal, str(receiver))
            for id, pipeline in config.service.pipelines.items()
            for receiver in pipeline.receivers
        }
        self._unclaimed = metrics.counter(
            "openfuse_journal_unclaimed_requests",
            "Requests left behind by a receiver that no pipeline takes data from any more, counted by each pipeline that passed them.",
            ["receiver"],
        )
        self._told: set[tuple[Signal, str]] = set()
        self._lock = Lock()

    def of(self, signal: Signal, receivers: Collection[ComponentID]) -> Callable[[Origin], bool]:
        """Whether a pipeline of that signal and those receivers is to process a record."""
        own = {(signal, str(receiver)) for receiver in receivers}
        return lambda origin: (origin.signal, origin.receiver) in own

    def makers(self, signal: Signal, receivers: Collection[ComponentID]) -> frozenset[str]:
        """The same as the journal keeps it with the cursors."""
        return frozenset(made_by(signal, str(receiver)) for receiver in receivers)

    def passed(self, origin: Origin) -> None:
        """A pipeline goes past a record that is not its own. On the pipeline's thread."""
        made_by = origin.signal, origin.receiver
        if made_by in self._claimed:
            return
        self._unclaimed.labels(origin.receiver).inc()
        with self._lock:
            first = made_by not in self._told
            self._told.add(made_by)
        if first:
            structlog.get_logger().warning(
                "the journal holds requests that no pipeline takes: they are passed over",
                receiver=origin.receiver,
                signal=str(origin.signal),
                remedy="configure the receiver under its old name once more, and start again, before the journal has deleted them",
            )

"""The real machine around one component: dead letters in a temporary directory, a worker in front of an exporter, steps before it."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from openfuse_collector.component import ComponentID, Consumer, Exporter, Settings
from openfuse_collector.config.types import Duration
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.payloads import decode_letter
from openfuse_collector.pipeline.retry import RetryConfig
from openfuse_collector.pipeline.worker import ExporterWorker
from openfuse_collector.signals import Batch, Delivery
from openfuse_collector.telemetry.metrics import Metrics
from openfuse_collector.testing.numbered import numbers_in

PATIENCE = 300.0
"""Seconds for a batch to be finished. Far more than is ever needed."""
AT_ONCE = RetryConfig(initial_interval=Duration(0.0005), max_interval=Duration(0.001))


class Surroundings:
    """What the service gives its components."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="openfuse-contract-")
        self.directory = Path(self._directory.name)
        self.metrics = Metrics()
        self.log: structlog.stdlib.BoundLogger = structlog.get_logger()
        self.stopping = threading.Event()
        self.letters = DeadLetters(self.directory / "dead-letters", self.stopping, self.metrics, self.log)

    def settings(self, id: str = "contract", extensions: Mapping[ComponentID, Any] | None = None) -> Settings:
        """Settings for a component of that id."""
        type_, _, name = id.partition("/")
        extensions = extensions or {}
        return Settings(
            ComponentID(type_, name), self.log, self.metrics, self.letters, "contract-1", extensions=extensions
        )

    def dead(self) -> list[DeadLetter]:
        """All dead letters, oldest first."""
        self.letters.sync()
        return self.letters.use(lambda file: [letter for _, letter in file.letters("state = 'kept'")]) or []

    def dead_numbers(self) -> list[int]:
        """The numbers in all dead letters."""
        return [number for letter in self.dead() for number in numbers_in(decode_letter(letter))]

    @contextmanager
    def worker(self, exporter: Exporter) -> Iterator[ExporterWorker]:
        """The machine's own worker in front of an exporter, with pauses too short to notice."""
        id = ComponentID("contract")
        made = ExporterWorker(id, exporter, AT_ONCE, self.letters, self.stopping, self.metrics, self.log)
        made.start()
        try:
            yield made
        finally:
            self.stopping.set()
            made.join(PATIENCE)

    def close(self) -> None:
        """Remove what is on disk."""
        self.letters.close()
        self._directory.cleanup()


def deliver(first: Consumer, batches: Iterator[Batch]) -> None:
    """Hand batches to the first stage, and wait until each is finished everywhere. AssertionError when one never is."""
    finished: list[threading.Event] = []
    for some in batches:
        done = threading.Event()
        finished.append(done)
        some.delivery = Delivery(done.set)
        first.consume(some)
    for done in finished:
        assert done.wait(PATIENCE), "a batch was never finished: somebody did not call delivery.done()"

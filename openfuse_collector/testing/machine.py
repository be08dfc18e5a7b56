"""The real machine around one component: dead letters in a temporary directory, a worker in front of an exporter, steps before it."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from openfuse_collector.component import ComponentID, Consumer, Exporter, Settings
from openfuse_collector.config.types import Duration
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.payloads import decode_letter
from openfuse_collector.pipeline.retry import RetryConfig, Stopped
from openfuse_collector.pipeline.worker import ExporterWorker
from openfuse_collector.signals import Batch, Delivery
from openfuse_collector.telemetry.metrics import Metrics
from openfuse_collector.testing.numbered import numbers_in

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
    def worker(self, exporter: Exporter, patience: float) -> Iterator[ExporterWorker]:
        """The machine's own worker in front of an exporter, with pauses too short to notice."""
        id = ComponentID("contract")
        made = ExporterWorker(id, exporter, AT_ONCE, self.letters, self.stopping, self.metrics, self.log)
        made.start()
        try:
            yield made
        finally:
            self.stopping.set()
            made.join(patience)

    def close(self) -> None:
        """Remove what is on disk."""
        self.letters.close()
        self._directory.cleanup()


class _Counted(Delivery):
    """Knows how often it was told that the batch is dealt with: once is right."""

    __slots__ = ("calls", "finished")

    def __init__(self) -> None:
        self.calls = 0
        self.finished = threading.Event()
        super().__init__(self.finished.set)

    def done(self) -> None:
        self.calls += 1
        super().done()


@contextmanager
def delivered(
    first: Consumer, batches: Iterable[Batch], patience: float, doing: Callable[[], str]
) -> Iterator[Callable[[], None]]:
    """Hands batches to the first stage on a thread of its own. The block is given a function that waits until all are finished.

    That raises AssertionError when none is finished for `patience` seconds; `doing` says what is under way. When the block ends, each
    must have been finished exactly once.
    """
    given, counted, failed = list(batches), [], []
    for some in given:
        some.delivery = delivery = _Counted()
        counted.append(delivery)

    def feed() -> None:
        try:
            for some in given:
                first.consume(some)
        except Stopped:
            pass
        except BaseException as error:
            failed.append(error)
            for delivery in counted:
                delivery.finished.set()

    def wait() -> None:
        for delivery in counted:
            waited = delivery.finished.wait(patience)
            assert waited, f"a batch was not finished within {patience:g} seconds: {doing()}"
            if failed:
                raise failed[0]

    threading.Thread(target=feed, name="contract check", daemon=True).start()
    yield wait
    often = max(delivery.calls for delivery in counted)
    assert often <= 1, f"delivery.done() was called {often} times for a batch: only the machine may call it, once"

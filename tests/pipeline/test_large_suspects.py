"""Requests larger than what a pipeline may have unfinished, with which a destination fails: those behind them have their turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from openfuse_collector.component import ComponentID
from openfuse_collector.config.service import BatchConfig
from openfuse_collector.config.types import Duration, Size
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.errors import SuspectError
from openfuse_collector.journal import Journal, JournalConfig
from openfuse_collector.pipeline.queued import Queued
from openfuse_collector.pipeline.retry import RetryConfig
from openfuse_collector.pipeline.source import Source
from openfuse_collector.pipeline.worker import ExporterWorker
from openfuse_collector.signals import Origin, Signal
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import event, kept_letters
from tests.collector_process import wait_until
from tests.pipeline.judged import Destination

FAST = RetryConfig(initial_interval=Duration(0.001), max_interval=Duration(0.002))
MOST = 1000
"""Bytes in a batch."""


def too_long_with_poison(names: list[str]) -> Exception | None:
    poisoned = any(name.startswith("poison") for name in names)
    return SuspectError("it takes too long", kind="outcome_unknown") if poisoned else None


@contextmanager
def pipeline(directory: Path, destination: Destination) -> Iterator[Journal]:
    metrics, stopping, log = Metrics(), threading.Event(), structlog.get_logger()
    journal = Journal.open(
        JournalConfig(directory=str(directory)), metrics, log, decode=lambda origin, payload: payload
    )
    letters = DeadLetters(directory / "dead-letters", stopping, metrics, log)
    worker = ExporterWorker(ComponentID("test"), destination, FAST, letters, stopping, metrics, log)
    reader = journal.reader("events", start=None, wants=lambda origin: True)
    batching = BatchConfig(max_bytes=Size(MOST))
    source = Source(
        "events", Signal.EVENTS, reader, batching, worker, print, metrics, queued=Queued("events", metrics, 0)
    )
    worker.start()
    source.start()
    try:
        yield journal
    finally:
        stopping.set()
        source.finish()
        source.drain(0)
        worker.join(60)
        source.join()
        journal.close()


@pytest.mark.parametrize("large", [1, 3])
async def test_large_requests_the_destination_fails_with_stop_nobody(tmp_path: Path, large: int) -> None:
    destination = Destination(too_long_with_poison)
    with pipeline(tmp_path, destination) as journal:
        for number in range(large):
            made = [event(f"poison{number}")]
            await journal.append(Origin(Signal.EVENTS, "langfuse", 1), bytes(3 * MOST), made)
        for number in range(20):
            await journal.append(Origin(Signal.EVENTS, "langfuse", 1), bytes(10), [event(f"good{number}")])
        wait_until(lambda: len(destination.taken) == 20, lambda: f"taken: {destination.taken}", 60)
        wait_until(lambda: journal.backlog("events")["lag_bytes"] == 0, lambda: "it is not set aside", 60)
    assert len(kept_letters(tmp_path / "dead-letters")) == large

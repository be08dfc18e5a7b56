"""A pipeline whose store is away, while records of other pipelines go past it: its memory stays what it was, its cursor follows."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import structlog
from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.config.service import BatchConfig
from openfuse_collector.journal import Journal, JournalConfig
from openfuse_collector.pipeline.progress import Progress
from openfuse_collector.pipeline.queued import Queued
from openfuse_collector.pipeline.source import Source
from openfuse_collector.signals import Batch, Delivery, Origin, Signal
from openfuse_collector.telemetry.metrics import Metrics
from tests.collector_process import wait_until

GROWTH = 20_000
"""Bytes: far below what 2,000 batches or passes would take."""


class Away:
    """A destination that takes a batch and does not finish it."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def consume(self, batch: Batch) -> None:
        self.batches.append(batch)


def grown_by(progress: Progress, finish: bool) -> int:
    """Bytes that 2,000 batches (or passes) behind an unfinished one leave behind."""
    progress.begin(1, size=100, received_at=1)
    tracemalloc.start()
    try:
        for number in range(2000):
            end = 1000 * (number + 2)
            progress.begin(end).done() if finish else progress.go_past(end)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_what_is_finished_behind_an_unfinished_batch_takes_no_memory() -> None:
    """Requests without anything for the store that is away end at once, hundreds a second."""
    assert grown_by(Progress(lambda end: None), finish=True) < GROWTH


def test_what_is_passed_behind_an_unfinished_batch_takes_no_memory() -> None:
    assert grown_by(Progress(lambda end: None), finish=False) < GROWTH


@given(st.lists(st.sampled_from(["begin", "pass", "oldest", "youngest", "middle"]), max_size=30))
def test_the_cursor_is_where_everything_before_is_finished(steps: list[str]) -> None:
    commits = [0]
    progress = Progress(commits.append)
    ends: list[int] = []
    unfinished: dict[int, Delivery] = {}
    for number, step in enumerate(steps, 1):
        if step == "begin":
            unfinished[number] = progress.begin(number)
            ends.append(number)
        elif step == "pass":
            progress.go_past(number)
            ends.append(number)
        elif unfinished:
            waiting = list(unfinished)
            unfinished.pop(waiting[{"oldest": 0, "youngest": -1, "middle": len(waiting) // 2}[step]]).done()
        oldest = min(unfinished, default=len(steps) + 1)
        assert commits[-1] == max((end for end in ends if end < oldest), default=0)
    assert commits == sorted(commits)
    assert progress.idle == (not unfinished)


async def test_a_pipeline_that_waits_for_its_store_follows_what_went_past_it(tmp_path: Path) -> None:
    """One batch waits, only others' requests arrive; when it is finished the cursor is behind all of them at once."""
    metrics = Metrics()
    journal = Journal.open(
        JournalConfig(directory=str(tmp_path)), metrics, structlog.get_logger(), decode=lambda origin, payload: payload
    )
    reader = journal.reader("events", start=None, wants=lambda origin: origin.signal is Signal.EVENTS)
    away = Away()
    queued = Queued("events", metrics, 0)
    source = Source("events", Signal.EVENTS, reader, BatchConfig(), away, print, metrics, queued=queued)
    source.start()
    try:
        first = await journal.append(Origin(Signal.EVENTS, "langfuse", 1), b"[]", [])
        wait_until(lambda: bool(away.batches), lambda: "the batch was not read", 60)
        for _ in range(3):
            await journal.append(Origin(Signal.TRACES, "otlp", 1), b"x", [])
            end = journal.end
            wait_until(lambda: reader.position == end, lambda: "the others were not passed", 60)  # noqa: B023
            assert journal.backlog("events")["lag_bytes"] == end - first
        away.batches[0].delivery.done()
        source.finish()
        wait_until(lambda: journal.backlog("events")["lag_bytes"] == 0, lambda: "the cursor stays behind", 60)
    finally:
        source.finish()
        source.drain(0)
        source.join()
        journal.close()

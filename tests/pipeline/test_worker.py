"""An exporter worker retries for ever, narrows refusals down to the entity at fault and loses nothing on shutdown."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from openfuse_collector.component import ComponentID
from openfuse_collector.config.types import Duration
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.errors import PermanentError, RetryableError
from openfuse_collector.pipeline.retry import RetryConfig
from openfuse_collector.pipeline.worker import BUG_ATTEMPTS, ExporterWorker
from openfuse_collector.signals import Batch, Delivery
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import batch, event, item, kept_letters, metric

FAST = RetryConfig(initial_interval=Duration(0.001), max_interval=Duration(0.002))
WAIT = 20.0


class Destination:
    """An exporter that does what a function tells it: returns nothing or the error to raise."""

    def __init__(self, judge: Callable[[Batch], Exception | None]) -> None:
        self.judge = judge
        self.taken: list[str] = []
        self.cursors: list[int | None] = []
        self.calls = 0

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...

    def cursor(self, pipeline: str) -> int | None:
        return None

    def export(self, batch: Batch) -> None:
        self.calls += 1
        error = self.judge(batch)
        if error is not None:
            raise error
        self.cursors.append(batch.end)
        self.taken += ids(batch)


def ids(some: Batch) -> list[str]:
    return [one.entity.id for request in some.items for one in request.data]


@contextmanager
def worker(
    destination: Destination,
    directory: Path,
    metrics: Metrics | None = None,
    stopping: threading.Event | None = None,
) -> Iterator[ExporterWorker]:
    metrics, stopping, log = metrics or Metrics(), stopping or threading.Event(), structlog.get_logger()
    letters = DeadLetters(directory, stopping, metrics, log)
    made = ExporterWorker(ComponentID("test"), destination, FAST, letters, stopping, metrics, log)
    made.start()
    try:
        yield made
    finally:
        stopping.set()
        made.join(WAIT)


def waiting(some: Batch) -> threading.Event:
    """Set when the batch is finished."""
    finished = threading.Event()
    some.delivery = Delivery(finished.set)
    return finished


def test_retries_until_taken(tmp_path: Path) -> None:
    failures = iter([RetryableError("busy")] * 7)
    destination, metrics = Destination(lambda some: next(failures, None)), Metrics()
    with worker(destination, tmp_path, metrics) as under_test:
        one = batch(item([event("a"), event("b")]))
        finished = waiting(one)
        under_test.consume(one)
        assert finished.wait(WAIT)
    assert destination.taken == ["a", "b"]
    assert destination.calls == 8
    assert kept_letters(tmp_path) == []
    assert metric(metrics, "openfuse_exporter_retries_total", exporter="test") == 7
    assert metric(metrics, "openfuse_exporter_export_seconds_count", exporter="test") == 1


def test_only_the_entity_at_fault_becomes_a_dead_letter(tmp_path: Path) -> None:
    metrics = Metrics()
    destination = Destination(lambda some: PermanentError("value too odd") if "bad" in ids(some) else None)
    one = batch(
        item([event("a"), event("bad"), event("b")], 1), item([event("c")], 2), item([event("bad"), event("d")], 3)
    )
    finished = waiting(one)
    with worker(destination, tmp_path, metrics) as under_test:
        under_test.consume(one)
        assert finished.wait(WAIT)
    assert sorted(destination.taken) == ["a", "b", "c", "d"]
    found = kept_letters(tmp_path)
    assert [letter.reason for letter in found] == ["value too odd"] * 2
    assert {json.loads(letter.payload)[0]["body"]["id"] for letter in found} == {"bad"}
    assert metric(metrics, "openfuse_dead_letters_total", component="test") == 2
    assert metric(metrics, "otelcol_exporter_sent_events_total", exporter="test") == 4
    assert metric(metrics, "otelcol_exporter_send_failed_events_total", exporter="test") == 2


def test_parts_of_a_batch_do_not_move_the_cursor(tmp_path: Path) -> None:
    destination = Destination(lambda some: PermanentError("no") if "bad" in ids(some) else None)
    one = batch(item([event("a"), event("bad")]), item([event("b")]))
    finished = waiting(one)
    with worker(destination, tmp_path) as under_test:
        under_test.consume(one)
        assert finished.wait(WAIT)
    assert destination.cursors == [None, None]


def test_a_bug_is_retried_and_then_narrowed_down(tmp_path: Path) -> None:
    destination = Destination(lambda some: ZeroDivisionError("oops") if "bad" in ids(some) else None)
    one = batch(item([event("a"), event("bad")]))
    finished = waiting(one)
    with worker(destination, tmp_path) as under_test:
        under_test.consume(one)
        assert finished.wait(WAIT)
    assert destination.taken == ["a"]
    assert [letter.reason for letter in kept_letters(tmp_path)] == ["ZeroDivisionError: oops"]
    assert destination.calls == 2 * BUG_ATTEMPTS + 1


def test_what_is_unfinished_at_shutdown_is_not_reported_as_done(tmp_path: Path) -> None:
    tried = threading.Event()

    def never(some: Batch) -> Exception:
        tried.set()
        return RetryableError("store is down")

    one = batch(item([event("a")]))
    finished = waiting(one)
    with worker(Destination(never), tmp_path) as under_test:
        under_test.consume(one)
        assert tried.wait(WAIT)
    assert not finished.is_set()
    assert kept_letters(tmp_path) == []


@pytest.mark.parametrize("error", [PermanentError("closed"), ValueError("closed")], ids=["refusal", "bug"])
def test_what_fails_because_the_service_goes_down_is_no_dead_letter(tmp_path: Path, error: Exception) -> None:
    """The worker was not waited for any longer, and the store was closed under it: one entity, which cannot be divided."""
    begun, stopping = threading.Event(), threading.Event()

    def judge(some: Batch) -> Exception:
        begun.set()
        assert stopping.wait(WAIT)
        return error

    one = batch(item([event("a")]))
    finished = waiting(one)
    with worker(Destination(judge), tmp_path, stopping=stopping) as under_test:
        under_test.consume(one)
        assert begun.wait(WAIT)
    assert not finished.is_set()
    assert kept_letters(tmp_path) == []


def test_contract_under_random_failures(tmp_path: Path) -> None:
    """Numbered entities against a destination that fails at random: none accepted is lost, none refused for good comes again."""
    rng = random.Random(7)
    refused: set[str] = set()
    resent: list[str] = []

    def judge(some: Batch) -> Exception | None:
        here = set(ids(some))
        resent.extend(here & refused)
        roll = rng.random()
        if roll < 0.3:
            return RetryableError("try later")
        if here & poison:
            if len(here) == 1:
                refused.update(here)
            return PermanentError("poison")
        return None

    names = [f"e{number}" for number in range(200)]
    poison = set(rng.sample(names, 12))
    destination = Destination(judge)
    with worker(destination, tmp_path) as under_test:
        for start in range(0, 200, 20):
            one = batch(*(item([event(name) for name in names[at : at + 5]], at) for at in range(start, start + 20, 5)))
            finished = waiting(one)
            under_test.consume(one)
        assert finished.wait(WAIT)
    assert sorted(destination.taken) == sorted(set(names) - poison)
    assert refused == poison
    assert not resent
    assert len(kept_letters(tmp_path)) == len(poison)


def test_the_same_dead_letter_is_written_once(tmp_path: Path) -> None:
    refused = event("bad", id="same")
    for _ in range(2):
        one = batch(item([refused]))
        finished = waiting(one)
        with worker(Destination(lambda some: PermanentError("no")), tmp_path) as under_test:
            under_test.consume(one)
            assert finished.wait(WAIT)
    assert len(kept_letters(tmp_path)) == 1


def test_data_that_is_no_json_is_set_aside_all_the_same(tmp_path: Path) -> None:
    odd = event("odd", name="\ud800", input=object())
    one = batch(item([odd, event("good")]))
    finished = waiting(one)
    with worker(Destination(lambda some: PermanentError("no") if "odd" in ids(some) else None), tmp_path) as under_test:
        under_test.consume(one)
        assert finished.wait(WAIT)
    (letter,) = kept_letters(tmp_path)
    assert b"odd" in letter.payload

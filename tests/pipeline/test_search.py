"""A destination that fails without saying whose fault it is: one entity is set aside, a sick destination loses nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from openfuse_collector.component import ComponentID
from openfuse_collector.config.types import Duration
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.errors import RetryableError, SuspectError
from openfuse_collector.pipeline.retry import RetryConfig
from openfuse_collector.pipeline.search import HOPELESS, MOST_BYTES, MOST_SUSPECTS, PROOFS, Search
from openfuse_collector.pipeline.worker import SUSPECT_ATTEMPTS, ExporterWorker
from openfuse_collector.signals import Delivery
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import batch, event, item, kept_letters
from tests.pipeline.judged import WAIT, Destination, fails_with

FAST = RetryConfig(initial_interval=Duration(0.001), max_interval=Duration(0.002))


class Rig:
    """A worker in front of a destination, with what it has set aside."""

    def __init__(self, worker: ExporterWorker, directory: Path) -> None:
        self.worker = worker
        self._directory = directory

    def send(self, *names: str, end: int = 100, type: str = "observation") -> threading.Event:
        """One batch; the event is set when it is finished."""
        finished = threading.Event()
        made = batch(item([event(name, type, id=f"{type}-{name}") for name in names]))
        made.end, made.delivery = end, Delivery(finished.set)
        self.worker.consume(made)
        return finished

    @property
    def letters(self) -> dict[str, str]:
        """Entity -> reason."""
        return {json.loads(letter.payload)[0]["body"]["id"]: letter.reason for letter in kept_letters(self._directory)}


@contextmanager
def running(destination: Destination, directory: Path) -> Iterator[Rig]:
    metrics, stopping, log = Metrics(), threading.Event(), structlog.get_logger()
    letters = DeadLetters(directory, stopping, metrics, log)
    worker = ExporterWorker(ComponentID("test"), destination, FAST, letters, stopping, metrics, log)
    worker.start()
    try:
        yield Rig(worker, directory)
    finally:
        stopping.set()
        worker.join(WAIT)


def many(count: int) -> list[str]:
    return [f"e{number}" for number in range(count)]


@pytest.mark.parametrize("poison", [["e0"], ["e49"], ["e99"], ["e3", "e4", "e77"]])
def test_what_fails_alone_while_others_are_taken_is_set_aside(tmp_path: Path, poison: list[str]) -> None:
    destination = Destination(fails_with(*poison))
    with running(destination, tmp_path) as rig:
        assert rig.send(*many(100)).wait(WAIT)
        assert rig.send("later").wait(WAIT)
    assert sorted(destination.taken) == sorted({*many(100), "later"} - set(poison))
    assert rig.letters == dict.fromkeys(poison, "fails alone, while others are taken: internal error")
    assert all(PROOFS <= destination.calls.count([name]) <= PROOFS + 2 for name in poison)


def test_a_sick_destination_is_asked_for_ever_and_loses_nothing(tmp_path: Path) -> None:
    sick = threading.Event()
    sick.set()
    destination = Destination(lambda names: SuspectError("disk full") if sick.is_set() else None)
    with running(destination, tmp_path) as rig:
        first, second = rig.send(*many(40)), rig.send("one more")
        destination.wait(lambda: len(destination.calls) > 20 * PROOFS)
        assert not first.is_set()
        assert not second.is_set()
        sick.clear()
        assert first.wait(WAIT)
        assert second.wait(WAIT)
    assert rig.letters == {}
    assert sorted(destination.taken) == sorted([*many(40), "one more"])


def test_one_type_that_fails_altogether_is_the_destinations_fault(tmp_path: Path) -> None:
    """The region of one table is sick: that others are taken proves nothing."""
    sick = threading.Event()
    sick.set()
    traces = {f"t{number}" for number in range(4)}
    destination = Destination(lambda names: SuspectError("no") if sick.is_set() and traces & set(names) else None)
    with running(destination, tmp_path) as rig:
        rig.send(*many(30)).wait(WAIT)
        finished = rig.send(*traces, type="trace")
        destination.wait(lambda: sum(len(call) == 1 for call in destination.calls) > 6 * PROOFS)
        assert rig.letters == {}
        sick.clear()
        assert finished.wait(WAIT)
    assert rig.letters == {}
    assert traces < set(destination.taken)


def test_where_more_fail_than_are_taken_nothing_is_given_up(tmp_path: Path) -> None:
    sick = threading.Event()
    sick.set()
    destination = Destination(
        lambda names: SuspectError("no") if sick.is_set() and any(int(name[1:]) % 4 for name in names) else None
    )
    with running(destination, tmp_path) as rig:
        finished = rig.send(*many(40))
        destination.wait(lambda: len(destination.calls) > 30 * PROOFS + 100)
        assert rig.letters == {}
        sick.clear()
        assert finished.wait(WAIT)
    assert sorted(destination.taken) == sorted(many(40))


def test_an_entity_alone_in_its_batch_does_not_hold_up_those_behind_it(tmp_path: Path) -> None:
    destination = Destination(fails_with("bad"))
    with running(destination, tmp_path) as rig:
        bad = rig.send("bad", end=1)
        destination.wait(lambda: len(destination.calls) > SUSPECT_ATTEMPTS + PROOFS)
        assert rig.letters == {}  # nothing shows that the destination is well
        assert rig.send("good", end=2).wait(WAIT)
        assert bad.wait(WAIT)
        assert rig.send("after", end=3).wait(WAIT)
    assert list(rig.letters) == ["bad"]
    assert destination.taken == ["good", "after"]
    assert destination.ends == [None, 3]  # no cursor moves past a batch that is still in doubt


def test_several_that_fail_alone_do_not_hold_up_those_that_come_later(tmp_path: Path) -> None:
    """One of them is always due again when the pause after another is over."""
    destination = Destination(fails_with("poison0", "poison1", "poison2"))
    with running(destination, tmp_path) as rig:
        found = rig.send("poison0", "poison1", "poison2")
        destination.wait(lambda: len(destination.calls) > 5 * HOPELESS)
        assert rig.send("good").wait(WAIT)
        for number in range(PROOFS):
            assert rig.send(*(f"good{number}-{other}" for other in range(3))).wait(WAIT)
        assert found.wait(WAIT)
    assert set(rig.letters) == {"poison0", "poison1", "poison2"}


def test_trouble_that_is_not_suspect_only_makes_the_search_wait(tmp_path: Path) -> None:
    answers = iter([RetryableError("away"), RetryableError("away")] * 10)

    def judge(names: list[str]) -> Exception | None:
        return fails_with("bad")(names) or (next(answers, None) if len(names) == 1 else None)

    destination = Destination(judge)
    with running(destination, tmp_path) as rig:
        assert rig.send("a", "b", "bad", "c").wait(WAIT)
    assert list(rig.letters) == ["bad"]
    assert sorted(destination.taken) == ["a", "b", "c"]


def test_what_is_in_doubt_at_shutdown_is_not_finished(tmp_path: Path) -> None:
    destination = Destination(fails_with("bad"))
    with running(destination, tmp_path) as rig:
        finished = rig.send("bad")
        destination.wait(lambda: len(destination.calls) > SUSPECT_ATTEMPTS + 2)
    assert not finished.is_set()
    assert rig.letters == {}


def test_the_log_tells_a_search_in_a_few_lines(tmp_path: Path) -> None:
    destination = Destination(fails_with("e3", "e50"))
    with capture_logs() as logs, running(destination, tmp_path) as rig:
        assert rig.send(*many(100)).wait(WAIT)
    said = [line["event"] for line in logs]
    assert said.count("set aside as dead letter") == said.count("export failed, will retry") == 1
    assert len(said) <= 4


def test_suspects_are_bounded() -> None:
    search = Search(FAST, clock=lambda: 0.0)
    for number in range(MOST_SUSPECTS):
        assert search.has_room
        search.begin(batch(item([event(f"e{number}")])), Delivery())
    assert not search.has_room
    assert search.hopeless == (MOST_SUSPECTS >= HOPELESS)


def test_suspects_are_bounded_in_bytes() -> None:
    """By the requests they are of: many of one request count once, and one of any size leaves room for others."""
    search = Search(FAST, clock=lambda: 0.0)
    for position, room in ((0, True), (0, True), (1, False)):
        large = msgspec.structs.replace(item([event("e")]), position=position, size=MOST_BYTES)
        search.begin(batch(large), Delivery())
        assert search.has_room == room

"""Replay: each letter goes to the stage that refused it, and away once it is dealt with; what is refused again stays, and never loops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from openfuse_collector.component import ComponentID, Consumer, Kind
from openfuse_collector.config.types import Duration
from openfuse_collector.dead_letters import replay as replay_module
from openfuse_collector.dead_letters.file import NAME
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.dead_letters.replay import MOST_ATTEMPTS, Replay
from openfuse_collector.errors import PermanentError, RetryableError
from openfuse_collector.payloads import decode_letter
from openfuse_collector.pipeline.retry import RetryConfig, Stopped
from openfuse_collector.pipeline.stages import Step, Steps
from openfuse_collector.pipeline.worker import ExporterWorker
from openfuse_collector.signals import Batch, Signal
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import batch, event, item, kept_letters, metric
from tests.collector_process import wait_until

FAST = RetryConfig(initial_interval=Duration(0.001), max_interval=Duration(0.002))
WAIT = 60.0


class Destination:
    """An exporter that does what a function tells it."""

    def __init__(self, judge: Callable[[str], Exception | None] = lambda name: None) -> None:
        self.judge = judge
        self.taken: list[str] = []
        self.batches: list[Batch] = []

    def export(self, batch: Batch) -> None:
        here = [one.entity.id for request in batch.items for one in request.data]
        for name in here:
            error = self.judge(name)
            if error is not None:
                raise error
        self.taken += here
        self.batches.append(batch)


class Machine:
    """Dead letters, workers in front of destinations, and a replay."""

    def __init__(self, directory: Path, **destinations: Destination) -> None:
        self.directory, self.metrics, self.stopping = directory, Metrics(), threading.Event()
        log = structlog.get_logger()
        self.letters = DeadLetters(directory, self.stopping, self.metrics, log)
        self.workers = {
            name: ExporterWorker(ComponentID(name), made, FAST, self.letters, self.stopping, self.metrics, log)  # type: ignore[arg-type]
            for name, made in destinations.items()
        }
        self.entries: dict[tuple[Kind, str], Consumer] = {
            (Kind.EXPORTER, name): worker for name, worker in self.workers.items()
        }
        self.replay = Replay(self.letters, self.entries, decode_letter, self.metrics, log)

    def refuse(self, component: str, *names: str, kind: Kind = Kind.EXPORTER) -> None:
        for name in names:
            refused = item([event(name, id=name)])
            self.letters.add(refused, "traces", component, "not today", Signal.EVENTS, kind=kind)
        self.letters.sync()

    def ask(self) -> int | None:
        return self.letters.use(lambda file: file.ask_for_replay("1"))

    def waiting(self) -> int:
        return len(self.letters.use(lambda file: file.rows("state = 'replay'")) or [])

    @contextmanager
    def running(self) -> Iterator[None]:
        for worker in self.workers.values():
            worker.start()
        self.replay.start()
        try:
            yield
        finally:
            self.replay.stop()
            self.stopping.set()
            for worker in self.workers.values():
                worker.join(WAIT)
            self.replay.join(WAIT)


def until(condition: Callable[[], bool]) -> None:
    wait_until(condition, lambda: "it did not come about", WAIT)


def test_letters_go_to_who_refused_them_and_away(tmp_path: Path) -> None:
    store, other = Destination(), Destination()
    machine = Machine(tmp_path, store=store, other=other)
    machine.refuse("store", "a", "b")
    machine.refuse("other", "c")
    before = kept_letters(tmp_path)
    with machine.running():
        assert machine.ask() == 3
        until(lambda: not kept_letters(tmp_path))
    assert (sorted(store.taken), other.taken) == (["a", "b"], ["c"])
    assert all(sent.end is None and sent.pipeline == "traces" for sent in store.batches)
    assert [one.origin for sent in store.batches for one in sent.items] == [letter.origin for letter in before[:2]]
    assert metric(machine.metrics, "openfuse_dead_letters_replayed_total", component="store") == 2


def test_nothing_is_replayed_unasked(tmp_path: Path) -> None:
    store = Destination()
    machine = Machine(tmp_path, store=store)
    machine.refuse("store", "a")
    machine.refuse("asked", "b")
    machine.entries[Kind.EXPORTER, "asked"] = machine.workers["store"]
    with machine.running():
        machine.letters.use(lambda file: file.ask_for_replay("component = ?", ("asked",)))
        until(lambda: len(kept_letters(tmp_path)) == 1)
    assert store.taken == ["b"]


def test_what_is_refused_again_stays_with_its_new_reason_and_does_not_loop(tmp_path: Path) -> None:
    calls: list[str] = []

    def judge(name: str) -> Exception | None:
        calls.append(name)
        return PermanentError("still odd") if name == "bad" else None

    store = Destination(judge)
    machine = Machine(tmp_path, store=store)
    machine.refuse("store", "a", "bad", "b")
    with machine.running():
        machine.ask()
        until(lambda: [letter.reason for letter in kept_letters(tmp_path)] == ["still odd"])
        until(lambda: not machine.waiting())
        seen = len(calls)
        machine.refuse("store", "c")
        machine.letters.use(lambda file: file.ask_for_replay("reason = 'not today'"))
        until(lambda: "c" in store.taken)  # several looks later
    assert sorted(store.taken) == ["a", "b", "c"]
    assert calls[seen:] == ["c"]
    assert [letter.reason for letter in kept_letters(tmp_path)] == ["still odd"]


def test_a_destination_that_is_down_does_not_hold_up_another(tmp_path: Path) -> None:
    down = Destination(lambda name: RetryableError("down"))
    up = Destination()
    machine = Machine(tmp_path, down=down, up=up)
    machine.refuse("down", *(f"d{number}" for number in range(1200)))
    machine.refuse("up", "a", "b")
    with machine.running():
        machine.ask()
        until(lambda: len(up.taken) == 2)
    assert down.taken == []
    assert len(kept_letters(tmp_path)) == 1200
    again = Destination()
    restarted = Machine(tmp_path, down=again)
    with restarted.running():
        until(lambda: not kept_letters(tmp_path))
    assert len(again.taken) == len(set(again.taken)) == 1200


def test_letters_of_a_stage_enter_at_that_stage(tmp_path: Path) -> None:
    machine = Machine(tmp_path, store=(store := Destination()))
    log = structlog.get_logger()
    broken = threading.Event()
    broken.set()
    passed: list[str] = []

    def first(some: Batch) -> Batch:
        passed.append("first")
        return some

    def second(some: Batch) -> Batch:
        if broken.is_set():
            raise KeyError("gone")
        return msgspec.structs.replace(some, items=some.items)

    steps = Steps(
        [
            Step("traces: first", first, machine.letters, log, Kind.PROCESSOR),
            Step("traces: second", second, machine.letters, log, Kind.PROCESSOR),
        ],
        machine.workers["store"],
    )
    machine.entries.update({(Kind.PROCESSOR, name): entry for name, entry in steps.entries()})
    with machine.running():
        steps.consume(batch(item([event("a")])))
        assert [letter.component for letter in kept_letters(tmp_path)] == ["traces: second"]
        broken.clear()
        machine.ask()
        until(lambda: not kept_letters(tmp_path))
    assert (passed, store.taken) == (["first"], ["a"])


def test_who_is_no_longer_there_is_named(tmp_path: Path) -> None:
    machine = Machine(tmp_path, store=Destination())
    machine.refuse("removed", "a")
    with machine.running():
        machine.ask()
        until(lambda: not machine.waiting())
    (letter,) = kept_letters(tmp_path)
    assert letter.reason == "cannot be replayed, removed is not in use; refused before: not today"


def test_what_cannot_be_read_does_not_stop_its_neighbours(tmp_path: Path) -> None:
    store = Destination()
    machine = Machine(tmp_path, store=store)
    machine.letters.add(
        item([event("odd", input=object())]), "traces", "store", "no JSON", Signal.EVENTS, kind=Kind.EXPORTER
    )
    machine.refuse("store", "a")
    with machine.running():
        machine.ask()
        until(lambda: len(kept_letters(tmp_path)) == 1 and not machine.waiting())
    assert store.taken == ["a"]
    assert "it cannot be read" in kept_letters(tmp_path)[0].reason


def test_a_letter_that_ends_the_process_is_not_tried_for_ever(tmp_path: Path) -> None:
    """As after so many crashes: the attempt is counted on disk before it is made."""
    machine = Machine(tmp_path, store=(store := Destination()))
    machine.refuse("store", "deadly")
    machine.ask()
    (letter,) = kept_letters(tmp_path)
    for _ in range(MOST_ATTEMPTS):
        machine.letters.use(lambda file: file.attempt([letter.id], 1))
    with machine.running():
        until(lambda: not machine.waiting())
    assert store.taken == []
    assert f"ended {MOST_ATTEMPTS} times" in kept_letters(tmp_path)[0].reason


def test_a_stop_before_the_letters_were_offered_is_no_attempt(tmp_path: Path) -> None:
    """A destination that is away keeps its queue full: as many restarts as there are must not pass for crashes."""
    machine = Machine(tmp_path, store=Destination())
    machine.refuse("store", "a")
    machine.ask()

    class Leaving:
        def consume(self, batch: Batch) -> None:
            raise Stopped

    machine.entries[Kind.EXPORTER, "store"] = Leaving()
    for _ in range(MOST_ATTEMPTS + 1):
        machine.replay._replay(Kind.EXPORTER, "store")
    assert machine.waiting() == 1


def test_a_stage_is_offered_nothing_where_no_letter_can_be_read(tmp_path: Path) -> None:
    machine = Machine(tmp_path, store=Destination())
    machine.refuse("store", "a", "b")
    machine.ask()
    offered: list[Batch] = []

    class Stage:
        def consume(self, batch: Batch) -> None:
            offered.append(batch)
            batch.delivery.done()

    def unreadable(letter: DeadLetter) -> None:
        raise ValueError("written by a later version")

    entries: dict[tuple[Kind, str], Consumer] = {(Kind.EXPORTER, "store"): Stage()}
    replay = Replay(machine.letters, entries, unreadable, machine.metrics, structlog.get_logger())
    with capture_logs() as logs:
        replay._replay(Kind.EXPORTER, "store")
    assert [line["event"] for line in logs] == ["dead letter stays"] * 2
    assert (offered, machine.waiting(), len(kept_letters(tmp_path))) == ([], 0, 2)


def test_a_file_that_cannot_be_read_is_told_once_not_every_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).mkdir()
    monkeypatch.setattr(replay_module, "POLL_SECONDS", 0.001)
    machine, looks = Machine(tmp_path), threading.Semaphore(0)
    tend = machine.letters.tend

    def look() -> None:
        looks.release()
        tend()

    monkeypatch.setattr(machine.letters, "tend", look)
    with capture_logs() as logs, machine.running():
        for _ in range(5):
            assert looks.acquire(timeout=WAIT)
    assert len([line for line in logs if line["event"].startswith("dead letters cannot be read")]) == 1

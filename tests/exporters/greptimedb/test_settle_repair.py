"""The server fails with a row each time somebody writes it: that one is tried ever more rarely, and everything else is settled."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from threading import Event as Flag
from threading import current_thread

import pytest
from greptimedb_kit import Server
from settle_kit import Collector, assert_settled, collector, settle
from structlog.testing import capture_logs

from openfuse_collector.errors import RetryableError
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.exporters.greptimedb import settle as settle_pass
from openfuse_collector.exporters.greptimedb import settle_repair
from openfuse_collector.exporters.greptimedb.errors import CallError
from openfuse_collector.exporters.greptimedb.halving import HOPELESS
from tests.builders import RECEIVED_AT
from tests.collector_process import wait_until
from tests.greptimedb_double import StatusCode, faults

NOW = RECEIVED_AT // 1_000_000


class Clock:
    """The time settling goes by."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    for module in (settle_pass, settle_repair):
        monkeypatch.setattr(module, "monotonic", made)
    return made


def said(id: str, at: int = 0, **body: object) -> Event:
    written = f"2026-11-21T06:00:{at:02}.000Z"
    body = {"id": id, "traceId": "t1", "startTime": written, "metadata": {f"k{at}": "v"}, **body}
    return Event(Entity("default", "observation", id), f"{id}-{at}", "generation-create", written, body, NOW + at)


def set_aside(one: Collector, *events: Event) -> None:
    """What the pipeline makes dead letters of, because the server fails with it."""
    with pytest.raises(RetryableError):
        one.export(events)


def marks(server: Server) -> int:
    return len(server.table("openfuse_settle_marks"))


CODES = [StatusCode.INTERNAL, StatusCode.UNKNOWN]


@pytest.mark.parametrize("code", CODES)
def test_what_the_server_fails_with_keeps_no_other_repair_waiting(
    faulty: Server, clock: Clock, code: StatusCode
) -> None:
    """One entity that cannot be written, then a repair that is needed because two collectors wrote halves, then a restart."""
    halves = [said("half", 1), said("half", 2), said("half", 3)]
    faulty.double.fail(faults.bad_row(id="bad", code=code))
    with collector(faulty, "one") as one, collector(faulty, "two") as two:
        set_aside(one, said("bad"))
        one.export(halves[:1])
        two.export(halves[1:2])
        one.export(halves[2:])
        settle(one, two)
        assert_settled(faulty, halves)
        assert one.made._settle._repairs.due() == []
        assert marks(faulty) == 1  # of what is still wrong
    faulty.sql.run("DELETE FROM observations WHERE `id` = 'half'")
    with collector(faulty, "one") as one:
        assert one.settle() == 1
        assert_settled(faulty, halves)
        faulty.double.heal()
        clock.now += 1
        assert one.settle() == 1
        assert marks(faulty) == 0
    assert_settled(faulty, [said("bad"), *halves])


@pytest.mark.parametrize("bad", [["o13"], ["o0", "o1", "o39"], [f"o{n}" for n in range(0, 40, 3)]], ids=len)
def test_entities_beside_what_the_server_fails_with_are_made_again(
    faulty: Server, clock: Clock, bad: list[str]
) -> None:
    events = [said(f"o{number}") for number in range(40)]
    with collector(faulty) as one:
        one.export(events)
        faulty.sql.run("DELETE FROM observations")
        faulty.double.fail(*(faults.bad_row(id=id, code=StatusCode.INTERNAL) for id in bad))
        assert one.settle() == 40 - len(bad)
        assert {row["id"] for row in faulty.table("observations")} == {event.entity.id for event in events} - {*bad}
        faulty.double.heal()
        clock.now += 1
        assert one.settle() == len(bad)
        assert marks(faulty) == 0
    assert_settled(faulty, events)


def test_a_server_that_takes_nothing_ends_the_pass(faulty: Server, clock: Clock) -> None:
    events = [said(f"o{number}") for number in range(200)]
    with collector(faulty) as one:
        one.export(events)
        faulty.sql.run("DELETE FROM observations")
        faulty.double.fail(faults.status(StatusCode.INTERNAL).on("observations").over("grpc"))
        for _ in range(3):
            before = calls(faulty)
            with pytest.raises(CallError):
                one.settle()
            assert calls(faulty) - before <= HOPELESS
        faulty.double.heal()
        clock.now += settle_repair.LONGEST
        settle(one)
        assert marks(faulty) == 0
    assert_settled(faulty, events)


def calls(server: Server) -> int:
    """Attempts to write rows of observations."""
    return sum(call.method == "insert" and call.table == "observations" for call in server.double.calls)


def test_a_refused_row_keeps_no_other_waiting_either(faulty: Server, clock: Clock) -> None:
    events = [said(f"o{number}") for number in range(10)]
    with capture_logs() as logs, collector(faulty) as one:
        one.export(events)
        faulty.sql.run("DELETE FROM observations")
        faulty.double.fail(faults.bad_row(id="o3"))
        assert one.settle() == 9
        assert one.settle() == 0
        assert marks(faulty) == 0
    assert [line["entity"] for line in logs if line["event"] == "a row cannot be stored"] == ["o3"]


def seconds_of_attempts(server: Server, one: Collector, clock: Clock, *, batches: bool) -> list[int]:
    """In which of a hundred seconds a row that the server fails with is tried, with or without other batches that are stored."""
    server.double.fail(faults.bad_row(id="bad", code=StatusCode.INTERNAL))
    set_aside(one, said("bad"))
    tried = []
    for second in range(100):
        before = calls(server)
        one.settle()
        tried += [second] * (calls(server) - before)
        if batches:
            one.export([Event(Entity("default", "trace", "t"), f"t{second}", "trace-create", "", {"id": "t"}, NOW)])
        clock.now += 1
    return tried


def test_it_is_tried_ever_more_rarely_as_long_as_nothing_says_that_the_server_works(
    faulty: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle_repair, "LONGEST", 16.0)
    monkeypatch.setattr(settle_repair, "PROOFS", 3)
    with collector(faulty) as one:
        assert seconds_of_attempts(faulty, one, clock, batches=False) == [0, 1, 3, 7, 15, 31, 47, 63, 79, 95]
        assert marks(faulty) == 1


def test_it_is_left_as_it_is_when_it_fails_while_others_are_stored(
    faulty: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle_repair, "PROOFS", 3)
    with capture_logs() as logs, collector(faulty) as one:
        assert seconds_of_attempts(faulty, one, clock, batches=True) == [0, 1, 3, 7]
        one.settle()
        assert marks(faulty) == 0
    (line,) = [line for line in logs if line["event"].endswith("it is left as it is")]
    assert line["entity"] == "bad"
    assert "rebuild" in line["remedy"]


def test_more_than_can_wait_are_searched_for(faulty: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle_repair, "MOST", 2)
    events = [said(f"o{number}", number) for number in range(8)]
    with collector(faulty) as one:
        one.export(events)
        faulty.sql.run("DELETE FROM observations")
        faulty.double.fail(faults.status(StatusCode.INTERNAL).on("observations").over("grpc"))
        assert one.settle() == 0
        faulty.double.heal()
        clock.now += 1
        assert one.settle() == 8
        assert marks(faulty) == 0
    assert_settled(faulty, events)


@pytest.mark.parametrize("bad", [["o13"], ["o0", "o1", "o39"]], ids=len)
def test_two_calls_of_unclear_outcome_end_a_pass(faulty: Server, clock: Clock, bad: list[str]) -> None:
    """Each of them may have taken as long as a call may. What the pass did not get to is made later, with calls that are answered."""
    events = [said(f"o{number}") for number in range(40)]
    fault = faults.bad_row(lambda table, row: row.get("id") in bad, code=StatusCode.CANCELLED).on("observations")
    with collector(faulty) as one:
        one.export(events)
        faulty.sql.run("DELETE FROM observations")
        faulty.double.fail(fault)
        struck = [0]
        for _ in range(1 + len(bad)):
            with suppress(CallError):
                one.settle()
            struck.append(faulty.double.struck(fault))
            assert marks(faulty) == 1
            clock.now += 1
        assert struck[1] == 2
        assert all(after - before <= 2 for before, after in pairwise(struck))
        assert {row["id"] for row in faulty.table("observations")} == {event.entity.id for event in events} - {*bad}
        faulty.double.heal()
        clock.now += settle_repair.LONGEST
        assert one.settle() == len(bad)
        assert marks(faulty) == 0
    assert_settled(faulty, events)


def test_calls_of_unclear_outcome_count_however_little_is_read_at_a_time(
    faulty: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle_pass, "READ", 1)
    fault = faults.status(StatusCode.CANCELLED).on("observations").over("grpc")
    with collector(faulty) as one:
        one.export([said(f"o{number}") for number in range(8)])
        faulty.sql.run("DELETE FROM observations")
        faulty.double.fail(fault)
        for calls_made in (2, 4):
            with pytest.raises(CallError):
                one.settle()
            assert faulty.double.struck(fault) == calls_made


def test_what_cannot_wait_for_lack_of_room_is_found_by_the_next_pass(
    faulty: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle_repair, "MOST", 2)
    events = [said(f"o{number}") for number in range(8)]
    with collector(faulty) as one:
        one.export(events)
        faulty.sql.run("DELETE FROM observations")
        faulty.double.fail(faults.status(StatusCode.CANCELLED).on("observations").over("grpc"))
        with pytest.raises(CallError):
            one.settle()
        assert len(one.made._settle._repairs) == 2
        faulty.double.heal()
        clock.now += 1
        assert one.settle() == 8
        assert marks(faulty) == 0
    assert_settled(faulty, events)


def test_batches_get_their_turn_between_two_attempts(faulty: Server, clock: Clock) -> None:
    """A thread stores batches while another makes rows again, of which the server fails with one. Whenever the latter is at the server a
    batch waits; by its next attempt that batch is stored."""
    events = [said(f"o{number}") for number in range(16)]
    with collector(faulty) as one, ThreadPoolExecutor(1) as beside:
        one.export(events)
        faulty.sql.run("DELETE FROM observations")
        faulty.double.fail(faults.bad_row(id="o3", code=StatusCode.INTERNAL))
        settling, over, lock = current_thread(), Flag(), one.made.lock
        stored, seen = list[int](), list[int]()

        def before() -> None:
            if current_thread() is settling:
                wait_until(lambda: lock.waiting == 1 or batches.done(), lambda: "it never was", 60)

        def store() -> None:
            while not over.is_set():
                one.export([said("other")])
                stored.append(len(seen))

        one.before = before
        batches = beside.submit(store)
        try:
            for _ in one.made._settle._repairs.make({event.entity: NOW for event in events}):
                seen.append(len(stored))
        finally:
            over.set()
        batches.result()
    assert len(seen) > 5
    assert all(count >= number for number, count in enumerate(seen)), seen
    assert {row["id"] for row in faulty.table("observations")} == {"other", *(f"o{n}" for n in range(16) if n != 3)}

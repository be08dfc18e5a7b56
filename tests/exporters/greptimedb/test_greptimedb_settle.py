"""Going over what was written: what another writer has done to it is found, what is right is left alone, and a restart forgets nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from greptimedb_kit import Server, export, exporter
from settle_kit import assert_settled, collector, dying, settle
from structlog.testing import capture_logs

from openfuse_collector.config.types import Duration, Size
from openfuse_collector.errors import RetryableError
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.exporters.greptimedb import epoch, probe
from openfuse_collector.exporters.greptimedb import settle as settle_pass
from openfuse_collector.exporters.greptimedb.config import SettleConfig
from openfuse_collector.exporters.greptimedb.flush import Part
from openfuse_collector.store.present import Present
from tests.builders import RECEIVED_AT, event
from tests.greptimedb_double import StatusCode, faults

NOW = RECEIVED_AT // 1_000_000
KINDS = ("trace", "observation", "score")
LATER = SettleConfig(after=Duration(3600))
"""Nothing is quiet before the store is said to have changed."""
CREATES = {"trace": "trace-create", "observation": "generation-create", "score": "score-create"}


def said(kind: str, at: int, second: int = 0, id: str = "e1", **body: Any) -> Event:
    """An event of a client, received `at` milliseconds, about a second of the minute."""
    written = f"2026-11-21T06:00:{second:02}.000Z"
    times = {"trace": {"timestamp": written}, "observation": {"startTime": written, "traceId": "t1"}}.get(
        kind, {"name": "quality", "value": 1}
    )
    body = {"id": id, **times, "metadata": {f"k{at}": "v"}, **body}
    return Event(Entity("default", kind, id), f"{kind}-{id}-{at}", CREATES[kind], written, body, NOW + at)


def tombstone(kind: str, at: int, id: str = "e1") -> Event:
    entity = Entity("default", kind, id)
    return Event(entity, f"tombstone-{id}-{at}", "langfuse-tombstone", "2026-11-21T06:00:00Z", {"id": id}, NOW + at)


@pytest.mark.parametrize("kind", KINDS)
def test_two_collectors_that_remember_halves_of_one_entity(server: Server, kind: str) -> None:
    """Each knows its own events only, and their times go up and down."""
    events = [said(kind, at, second) for at, second in enumerate((30, 40, 20, 25, 10, 35))]
    with collector(server, "one") as one, collector(server, "two") as two:
        one.export(events[:1])
        two.export([said(kind, 50, id="other")])
        for number, each in enumerate(events[1:]):
            (one if number % 2 else two).export([each])
        settle(one, two)
        assert_settled(server, [*events, said(kind, 50, id="other")])
        assert one.refolded + two.refolded > 0
        one.export([said(kind, 90, 5)])
        assert_settled(server, [*events, said(kind, 90, 5)])


def test_what_is_right_is_left_alone(server: Server) -> None:
    events = [said(kind, at, id=f"{kind}{at}") for kind in KINDS for at in range(30)]
    with collector(server) as one:
        one.export(events)
        written = server.table("observations")
        one.settle()
        assert (one.checked, one.refolded) == (90, 0)
        one.settle()
        assert one.checked == 90
    assert server.table("observations") == written
    assert server.table("openfuse_settle_marks") == []


def test_only_the_first_look_is_taken_at_what_is_right(faulty: Server) -> None:
    """Two queries for each kind: no bodies, no rows, no writes."""
    with collector(faulty) as one:
        one.export([said(kind, at, id=f"{kind}{at}") for kind in KINDS for at in range(30)])
        before = len(faulty.double.calls)
        one.settle()
        calls = faulty.double.calls[before:]
    asked = [call.sql or "" for call in calls]
    assert not any("`body`" in sql or "json_to_string" in sql for sql in asked)
    about = [sql for sql in asked if "'trace0'" in sql or "'observation0'" in sql or "'score0'" in sql]
    assert len(about) == 6
    assert {call.method for call in calls} == {"sql"}


def test_an_entity_is_gone_over_when_it_is_quiet(server: Server) -> None:
    with collector(server, settle=LATER) as one:
        one.export([said("trace", 1)])
        one.settle()
        assert one.checked == 0
        epoch.bump(server.sql, "somebody has changed the store")
        one.settle()
        assert one.checked == 1


def test_an_entity_that_is_never_quiet_is_gone_over_now_and_then(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written every second for minutes by a collector that does not know what another one has stored."""
    now = 0.0
    monkeypatch.setattr(settle_pass, "monotonic", lambda: now)
    theirs, events = said("trace", 1, name="theirs"), []
    with collector(server, "one", settle=SettleConfig(after=Duration(60))) as one, collector(server, "two") as two:
        for second in range(80):
            now += 1
            events.append(said("trace", 2 + second))
            one.export(events[-1:])
            if not second:
                two.export([theirs])
            one.settle()
    assert 0 < one.checked < 10
    assert one.refolded == 1
    assert_settled(server, [theirs, *events])


@pytest.mark.parametrize("number", range(1, 7))
def test_a_batch_between_looking_and_repairing_is_no_reason_to_repair(server: Server, number: int) -> None:
    """What was read before it and what was read after it do not fit together. Six calls look and read, one after the other."""
    calls = count(1)
    with collector(server) as one:

        def export() -> None:
            if not one.made.lock.locked() and next(calls) == number:
                one.before = lambda: None
                one.export([said("trace", 2, 20)])

        one.export([said("trace", 1, 30)])
        server.sql.run("DELETE FROM traces")  # so that everything is read
        one.before = export
        one.settle()
        assert next(calls) > number
        assert one.refolded == 0
    assert_settled(server, [said("trace", 1, 30), said("trace", 2, 20)])


def overwritten(server: Server, kind: str) -> list[Event]:
    """A command that has read an entity before its second event and writes it after that. Its generation is the larger one."""
    first, second = said(kind, 1, 10), said(kind, 2, 20, name="n")
    with collector(server, "one") as one, collector(server, "command") as command:
        one.export([first])
        command.export([first])
        epoch.bump(server.sql, "before")
        one.export([second])
        stale = command.made._projector.refold([first.entity], {first.entity: [first]}, present(server, first.entity))
        command.made._written([Part(stale, 0)])
        assert server.table(PROJECTIONS[kind])[0]["name"] != "n"
        epoch.bump(server.sql, "after")
        assert one.settle() == 1
        assert one.settle() == 0
    return [first, second]


def present(server: Server, entity: Entity) -> Mapping[Entity, Present]:
    return probe.presence(server.ask, [entity])


@pytest.mark.parametrize("kind", ["trace", "observation"])
def test_a_row_that_a_command_wrote_over_is_made_again(server: Server, kind: str) -> None:
    assert_settled(server, overwritten(server, kind))


def test_repairs_come_to_rest_even_if_nothing_ever_looks_right(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server might show a value in another way than it was given. Two collectors must not take turns in writing for ever."""
    now = 0.0
    monkeypatch.setattr(settle_pass, "is_right", lambda *_: False)
    monkeypatch.setattr(settle_pass, "monotonic", lambda: now)
    a_minute = SettleConfig(after=Duration(60))
    with collector(server, "one", settle=a_minute) as one, collector(server, "two", settle=a_minute) as two:
        one.export([said("trace", 1)])
        two.export([said("trace", 2)])
        one.export([said("trace", 3)])
        repaired = []
        for _ in range(6):
            now += 61
            repaired.append(one.settle() + two.settle())
    assert repaired[0] == 2
    assert repaired[-1] == 0


def test_a_command_that_writes_over_a_repaired_row_is_noticed(server: Server) -> None:
    """A larger generation is no excuse when the store was changed."""
    events = [said("trace", 1, 10), said("trace", 2, 20, name="n"), said("trace", 3, 30)]
    with collector(server, "one", settle=LATER) as one, collector(server, "command") as command:
        one.export(events[:1])
        command.export(events[1:2])
        one.export(events[2:])
        epoch.bump(server.sql, "before")
        assert one.settle() == 1
        stale = command.made._projector.refold(
            [events[0].entity], {events[0].entity: events[:1]}, present(server, events[0].entity)
        )
        command.made._written([Part(stale, 0)])
        epoch.bump(server.sql, "after")
        assert one.settle() == 1
    assert_settled(server, events)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_overtakes_a_deletion_brings_nothing_back(server: Server, kind: str) -> None:
    """The deletion happens between the look-up of the batch and its writing."""
    first, second, gone = said(kind, 1), said(kind, 2), tombstone(kind, 5)
    with collector(server, "one") as one, collector(server, "command") as command:
        one.export([first, said(kind, 1, id="other")])
        calls = 0

        def delete() -> None:
            nonlocal calls
            calls += 1
            if calls == 3:
                one.before = lambda: None
                epoch.bump(server.sql, "delete")
                command.export([gone])
                epoch.bump(server.sql, "delete")

        one.before = delete
        one.export([second])
        assert calls == 3
        settle(one)
    assert_settled(server, [first, second, gone, said(kind, 1, id="other")])
    assert [found["id"] for found in server.table(PROJECTIONS[kind])] == ["other"]
    with collector(server, "one") as one:
        one.export([first, second])
        one.settle()
        assert [found["id"] for found in server.table(PROJECTIONS[kind])] == ["other"]
        one.export([said(kind, 9)])
        assert [found["id"] for found in server.table(PROJECTIONS[kind])] == ["e1", "other"]


def test_a_collector_that_dies_at_any_call_finds_after_its_restart_what_it_had_not_gone_over(server: Server) -> None:
    """It knows nothing of the event another one stored meanwhile, writes a row without it, and the other one is gone for good."""
    found = 0
    for number in range(1, 24):
        first, other, moved = (said("trace", at, 40 - at, id=f"t{number}") for at in (1, 2, 3))
        with collector(server, "one") as one, collector(server, f"two{number}") as two:
            one.export([first])
            two.export([other])
            unfinished = dying(one, number, [moved])
        with collector(server, "one") as one:
            one.export(unfinished)
            found += one.settle()
        assert_settled(server, [first, other, moved])
    assert found > 3


def test_nothing_is_searched_after_everything_was_gone_over(faulty: Server) -> None:
    with collector(faulty, "one") as one:
        one.export([said("trace", 1)])
        one.settle()
    with collector(faulty, "one") as one:
        one.settle()
        assert one.checked == 0


def test_what_does_not_fit_into_the_list_is_found_in_raw_events(server: Server) -> None:
    small = SettleConfig(after=Duration(0), rate=1_000_000, max_size=Size(1))
    events = [said("observation", at, id=f"o{at}") for at in range(40)]
    theirs = [said("observation", 100 + at, 5, id=f"o{at}") for at in range(0, 40, 7)]
    again = [said("observation", 200 + at, 3, id=f"o{at}") for at in range(0, 40, 7)]
    with collector(server, "one", settle=small) as one, collector(server, "two", settle=small) as two:
        one.export(events)
        two.export(theirs)
        one.export(again)
        server.sql.run("DELETE FROM observations WHERE `id` = 'o3'")
        assert one.settle() == len(again) + 1
        assert one.checked >= 40
        settle(one, two)
    assert_settled(server, [*events, *theirs, *again])


def test_months_in_which_nothing_was_received_are_passed_over(faulty: Server) -> None:
    """The clock of a host was wrong, and was set before the collector ended."""
    first, last = said("trace", 1, id="first"), said("trace", 2, id="last")
    first.ingested_at -= 100 * 86_400_000
    with collector(faulty, "one") as one:
        one.export([first])
        one.export([last])
    faulty.double.query("DELETE FROM traces")
    with collector(faulty, "one") as one:
        one.made.idle()
        before = len(faulty.double.calls)
        assert one.settle() == 2
        assert len(faulty.double.calls) - before < 100
    assert_settled(faulty, [first, last])


def test_what_is_found_at_once_is_bounded_however_quiet_it_was_before(
    faulty: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One entity an hour makes the stretches long; then there are many in a second."""
    monkeypatch.setattr(settle_pass, "LOOK", 4)
    monkeypatch.setattr(settle_pass, "MANY", 20)
    events = [said("trace", number, id=f"busy{number}") for number in range(200)]
    for hour in range(1, 20):
        events.append(said("trace", -hour * 3_600_000, id=f"quiet{hour}"))
    with collector(faulty, "one") as one:
        one.export(events)
    faulty.double.query("DELETE FROM traces")
    with collector(faulty, "one") as one:
        one.made.idle()
        sizes: list[int] = []
        ask = one.made._sql.rows

        def rows(statement: str, *where: Any) -> list[list[Any]]:
            answer = ask(statement, *where)
            sizes.append(len(answer) if "GROUP BY `project_id`" in statement else 0)
            return answer

        monkeypatch.setattr(one.made._sql, "rows", rows)
        assert one.settle() == len(events)
        assert 0 < max(sizes) <= 21
    assert_settled(faulty, events)


def test_a_write_that_lands_late_is_found(faulty: Server) -> None:
    """A call has no answer in time, is repeated, and a later event is stored; only then the first call is carried out."""
    stuck = faults.stuck().on("traces").over("grpc").times(1)
    events = [said("trace", 1), said("trace", 2, name="first"), said("trace", 3, 20, name="second")]
    with collector(faulty, timeout=Duration(0.5)) as one:
        one.export(events[:1])
        faulty.double.fail(stuck)
        with pytest.raises(RetryableError):
            one.export(events[1:2])
        one.export(events[1:2])
        one.export(events[2:])
        faulty.double.heal(stuck)
        faulty.double.wait(lambda: faulty.double.query("SELECT `name` FROM traces") == [{"name": "first"}])
        assert one.settle() == 1
    assert_settled(faulty, events)


def test_entities_of_a_batch_with_an_unknown_outcome_are_gone_over(faulty: Server) -> None:
    """Half of it was written, and it was given up."""
    events = [said("trace", at, id=f"t{at}") for at in range(10)]
    with collector(faulty) as one:
        one.export([said("score", 1)])
        faulty.double.fail(fault := faults.status(StatusCode.INTERNAL, applied=0.5).on("traces"))
        with pytest.raises(RetryableError):
            one.export(events)
        faulty.double.heal(fault)
        assert len(faulty.table("traces")) == 5
        assert one.settle() == 5
    assert_settled(faulty, events)


def test_events_the_store_has_lost_are_reported(server: Server) -> None:
    """Counted one by one; the log has a line, not one for each of the thousands a host that crashes may lose."""
    with capture_logs() as logs, collector(server) as one:
        one.export([event(f"t{number}", "trace") for number in range(5)])
        server.sql.run("TRUNCATE TABLE raw_events")
        one.settle()
        assert one.missing == 5
    assert len([line for line in logs if "the store has lost events" in line["event"]]) == 1
    assert len(server.table("traces")) == 5


def test_going_over_goes_on_where_the_server_was_away(faulty: Server) -> None:
    with collector(faulty, "one") as one, collector(faulty, "two") as two:
        one.export([said("trace", 1)])
        two.export([said("trace", 2)])
        one.export([said("trace", 3)])
        faulty.double.fail(away := faults.unavailable_status().over("http").nth(3))
        with pytest.raises(Exception, match=r"unavailable|5000"):
            one.settle()
        faulty.double.heal(away)
        assert one.settle() == 1
    assert_settled(faulty, [said("trace", at) for at in (1, 2, 3)])


def test_the_thread_goes_over_while_nothing_comes(faulty: Server) -> None:
    often = SettleConfig(after=Duration(0), interval=Duration(0.01))
    with collector(faulty, "one", settle=often) as one, collector(faulty, "two") as two:
        asyncio.run(one.made.start())
        one.export([said("trace", 1)])
        two.export([said("trace", 2)])
        one.export([said("trace", 3)])
        faulty.double.wait(lambda: one.refolded > 0)
        marks = "SELECT count(*) AS n FROM openfuse_settle_marks WHERE `instance` = 'one/greptimedb'"
        faulty.double.wait(lambda: faulty.double.query(marks) == [{"n": 0}])
    assert_settled(faulty, [said("trace", at) for at in (1, 2, 3)])


def test_it_can_be_off(server: Server) -> None:
    with exporter(server, settle=SettleConfig(interval=Duration(0))) as made:
        export(made, [said("trace", 1)])
        made.settle()
    assert server.table("openfuse_settle_marks") == []


def test_spans_taken_for_new_are_put_right(server: Server) -> None:
    """What `assume_new` gets wrong: a span that comes after its log records, and the same span once more."""
    span = event("o1", name="n", model="m", metadata={"a": "1"})
    log = Event(
        span.entity,
        "log",
        "generation-update",
        "2026-11-21T06:00:01Z",
        {"id": "o1", "metadata": {"log": "x"}},
        NOW,
        {"source": "l", "mapping": 1},
    )
    with collector(server, assume_new=True) as one:
        one.export([log])
        one.export([span])
        assert set(server.table("observations")[0]["metadata"].split('"')) & {"log", "a"} == {"a"}
        assert one.settle() == 1
        one.export([span])
        settle(one)
    assert_settled(server, [span, log])


def test_spans_taken_for_new_are_not_looked_up(faulty: Server) -> None:
    with collector(faulty, assume_new=True) as one:
        one.export([event("t0", "trace")])
        before = len(faulty.double.calls)
        one.export([event(f"o{number}") for number in range(20)])
        asked = [call.sql for call in faulty.double.calls[before:] if call.method == "sql"]
    assert not any("raw_events" in (sql or "") or "observations" in (sql or "") for sql in asked)

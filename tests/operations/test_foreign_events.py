"""Raw events somebody else has written: half surrogate pairs, entities without a table here, and what nobody can read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from operations_kit import (
    NOW,
    GreptimedbKit,
    SqliteKit,
    StoreKit,
    conversation,
    deleted,
    export,
    ids,
    rebuilt,
    said,
    shown,
    store,
    verified,
)
from structlog.testing import capture_logs

from openfuse_collector.config.types import Duration
from openfuse_collector.errors import PermanentError
from openfuse_collector.events.event import Entity
from openfuse_collector.exporters.greptimedb.config import SettleConfig
from openfuse_collector.exporters.sqlite.statements import entity_key

AT_ONCE = SettleConfig(after=Duration(0), rate=1_000_000)
BROKEN = '{"id":"foreign-t1","timestamp":"2026-11'


def put(kit: StoreKit, body: str, id: str = "t1", kind: str = "trace", at: int = 3) -> None:
    """A raw event of another writer."""
    values: dict[str, Any] = {
        "ingested_at": NOW + at,
        "project_id": "p",
        "entity_type": kind,
        "entity_id": id,
        "event_ts": NOW,
        "event_id": f"foreign-{id}",
        "event_type": f"{kind}-create",
        "body": body,
    }
    if kit.kind == "sqlite":
        values["openfuse_entity"] = entity_key(Entity("p", kind, id))
    columns = ", ".join(values)
    kit.tamper(f"INSERT INTO raw_events ({columns}) VALUES ({', '.join(map(literal, values.values()))})")


def javascript(id: str, kind: str = "trace", **body: Any) -> str:
    """An envelope as JSON.stringify writes it: half a surrogate pair is an escape sequence."""
    stamp = "2026-11-21T06:00:01.000Z"
    said = {"id": f"foreign-{id}", "timestamp": stamp, "type": f"{kind}-create", "body": {"id": id, **body}}
    return json.dumps(said)


def literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def names(kit: StoreKit) -> dict[str, str]:
    return dict(kit.query("SELECT id, name FROM traces"))


CUT = javascript("t1", name="cut \ud83d", metadata={"key \ud83d": "\ude00 value"}, tags=["\ud83d"])


def test_half_a_surrogate_pair_is_as_good_as_any_event(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2"))
    put(kit, CUT)
    assert verified(kit).failures == []
    rebuilt(kit)
    assert names(kit) == {"t1": "cut �", "t2": "chat"}
    report = verified(kit)
    assert (report.discrepancies, report.failures) == (0, [])
    store(kit, [said("t1", at=5, userId="u"), said("t2", at=5, userId="u")])
    assert kit.query("SELECT DISTINCT user_id, count(*) FROM traces GROUP BY user_id") == [("u", 2)]
    assert verified(kit).discrepancies == 0
    assert deleted(kit, "t1").entities["trace"] == 1
    assert ids(kit) == {"t2", "t2-o", "t2-s"}


def test_settling_takes_half_a_surrogate_pair_as_well(greptimedb: GreptimedbKit) -> None:
    with greptimedb.exporter(settle=AT_ONCE) as made:
        export(made, [*conversation("t1"), *conversation("t2")])
        put(greptimedb, CUT)
        made.settle()
    assert names(greptimedb) == {"t1": "cut �", "t2": "chat"}
    assert greptimedb.query("SELECT count(*) FROM openfuse_settle_marks") == [(0,)]


def test_entities_without_a_table_here_are_passed_over(kit: StoreKit) -> None:
    store(kit, conversation("t1"))
    put(kit, javascript("s1", "session"), id="s1", kind="session")
    report = rebuilt(kit)
    assert (report.discrepancies, report.failures) == (0, [])
    assert deleted(kit, "t1").entities["trace"] == 1
    assert deleted(kit, project="p").entities["trace"] == 0


def test_settling_after_a_restart_passes_over_entities_without_a_table_here(greptimedb: GreptimedbKit) -> None:
    with greptimedb.exporter(settle=AT_ONCE) as made:
        export(made, conversation("t1"))
        put(greptimedb, javascript("s1", "session"), id="s1", kind="session")
    with capture_logs() as logs, greptimedb.exporter(settle=AT_ONCE) as made:
        made.settle()
    assert [line for line in logs if line["log_level"] == "warning"] == []
    assert greptimedb.query("SELECT count(*) FROM openfuse_settle_marks") == [(0,)]


def test_what_nobody_can_read_costs_its_own_entity_only(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2"))
    put(kit, BROKEN)
    before = names(kit)
    for report in (verified(kit), rebuilt(kit)):
        assert report.discrepancies == 0
        (failure,) = report.failures
        assert failure.startswith("trace t1: ValueError: its raw event received at 20")
    assert names(kit) == before
    with kit.exporter() as made:
        with pytest.raises(PermanentError, match="trace t1: cannot be folded: ValueError: its raw event received at"):
            export(made, [said("t1", at=5), said("t2", at=5, name="later")])
        export(made, [said("t2", at=5, name="later")])
    assert names(kit) == {"t1": "chat", "t2": "later"}


@pytest.mark.parametrize("erase", [False, True])
def test_what_nobody_can_read_can_be_deleted(kit: StoreKit, erase: bool) -> None:
    store(kit, conversation("t1"), conversation("t2"))
    put(kit, BROKEN)
    put(kit, BROKEN, id="t1-o", kind="observation")
    removed = deleted(kit, "t1", erase=erase)
    assert dict(+removed.entities) == {"trace": 1, "observation": 1, "score": 1}
    assert ids(kit) == {"t2", "t2-o", "t2-s"}
    assert dict(+deleted(kit, "t1").entities) == {}
    if erase and isinstance(kit, SqliteKit):
        assert verified(kit).failures == []
        store(kit, [said("t1", at=10**12, event="new")])
        assert "t1" in ids(kit)


@pytest.mark.parametrize("project", [None, "p"], ids=["trace", "project"])
def test_what_is_deleted_stays_so_whatever_nobody_can_read(kit: StoreKit, project: str | None) -> None:
    """It is no failure, and what is sent once more is no dead letter; something new is one, because the truth is not known then."""
    store(kit, conversation("t1"), conversation("t2"))
    put(kit, BROKEN)
    deleted(kit, *(() if project else ("t1",)), project=project)
    left = set() if project else {"t2", "t2-o", "t2-s"}
    for report in (verified(kit), rebuilt(kit)):
        assert (report.discrepancies, report.failures) == (0, [])
    store(kit, conversation("t1"))
    assert ids(kit) == left
    with kit.exporter() as made:
        export(made, conversation("t1"))
        with pytest.raises(PermanentError, match="trace t1: cannot be folded: ValueError: its raw event received at"):
            export(made, [said("t1", at=10**12, name="new")])
    assert (ids(kit), verified(kit).failures) == (left, [])


def test_what_is_put_right_is_read_by_the_collector_that_could_not(sqlite: SqliteKit) -> None:
    store(sqlite, conversation("t1"))
    put(sqlite, BROKEN)
    deleted(sqlite, "t1")
    new = said("t1", at=10**12, name="new")
    with sqlite.exporter() as made:
        export(made, conversation("t1"))  # nothing is remembered of what was read then
        sqlite.tamper(f"UPDATE raw_events SET body = '{javascript('t1', name='right')}' WHERE event_id = 'foreign-t1'")
        export(made, [new])
    assert names(sqlite) == {"t1": "right"}


@pytest.mark.parametrize("erase", [False, True])
@pytest.mark.parametrize("known", [False, True], ids=["nothing else", "deleted before"])
def test_what_nobody_can_read_does_not_come_back_when_it_is_deleted(kit: StoreKit, known: bool, erase: bool) -> None:
    """It is newer than the tombstone, or there is none: erased it says no more than that the trace is there, and that is deleted too."""
    later = 10**12
    store(kit, conversation("t1") if known else [], conversation("t2"))
    if known:
        deleted(kit, "t1")
    put(kit, BROKEN, at=later)
    assert len(verified(kit).failures) == 1
    assert dict(+deleted(kit, "t1", erase=erase).entities) == {}
    for report in (verified(kit), rebuilt(kit)):
        assert (report.discrepancies, report.failures) == (0, [])
    assert ids(kit) == {"t2", "t2-o", "t2-s"}
    tombstones = kit.query("SELECT count(*) FROM raw_events WHERE event_type = 'langfuse-tombstone'")
    deleted(kit, "t1", erase=erase)
    assert kit.query("SELECT count(*) FROM raw_events WHERE event_type = 'langfuse-tombstone'") == tombstones


@pytest.mark.parametrize("at", [10**15, 2**63 - 1 - NOW], ids=["year 33,000", "no year"])
def test_what_nobody_can_read_keeps_nothing_up_whenever_it_was_received(sqlite: SqliteKit, at: int) -> None:
    store(sqlite, conversation("t1"), conversation("t2"))
    put(sqlite, BROKEN, at=at)
    report = verified(sqlite)
    assert (report.discrepancies, len(report.failures)) == (0, 1)
    assert "received at 9999-12-31T23:59:59.999Z cannot be read" in report.failures[0]
    assert dict(+deleted(sqlite, "t1", erase=True).entities) == {"trace": 1, "observation": 1, "score": 1}
    assert ids(sqlite) == {"t2", "t2-o", "t2-s"}
    assert verified(sqlite).failures == []


SECRET = "correct-horse-battery-staple"
OUT_OF_SHAPE = javascript("e1", "span", traceId="t1", input=SECRET).replace('"2026-11-21T06:00:01.000Z"', "5")
CUT_SHORT = javascript("e1", "span", traceId="t1", input=SECRET).replace(": ", ":")[:-2]
WITHIN = javascript("e1", "span", input=SECRET, metadata={"traceId": "t1"}).replace('"2026-11-21T06:00:01.000Z"', "5")


def secrets(kit: StoreKit) -> int:
    ((count,),) = kit.query(f"SELECT count(*) FROM raw_events WHERE body LIKE '%{SECRET}%'")
    return int(count)


@pytest.mark.parametrize("body", [OUT_OF_SHAPE.replace(": ", ":"), CUT_SHORT], ids=["out of shape", "cut short"])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "nothing else"])
def test_what_names_its_trace_in_text_nobody_can_read_is_erased_with_it(
    sqlite: SqliteKit, body: str, announced: bool
) -> None:
    store(sqlite, conversation("t1") if announced else [], conversation("t2"))
    put(sqlite, body, id="e1", kind="observation")
    assert (secrets(sqlite), len(verified(sqlite).failures)) == (1, 1)
    assert deleted(sqlite, "t1", erase=True, dry_run=True).erased == (4 if announced else 1)
    removed = deleted(sqlite, "t1", erase=True)
    assert (removed.erased, secrets(sqlite)) == (4 if announced else 1, 0)
    assert ids(sqlite) == {"t2", "t2-o", "t2-s"}
    report = verified(sqlite)
    assert (report.discrepancies, report.failures) == (0, [])


BESIDE: dict[str, list[Any]] = {
    "an event of another trace": [said("e1", "observation", traceId="t2")],
    "an event of another trace, deleted": [said("e1", "observation", traceId="t2"), "delete"],
    "a row of another trace": [said("e1", "observation", traceId="t2"), "forget"],
}


@pytest.mark.parametrize("name", BESIDE)
def test_text_nobody_can_read_is_not_believed_beside(sqlite: SqliteKit, name: str) -> None:
    first, *then = BESIDE[name]
    store(sqlite, conversation("t1"), [*conversation("t2"), first])
    if "delete" in then:
        deleted(sqlite, "t2")
    if "forget" in then:
        sqlite.tamper("DELETE FROM raw_events WHERE entity_id = 'e1'")
    put(sqlite, WITHIN.replace(": ", ":"), id="e1", kind="observation")
    before = ids(sqlite)
    assert dict(+deleted(sqlite, "t1", erase=True).entities) == {"trace": 1, "observation": 1, "score": 1}
    assert (secrets(sqlite), ids(sqlite)) == (1, before - {"t1", "t1-o", "t1-s"})


def test_text_that_can_be_read_is_no_statement_beside_an_event_nobody_can(sqlite: SqliteKit) -> None:
    store(sqlite, conversation("t1"))
    put(sqlite, BROKEN, id="e1", kind="observation")
    with sqlite.exporter() as made, pytest.raises(PermanentError):
        export(made, [said("e1", "observation", 5, input=SECRET, metadata={"traceId": "t1"})])
    put(
        sqlite,
        javascript("e1", "span", input=SECRET, metadata={"traceId": "t1"}).replace(": ", ":"),
        "e1",
        "observation",
        5,
    )
    assert deleted(sqlite, "t1", erase=True).erased == 3
    assert secrets(sqlite) == 1


def test_settling_goes_on_behind_what_nobody_can_read(greptimedb: GreptimedbKit) -> None:
    with capture_logs() as logs, greptimedb.exporter(settle=AT_ONCE) as made:
        export(made, [*conversation("t1"), *conversation("t2"), *conversation("t3")])
        for id in ("t1", "t2"):
            put(greptimedb, BROKEN, id=id)
        greptimedb.tamper("DELETE FROM traces WHERE id = 't3'")
        made.settle()
        made.settle()
    assert Entity("p", "trace", "t3") in shown(greptimedb)
    (line,) = [line for line in logs if line["event"] == "an entity cannot be folded"]
    assert line["entity"] in ("t1", "t2")
    assert greptimedb.query("SELECT count(*) FROM openfuse_settle_marks") == [(0,)]

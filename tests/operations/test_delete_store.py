"""Deletion: what is deleted is gone, stays gone whatever old is sent or replayed, and comes back with something new."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from operations_kit import (
    NOW,
    GreptimedbKit,
    SqliteKit,
    StoreKit,
    contents,
    conversation,
    deleted,
    export,
    ids,
    rebuilt,
    said,
    side_entities,
    store,
    verified,
)

from openfuse_collector.events.event import Event
from openfuse_collector.store.rebuild import Selection

FIRST, SECOND = {"t1", "t1-o", "t1-s"}, {"t2", "t2-o", "t2-s"}
LATER = 10**12
"""Milliseconds: behind any clock a tombstone is made by."""


def assert_clean(kit: StoreKit, shown: set[str]) -> None:
    """Those and no others have rows and side rows, and events say the same."""
    assert ids(kit) == shown
    assert side_entities(kit) <= shown
    report = verified(kit)
    assert (report.discrepancies, report.failures) == (0, [])


def test_a_trace_goes_with_its_observations_and_scores(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2"))
    removed = deleted(kit, "t1")
    assert dict(+removed.entities) == {"trace": 1, "observation": 1, "score": 1}
    assert {table: removed.rows[table] for table in ("traces", "observations", "scores")} == {
        "traces": 1,
        "observations": 1,
        "scores": 1,
    }
    assert_clean(kit, SECOND)
    assert dict(+deleted(kit, "t1").entities) == {}
    assert_clean(kit, SECOND)


def test_the_running_collector_notices(kit: StoreKit) -> None:
    """It has the trace in memory, and knows from its next batch on that it is deleted."""
    with kit.exporter() as made:
        export(made, [*conversation("t1"), *conversation("t2")])
        deleted(kit, "t1")
        export(made, conversation("t1"))
        export(made, [said("t2", at=5, name="again")])
        assert_clean(kit, SECOND)
        export(made, [said("t1", at=LATER, name="new")])
    assert_clean(kit, {"t1", *SECOND})


OLD = {
    "the same again": lambda: conversation("t1"),
    "a copy received later": lambda: [
        Event(one.entity, one.id, one.type, one.timestamp, one.body, one.ingested_at + LATER, one.metadata)
        for one in conversation("t1")
    ],
    "a newer mapping of the same spans": lambda: [
        said("t1", at=LATER, mapping=2, name="chat"),
        said("t1-o", "observation", LATER, mapping=2, traceId="t1"),
    ],
    "the spans grouped into other requests": lambda: [
        Event(
            said("t1").entity,
            "shallow-2",
            "trace-create",
            "2026-11-21T06:00:00.5Z",
            {"id": "t1"},
            NOW + LATER,
            {"shallow": True},
        )
    ],
}


@pytest.mark.parametrize("how", OLD)
def test_old_data_does_not_bring_a_trace_back(kit: StoreKit, how: str) -> None:
    first = [said("t1", mapping=1, name="chat"), said("t1-o", "observation", mapping=1, traceId="t1")]
    store(kit, first, conversation("t1"), conversation("t2"))
    deleted(kit, "t1")
    store(kit, OLD[how]())
    assert_clean(kit, SECOND)
    rebuilt(kit)
    assert_clean(kit, SECOND)


def test_something_new_brings_it_back(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2"))
    deleted(kit, "t1")
    store(kit, [said("t1", at=LATER, event="new", output="more")])
    assert_clean(kit, {"t1", *SECOND})
    assert kit.query("SELECT name, output FROM traces WHERE id = 't1'") == [("chat", "more")]
    rebuilt(kit)
    assert_clean(kit, {"t1", *SECOND})


def test_a_tombstone_is_not_older_than_what_it_deletes(kit: StoreKit) -> None:
    """The clock of the command may be behind that of the collector."""
    store(kit, conversation("t1", at=LATER))
    deleted(kit, "t1")
    assert_clean(kit, set())


def test_rows_that_moved_in_time_go_as_well(kit: StoreKit) -> None:
    store(kit, [said("t1", timestamp="2026-11-21T06:00:05Z")], [said("t1", at=2, timestamp="2026-11-21T06:00:01Z")])
    deleted(kit, "t1")
    assert_clean(kit, set())


def test_a_dry_run_only_says(kit: StoreKit) -> None:
    store(kit, conversation("t1"))
    before = contents(kit)
    told = deleted(kit, "t1", dry_run=True), deleted(kit, project="p", dry_run=True)
    assert contents(kit) == before
    for removed in told:
        assert dict(+removed.entities) == {"trace": 1, "observation": 1, "score": 1}
        assert removed.rows["observations"] == 1


def test_a_project_goes_and_others_stay(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2", project="q"))
    removed = deleted(kit, project="p")
    assert dict(+removed.entities) == {"trace": 1, "observation": 1, "score": 1}
    assert_clean(kit, SECOND)
    assert dict(+deleted(kit, project="p").entities) == {}


def test_what_waits_in_a_journal_belongs_to_the_deleted_project(kit: StoreKit) -> None:
    """Received before the deletion, stored after it, of entities the store has never heard of."""
    with kit.exporter() as made:
        export(made, conversation("t1"))
        deleted(kit, project="p")
        export(made, conversation("t3", at=7))
        export(made, OLD["a newer mapping of the same spans"]())
        assert_clean(kit, {"t1", "t1-o"})  # no earlier event of these sources: they are new
        export(made, conversation("t4", at=LATER))
    assert_clean(kit, {"t1", "t1-o", "t4", "t4-o", "t4-s"})
    rebuilt(kit)
    assert_clean(kit, {"t1", "t1-o", "t4", "t4-o", "t4-s"})


def test_many_entities(kit: StoreKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a page and more than a transaction."""
    from openfuse_collector.exporters.greptimedb import pages
    from openfuse_collector.exporters.sqlite import deletion

    monkeypatch.setattr(pages, "PAGE_ENTITIES", 3)
    monkeypatch.setattr(pages, "NAMES", 5)
    monkeypatch.setattr(deletion, "ENTITIES", 3)
    monkeypatch.setattr(deletion, "ROWS", 4)
    events = [said(f"o{number}", "observation", traceId="t1", input="q") for number in range(23)]
    store(kit, [said("t1"), *events, *conversation("t2")])
    removed = deleted(kit, "t1", erase=True)
    assert dict(+removed.entities) == {"trace": 1, "observation": 23}
    assert_clean(kit, SECOND)
    store(kit, [said("t3", project="q"), *(said(f"x{n}", "observation", project="q", traceId="t3") for n in range(23))])
    assert dict(+deleted(kit, project="q", erase=True).entities) == {"trace": 1, "observation": 23}
    assert_clean(kit, SECOND)


SECRET = "correct-horse-battery-staple"


def on_disk(kit: SqliteKit) -> bool:
    """Whether the secret is anywhere in the file or its write-ahead log."""
    files = (kit.path, Path(f"{kit.path}-wal"))
    return any(SECRET.encode() in file.read_bytes() for file in files if file.exists())


@pytest.mark.parametrize("what", ["trace", "project"])
def test_erasing_leaves_no_payload_on_the_disk(sqlite: SqliteKit, what: str) -> None:
    unusable = said("t1-x", "score", traceId="t1", value="text", dataType="NUMERIC", comment=SECRET)
    store(sqlite, [*conversation("t1", secret=SECRET), unusable], conversation("t2"))
    deleted(sqlite, "t1")
    assert on_disk(sqlite)
    removed = deleted(sqlite, "t1", erase=True) if what == "trace" else deleted(sqlite, project="p", erase=True)
    assert removed.erased == (4 if what == "trace" else 7)
    assert not on_disk(sqlite)
    assert any("journal" in sentence for sentence in removed.remaining)
    shown = SECOND if what == "trace" else set()
    assert_clean(sqlite, shown)
    store(sqlite, conversation("t1", secret=SECRET))
    assert not on_disk(sqlite), "what is sent again is known, and not kept again"
    earlier = [structs.replace(one, ingested_at=one.ingested_at - 5) for one in conversation("t1", secret=SECRET)]
    store(sqlite, earlier)
    assert not on_disk(sqlite), "nor is a copy that was received earlier"
    assert_clean(sqlite, shown)
    assert deleted(sqlite, "t1", erase=True).erased == 0


def test_a_payload_is_erased_whatever_its_sender_says_of_it(sqlite: SqliteKit) -> None:
    marked = [structs.replace(one, metadata={"erased": True}) for one in conversation("t1", secret=SECRET)]
    store(sqlite, marked)
    assert deleted(sqlite, "t1", erase=True).erased == 3
    assert not on_disk(sqlite)
    assert deleted(sqlite, "t1", erase=True).erased == 0


def test_what_a_row_has_once_said_is_erased_whatever_sqlite_does_unasked(
    sqlite: SqliteKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some builds leave what is overwritten or freed where it was."""
    opened = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = opened(*arguments, **options)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    monkeypatch.setattr("openfuse_collector.exporters.sqlite.store.sqlite3.connect", connect)
    store(sqlite, conversation("t1", secret=SECRET * 1000), conversation("t1", at=1, secret="nothing"))
    assert deleted(sqlite, "t1", erase=True).erased == 6
    assert not on_disk(sqlite)


def test_erasing_beside_a_collector(sqlite: SqliteKit) -> None:
    """It has the file open all the time, and its write-ahead log with it."""
    with sqlite.exporter() as made:
        export(made, conversation("t1", secret=SECRET))
        removed = deleted(sqlite, "t1", erase=True)
        assert (removed.erased, on_disk(sqlite)) == (3, False)
        assert not any("write-ahead" in sentence for sentence in removed.remaining)
        export(made, conversation("t1", secret=SECRET))
        assert not on_disk(sqlite)


def test_a_reader_in_the_way_of_erasing_is_told(sqlite: SqliteKit, monkeypatch: pytest.MonkeyPatch) -> None:
    from openfuse_collector.exporters.sqlite import deletion

    store(sqlite, conversation("t1", secret=SECRET))
    monkeypatch.setattr(deletion, "CHECKPOINT_PATIENCE", 0.05)
    with closing(sqlite3.connect(sqlite.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM traces").fetchone()
        removed = deleted(sqlite, "t1", erase=True)
    assert any("write-ahead log could not be emptied" in sentence for sentence in removed.remaining)


def test_erasing_says_what_the_store_cannot_do(greptimedb: GreptimedbKit) -> None:
    store(greptimedb, conversation("t1", secret=SECRET))
    removed = deleted(greptimedb, "t1", erase=True)
    assert removed.erased == 0
    assert any("raw_events" in sentence and "ttl" in sentence for sentence in removed.remaining)
    for table in ("traces", "observations", "scores", "traces_metadata", "observations_metadata", "scores_metadata"):
        assert greptimedb.query(f"SELECT * FROM {table}") == []


def test_changed_tables_are_compacted_and_collectors_told(greptimedb: GreptimedbKit) -> None:
    store(greptimedb, conversation("t1"))
    before = len(greptimedb.double.calls)
    deleted(greptimedb, "t1")
    statements = [call.sql for call in greptimedb.double.calls[before:] if call.sql]
    bumps = [at for at, sql in enumerate(statements) if sql.startswith("INSERT INTO `openfuse_store_epoch`")]
    assert len(bumps) >= 2
    compactions = [at for at, sql in enumerate(statements) if "compact_table" in sql]
    assert {sql.split("'")[1] for sql in statements if "compact_table" in sql} >= {"traces", "observations", "scores"}
    assert min(compactions) > max(bumps)


@pytest.mark.parametrize("kind", ["observation", "score"])
def test_what_a_collector_is_just_writing_goes_too(greptimedb: GreptimedbKit, kind: str) -> None:
    """Raw events are written before rows: something of the trace may have no row yet."""
    store(greptimedb, conversation("t1"), [said("t1-late", kind, at=5000, traceId="t1")], conversation("t2"))
    greptimedb.tamper(f"DELETE FROM {kind}s WHERE id = 't1-late'")
    removed = deleted(greptimedb, "t1")
    assert removed.entities[kind] == 2
    assert_clean(greptimedb, SECOND)


@pytest.mark.parametrize("name", ["it's", 'say "x"', "100%_a", "ü\U0001f600", "back\\slash", "a;b--c"])
def test_ids_of_whatever_characters(kit: StoreKit, name: str) -> None:
    unusable = said("odd", "score", traceId=name, value="text", dataType="NUMERIC", comment=SECRET)
    store(kit, conversation(name), conversation("t2"), [said("late", "observation", at=1, traceId=name), unusable])
    assert rebuilt(kit, Selection(trace=name), dry_run=True).tables["observation"].checked == 2
    kit.tamper("DELETE FROM observations WHERE id = 'late'")
    assert verified(kit).discrepancies == 1
    rebuilt(kit)
    removed = deleted(kit, name, erase=True)
    assert dict(+removed.entities) == {"trace": 1, "observation": 2, "score": 1}
    assert_clean(kit, SECOND)
    assert not (isinstance(kit, SqliteKit) and on_disk(kit))
    store(kit, conversation(name, project=name))
    assert dict(+deleted(kit, project=name).entities) == {"trace": 1, "observation": 1, "score": 1}
    assert_clean(kit, SECOND)


def test_what_openfuse_has_deleted(greptimedb: GreptimedbKit) -> None:
    """Its tombstones are rows of raw_events with a body of their own form."""
    with greptimedb.exporter() as made:
        export(made, [*conversation("t1"), *conversation("t2")])
        for kind, id in (("trace", "t1"), ("observation", "t1-o"), ("score", "t1-s")):
            names = "`ingested_at`, project_id, entity_type, entity_id, event_id, event_type, event_ts, body"
            body = f'{{"id":"{id}","deletedAt":"2026-11-21T06:00:00.000Z"}}'
            values = f"{NOW + 9}, 'p', '{kind}', '{id}', 'tombstone-{id}-{NOW + 9}', 'langfuse-tombstone', {NOW + 9}, '{body}'"
            greptimedb.tamper(f"INSERT INTO raw_events ({names}) VALUES ({values})")
            greptimedb.tamper(f"DELETE FROM {kind}s WHERE id = '{id}'")
    store(greptimedb, conversation("t1"))
    assert ids(greptimedb) == SECOND
    rebuilt(greptimedb)  # side rows that Openfuse has not removed here
    assert_clean(greptimedb, SECOND)
    store(greptimedb, [said("t1", at=10, event="new")])
    assert_clean(greptimedb, {"t1", *SECOND})

"""Retention: entities go whole when their newest event is too old, project by project, by command and by the running collector."""

from __future__ import annotations

import asyncio
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from operations_kit import (
    NOW,
    GreptimedbKit,
    SqliteKit,
    StoreKit,
    assert_shares,
    contents,
    conversation,
    deleted,
    expired,
    export,
    ids,
    rebuilt,
    said,
    side_entities,
    store,
    verified,
)

from openfuse_collector.config.types import Duration
from openfuse_collector.exporters.sqlite import retention as sqlite_retention
from openfuse_collector.store.retention import RetentionConfig
from tests.collector_process import wait_until
from tests.exporters.sqlite_kit import query

DAY = 86_400_000
MONTH = RetentionConfig(default=Duration(30 * 86_400))


def assert_clean(kit: StoreKit, shown: set[str]) -> None:
    """Those and no others have rows and side rows, and events say the same."""
    assert ids(kit) == shown
    assert side_entities(kit) <= shown
    report = verified(kit)
    assert (report.discrepancies, report.failures) == (0, [])


def raw_entities(kit: StoreKit) -> set[str]:
    return {id for (id,) in kit.query("SELECT DISTINCT entity_id FROM raw_events")}


def test_what_is_older_than_the_limit_goes(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2", at=DAY))
    removed = expired(kit, MONTH, NOW + 30 * DAY + 1)
    assert dict(+removed.entities) == {"trace": 1, "observation": 1, "score": 1}
    assert_clean(kit, {"t2", "t2-o", "t2-s"})
    assert dict(+expired(kit, MONTH, NOW + 30 * DAY + 2).entities) == {}
    rebuilt(kit)
    assert_clean(kit, {"t2", "t2-o", "t2-s"})


def test_the_limit_itself_is_kept(kit: StoreKit) -> None:
    store(kit, conversation("t1"))
    expired(kit, MONTH, NOW + 30 * DAY)
    assert_clean(kit, {"t1", "t1-o", "t1-s"})


def test_an_entity_is_as_old_as_its_newest_event_and_goes_whole(kit: StoreKit) -> None:
    store(kit, conversation("t1"), [said("t1", at=20 * DAY, output="late")])
    expired(kit, MONTH, NOW + 40 * DAY)
    assert_clean(kit, {"t1"})
    assert kit.query("SELECT name, output FROM traces") == [("chat", "late")]
    expired(kit, MONTH, NOW + 51 * DAY)
    assert_clean(kit, set())


def test_limits_are_by_project(kit: StoreKit) -> None:
    limits = RetentionConfig(
        default=Duration(30 * 86_400), projects={"short": Duration(86_400), "ever": None, "nobody": Duration(1)}
    )
    for project in ("p", "short", "ever"):
        store(kit, conversation(f"{project}-old", project=project), conversation(f"{project}-new", 20 * DAY, project))
    expired(kit, limits, NOW + 31 * DAY)
    kept = ("p-new", "ever-old", "ever-new")
    assert_clean(kit, {f"{name}{end}" for name in kept for end in ("", "-o", "-s")})


def test_without_limits_nothing_is_touched(kit: StoreKit) -> None:
    store(kit, conversation("t1"))
    before = contents(kit)
    assert dict(+expired(kit, RetentionConfig(), NOW + 10_000 * DAY).entities) == {}
    assert contents(kit) == before


def test_a_dry_run_only_says(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2", at=DAY))
    before = contents(kit)
    removed = expired(kit, MONTH, NOW + 30 * DAY + 1, dry_run=True)
    assert dict(+removed.entities) == {"trace": 1, "observation": 1, "score": 1}
    assert removed.rows["traces"] == removed.rows["scores"] == 1
    assert contents(kit) == before


def test_something_new_of_an_expired_trace_is_stored(kit: StoreKit) -> None:
    with kit.exporter() as made:
        export(made, conversation("t1"))
        expired(kit, MONTH, NOW + 31 * DAY)
        export(made, [said("t1", at=32 * DAY, event="new", output="more")])
        assert_clean(kit, {"t1"})


def test_what_waited_in_a_journal_longer_than_the_limit(greptimedb: GreptimedbKit) -> None:
    """Raw events cannot be forgotten there, so the limit is remembered: what is older stays out."""
    with greptimedb.exporter() as made:
        export(made, conversation("t1"))
        expired(greptimedb, MONTH, NOW + 31 * DAY)
        export(made, [*conversation("t1"), *conversation("t2")])
        assert_clean(greptimedb, set())
    assert raw_entities(greptimedb) == {f"{name}{end}" for name in ("t1", "t2") for end in ("", "-o", "-s")}
    for now in (33, 34, 32):
        expired(greptimedb, MONTH, NOW + now * DAY)
    assert greptimedb.query("SELECT project_id, expired_at FROM openfuse_expired") == [("p", NOW + 4 * DAY - 1)]


def test_raw_events_tombstones_and_spans_go_too(sqlite: SqliteKit) -> None:
    store(sqlite, conversation("t1"), conversation("t2", at=DAY))
    sqlite.tamper(
        "INSERT INTO openfuse_raw_spans SELECT 1, 's' || entity_id, project_id, 't', 's', 0, ingested_at, 0, '', '', '', '', x'00' "
        "FROM raw_events"
    )
    sqlite.tamper(f"INSERT INTO openfuse_dead_letters VALUES ('l', {NOW}, '', '', '', '', 'p', '', 0, 0, '')")
    removed = expired(sqlite, MONTH, NOW + 30 * DAY + 1)
    assert raw_entities(sqlite) == {"t2", "t2-o", "t2-s"}
    spans = {row["source"] for row in query(sqlite.path, "SELECT source FROM openfuse_raw_spans")}
    assert spans == {"st2", "st2-o", "st2-s"}
    assert removed.rows["raw_events"] == removed.rows["openfuse_raw_spans"] == 3
    assert removed.rows["openfuse_dead_letters"] == 1
    deleted(sqlite, "t2")  # now, by the clock
    expired(sqlite, RetentionConfig(default=Duration(1)), 2**43)
    assert raw_entities(sqlite) == set()


def test_what_goes_on_for_ever_is_looked_at_once(sqlite: SqliteKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender may give everything one trace id. Its events never expire, and are on every page."""
    monkeypatch.setattr(sqlite_retention, "PAGE", 3)
    store(sqlite, [said("t1", at=number) for number in range(20)] + [said("t1", at=20 * DAY), said("t2")])
    looks: list[str] = []
    with closing(sqlite.operations()) as operations:
        made = operations.expiry(dry_run=False)
        made._connection.set_trace_callback(lambda sql: looks.append(sql) if "max(ingested_at)" in sql else None)  # type: ignore[attr-defined]
        list(made.expire(MONTH, NOW + 31 * DAY))
    assert dict(+made.removed.entities) == {"trace": 1}
    assert len(looks) == 2
    assert_clean(sqlite, {"t1"})


def test_small_transactions_and_pages_miss_nothing(sqlite: SqliteKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_retention, "PAGE", 3)
    old = [said(f"o{number}", "observation", at=number % 5, traceId="t") for number in range(40)]
    alive = [said(f"o{number}", "observation", at=20 * DAY, event=f"later-{number}") for number in range(0, 40, 4)]
    store(sqlite, old, alive)
    transactions: list[str] = []
    with closing(sqlite.operations()) as operations:
        made = operations.expiry(dry_run=False)
        made._connection.set_trace_callback(lambda sql: transactions.append(sql) if sql == "COMMIT" else None)  # type: ignore[attr-defined]
        list(made.expire(MONTH, NOW + 31 * DAY))
    assert dict(+made.removed.entities) == {"observation": 30}
    assert len(transactions) > 10
    assert_clean(sqlite, {f"o{number}" for number in range(0, 40, 4)})


def grown(kit: SqliteKit, now: int) -> list[int]:
    """Bytes the log has grown by in each transaction of one pass, smallest first. Nobody folds it meanwhile."""
    log, sizes = Path(f"{kit.path}-wal"), [0]

    def look(sql: str) -> None:
        if sql == "BEGIN IMMEDIATE" and log.stat().st_size > sizes[-1]:
            sizes.append(log.stat().st_size)

    with closing(kit.operations()) as operations:
        made = operations.expiry(dry_run=False)
        made._connection.execute("PRAGMA wal_autocheckpoint = 0")  # type: ignore[attr-defined]
        made._connection.set_trace_callback(look)  # type: ignore[attr-defined]
        list(made.expire(MONTH, now))
        look("BEGIN IMMEDIATE")
    return sorted(after - before for before, after in pairwise(sizes))


def large(table: str) -> str:
    """SQL for as many large rows as are a page, of day 0."""
    numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 500)"
    values = {
        "openfuse_raw_spans": f"n, n, 'p', 't', 's', 0, {NOW}, 0, '', '', '', '', zeroblob(50000)",
        "openfuse_dead_letters": f"n, {NOW}, '', '', '', '', 'p', '', 0, 0, zeroblob(50000)",
        "raw_events": "",
    }
    return f"INSERT INTO {table} {numbers} SELECT {values[table]} FROM n"


@pytest.mark.parametrize("table", ["openfuse_raw_spans", "openfuse_dead_letters", "raw_events"])
def test_large_rows_go_few_at_a_time(sqlite: SqliteKit, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    """Where SQLite overwrites what is freed, all of it is written to the log, and collectors wait meanwhile."""
    monkeypatch.setattr(sqlite_retention, "SECONDS", 600.0)
    monkeypatch.setattr(sqlite_retention, "FREED", 500)
    if table == "raw_events":
        store(sqlite, [said(f"o{number}", "observation", traceId="t", input="x" * 50_000) for number in range(250)])
    else:
        store(sqlite, [said("t1")])
        sqlite.tamper(large(table))
    sizes = grown(sqlite, NOW + 31 * DAY)
    assert query(sqlite.path, f"SELECT count(*) AS left FROM {table}") == [{"left": 0}]
    assert sum(sizes) > 20_000_000, "what is freed is written"
    assert sizes[-1] < 6_000_000, "500 pages of 8 KiB, and what else had to be changed"


@pytest.mark.parametrize("table", ["openfuse_raw_spans", "openfuse_dead_letters"])
def test_a_transaction_ends_when_its_time_is_over(
    sqlite: SqliteKit, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """However slow the disk: with no time at all, each has one entity or a few rows, and all go nevertheless."""
    monkeypatch.setattr(sqlite_retention, "SECONDS", -1.0)
    store(sqlite, conversation("t1"), conversation("t2"))
    sqlite.tamper(large(table).replace("50000", "1"))
    commits: list[str] = []
    with closing(sqlite.operations()) as operations:
        made = operations.expiry(dry_run=False)
        made._connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)  # type: ignore[attr-defined]
        assert_shares(list(made.expire(MONTH, NOW + 31 * DAY)))
    assert (made.removed.rows[table], made.removed.rows["raw_events"]) == (500, 6)
    others = 2  # one makes the indexes, one finds that nothing is left
    assert len(commits) == 500 // sqlite_retention.LOOK + 6 + others


def test_pages_are_used_again(sqlite: SqliteKit) -> None:
    """The file does not shrink, and does not grow either while as much goes as comes."""
    sizes = []
    for day in range(6):
        store(sqlite, *(conversation(f"t{day}-{n}", at=day * DAY, secret="x" * 2000) for n in range(20)))
        expired(sqlite, RetentionConfig(default=Duration(86_400)), NOW + (day + 1) * DAY)
        (size,) = query(sqlite.path, "PRAGMA page_count")
        sizes.append(size["page_count"])
    assert sizes[-1] < sizes[1] * 1.1, sizes


def test_the_running_collector_does_it_at_an_interval(kit: StoreKit) -> None:
    often = RetentionConfig(default=Duration(3600), interval=Duration(0.02))
    with kit.exporter(retention=often) as made:
        export(made, conversation("new", at=2**40))
        export(made, conversation("old", at=-1000 * DAY))
        asyncio.run(made.start())
        wait_until(lambda: "old" not in ids(kit), lambda: str(ids(kit)), 60)
        wait_until(lambda: ids(kit) == {"new", "new-o", "new-s"}, lambda: str(ids(kit)), 60)
        export(made, conversation("newer", at=2**40))
    assert_clean(kit, {f"{name}{end}" for name in ("new", "newer") for end in ("", "-o", "-s")})


def test_a_collector_without_limits_has_no_thread_for_it(sqlite: SqliteKit) -> None:
    with sqlite.exporter() as made:
        asyncio.run(made.start())
        assert not made._upkeep._thread.is_alive()
    assert query(sqlite.path, "SELECT name FROM sqlite_master WHERE name LIKE '%by_time' AND name LIKE 'raw%'") == []


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (RetentionConfig(default=Duration(0)), "default must be greater than 0"),
        (RetentionConfig(projects={"p": Duration(0)}), "null keeps everything"),
        (RetentionConfig(interval=Duration(-1)), "interval must not be negative"),
    ],
)
def test_settings_that_make_no_sense(config: RetentionConfig, sentence: str) -> None:
    (problem,) = config.validate()
    assert sentence in problem


def test_a_newer_row_at_another_time_keeps_the_entity(greptimedb: GreptimedbKit) -> None:
    """A collector writes the row at its new time before it removes the old one."""
    store(greptimedb, [said("t1", name="chat")], [said("t1", at=20 * DAY, name="late")])
    names = "`timestamp`, project_id, id, environment, created_at, updated_at, is_deleted"
    greptimedb.tamper(f"INSERT INTO traces ({names}) VALUES (5, 'p', 't1', 'e', 5, 5, false)")
    expired(greptimedb, MONTH, NOW + 31 * DAY)
    assert ("late",) in greptimedb.query("SELECT name FROM traces")
    rebuilt(greptimedb)
    assert_clean(greptimedb, {"t1"})

"""Rebuilds of the embedded store: nothing changes in a store nobody has tampered with, and everything comes back otherwise."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.enrich import enrich, enrichment
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.exporters.sqlite import rebuild as rebuild_module
from openfuse_collector.exporters.sqlite import selection as selection_module
from openfuse_collector.exporters.sqlite import statements, store
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.locking import GIVE_WAY, LOOK_AGAIN
from openfuse_collector.exporters.sqlite.rebuild import Rebuild
from openfuse_collector.exporters.sqlite.store import Store, connect
from openfuse_collector.pdata.otlp_json import decode_traces
from openfuse_collector.pricing import Catalogue
from openfuse_collector.store.rebuild import PICO, Selection
from tests.builders import RECEIVED_AT, event
from tests.events.event_sets import histories
from tests.exporters.sqlite_kit import (
    changes,
    event_ids,
    execute,
    ingest,
    query,
    rebuild,
    reference_rows,
    rows,
    sent,
)
from tests.mapping.span_requests import CHILD, ROOT, TRACE, request, span

CORPUS = Path(os.environ.get("OPENFUSE_SHARED") or Path(__file__).resolve().parents[2].parent / "shared") / "corpus"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "openfuse.db"


def write(path: Path, *batches: Sequence[Event]) -> None:
    with closing(Store(SqliteConfig(path=str(path)))) as store:
        for events in batches:
            store.write(events)


def contents(path: Path) -> dict[str, list[dict[str, Any]]]:
    tables = ("raw_events", "traces", "observations", "scores", "dataset_run_items", "openfuse_raw_spans")
    return {table: query(path, f"SELECT * FROM {table}") for table in tables}


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(("trace", "observation", "score", "dataset_run_item")).flatmap(histories), max_size=3),
    st.integers(1, 4),
)
def test_a_rebuild_changes_nothing_whatever_was_stored_however(sets: list[list[Event]], size: int) -> None:
    events = [
        Event(
            one.entity._replace(id=f"e{number}"),
            one.id,
            one.type,
            one.timestamp,
            one.body,
            one.ingested_at,
            one.metadata,
        )
        for number, history in enumerate(sets)
        for one in history
    ]
    with TemporaryDirectory() as directory:
        path = Path(directory) / "openfuse.db"
        write(path, *(events[start : start + size] for start in range(0, len(events), size)))
        before = contents(path)
        report = rebuild(path, prune=True, enrich=enrich)
        assert changes(report) == {}
        assert report.failures == []
        assert contents(path) == before
        assert rows(path) == reference_rows(path)


TAMPERED = {
    "another value": ("UPDATE observations SET name = 'x', input = NULL", {"observation": (6, 0, 0)}),
    "rows lost": ("DELETE FROM observations WHERE id > 'o3'", {"observation": (0, 2, 0)}),
    "a table emptied": ("DELETE FROM traces", {"trace": (0, 1, 0)}),
    "a deleted entity's row": (
        "INSERT INTO scores (project_id, id, timestamp, name) VALUES ('default', 's1', 5, 'back')",
        {"score": (0, 0, 1)},
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_rows_come_back(path: Path, how: str) -> None:
    deleted = Event(
        Entity("default", "score", "s1"), "t", "langfuse-tombstone", "2026-01-01T00:00:00Z", {"id": "s1"}, 5
    )
    write(path, [event(f"o{n}", name="chat", input="q") for n in range(6)], [event("t1", "trace"), deleted])
    before = contents(path)
    sql, expected = TAMPERED[how]
    execute(path, sql)
    assert contents(path) != before
    assert changes(rebuild(path, enrich=enrich, dry_run=True)) == expected
    report = rebuild(path, enrich=enrich)
    assert changes(report) == expected
    assert rows(path) == reference_rows(path)
    assert {table: sorted(map(str, found)) for table, found in contents(path).items()} == {
        table: sorted(map(str, found)) for table, found in before.items()
    }
    assert changes(rebuild(path, enrich=enrich)) == {}


def test_changed_columns_are_counted(path: Path) -> None:
    write(path, [event(f"o{n}", name="chat", input="q") for n in range(6)])
    execute(path, "UPDATE observations SET name = 'x' WHERE id < 'o4'")
    execute(path, "UPDATE observations SET input = 'x' WHERE id >= 'o3'")
    report = rebuild(path, enrich=enrich)
    assert report.table("observation").columns == {"name": 4, "input": 3}
    assert (report.table("observation").checked, report.table("observation").changed) == (6, 6)


def test_a_dry_run_writes_nothing_and_needs_no_right_to(path: Path) -> None:
    write(path, [event("o1", name="chat")])
    execute(path, "UPDATE observations SET name = 'x'")
    execute(path, "INSERT INTO traces (project_id, id, timestamp) VALUES ('default', 'ghost', 5)")
    before = contents(path)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
        made = Rebuild(connection, enrich, Selection(), dry_run=True)
        for step in (made.refold(), made.orphans(prune=True)):
            list(step)
    assert changes(made.report) == {"observation": (1, 0, 0)}
    assert made.report.table("trace").without_events == 1
    assert contents(path) == before


def test_rows_without_events_are_reported_and_pruned(path: Path) -> None:
    write(path, [event("o1"), event("t1", "trace")])
    for kind, time in (("traces", "timestamp"), ("observations", "start_time"), ("scores", "timestamp")):
        execute(path, f"INSERT INTO {kind} (project_id, id, {time}) VALUES ('default', 'ghost', 5)")
    for prune in (False, True):
        report = rebuild(path, prune=prune, enrich=enrich)
        assert {kind: table.without_events for kind, table in report.tables.items()} == {
            "trace": 1,
            "observation": 1,
            "score": 1,
        }
        assert len(query(path, "SELECT 1 FROM traces")) == 1 if prune else 2
    assert rows(path) == reference_rows(path)
    assert all(table.without_events == 0 for table in rebuild(path, enrich=enrich).tables.values())


def test_pages_are_small_and_miss_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection_module, "PAGE_KEYS", 3)
    monkeypatch.setattr(selection_module, "PAGE_ROWS", 4)
    write(
        path,
        [event(f"o{n % 20}", metadata={f"k{n}": n}) for n in range(50)],
        [event("busy", name=str(n)) for n in range(9)],
    )
    execute(path, "UPDATE observations SET level = 'x'")
    assert changes(rebuild(path, enrich=enrich)) == {"observation": (21, 0, 0)}
    assert rows(path) == reference_rows(path)


@pytest.mark.parametrize("key", [-(2**63), -1, 0, 2**63 - 1])
def test_no_key_is_left_out(path: Path, monkeypatch: pytest.MonkeyPatch, key: int) -> None:
    for module in (statements, store, rebuild_module):
        monkeypatch.setattr(module, "entity_key", lambda entity: key)  # two entities of one key, too
    write(path, [event("o1", name="a"), event("o2", name="b"), event("t", "trace")])
    execute(path, "UPDATE observations SET name = 'x' WHERE id = 'o2'")
    report = rebuild(path, enrich=enrich)
    assert changes(report) == {"observation": (1, 0, 0)}
    assert rows(path) == reference_rows(path)


def selected() -> list[Event]:
    first = [event("o1", traceId="t1"), event("t1", "trace"), event("s1", "score", traceId="t1", name="n", value=1)]
    second = [event("o2", traceId="t2"), event("t2", "trace")]
    third = [event("o3", traceId="t1")]
    for one in third:
        one.entity = one.entity._replace(project_id="acme")
    for one in second:
        one.ingested_at += 1000
    return [*first, *second, *third]


@pytest.mark.parametrize(
    ("selection", "repaired"),
    [
        (Selection(), {"o1", "o2", "o3", "t1", "t2", "s1"}),
        (Selection(project="acme"), {"o3"}),
        (Selection(trace="t1"), {"o1", "o3", "t1", "s1"}),
        (Selection(trace="t1", project="default"), {"o1", "t1", "s1"}),
        (Selection(since=RECEIVED_AT // 1_000_000 + 500), {"o2", "t2"}),
        (Selection(entity_type="observation"), {"o1", "o2", "o3"}),
        (Selection(project="nobody"), set()),
    ],
)
def test_only_what_is_selected_is_rebuilt(path: Path, selection: Selection, repaired: set[str]) -> None:
    write(path, selected())
    for table in ("traces", "observations", "scores"):
        execute(path, f"UPDATE {table} SET environment = 'x'")
    report = rebuild(path, selection, enrich=enrich)
    assert sum(sum(counts) for counts in changes(report).values()) == len(repaired)
    assert sum(table.checked for table in report.tables.values()) == len(repaired)
    assert {id for (_, _, id), row in rows(path).items() if row["environment"] == "default"} == repaired


def test_orphans_are_looked_for_in_the_selection_only(path: Path) -> None:
    for project, trace in (("default", "t1"), ("default", "t2"), ("acme", "t1")):
        execute_orphan(path, project, trace)
    for selection, expected in (
        (Selection(trace="t1"), 2),
        (Selection(project="default"), 2),
        (Selection(trace="t1", project="acme"), 1),
        (Selection(since=10), 0),
        (Selection(entity_type="trace"), 0),
    ):
        report = rebuild(path, selection, enrich=enrich)
        assert sum(table.without_events for table in report.tables.values()) == expected


def execute_orphan(path: Path, project: str, trace: str) -> None:
    Store(SqliteConfig(path=str(path))).close()
    sql = "INSERT INTO observations (project_id, id, start_time, trace_id, updated_at) VALUES (?, ?, 5, ?, 5)"
    execute(path, sql, project, f"ghost-{trace}", trace)


def test_one_bad_entity_leaves_the_others_alone(path: Path) -> None:
    write(path, [event("bad"), event("good")])
    execute(path, "UPDATE raw_events SET body = json_set(body, '$.timestamp', 17) WHERE entity_id = 'bad'")
    execute(path, "UPDATE observations SET name = 'x'")
    report = rebuild(path, enrich=enrich)
    assert changes(report) == {"observation": (1, 0, 0)}
    (failure,) = report.failures
    assert failure.startswith("observation bad: ")
    assert [row["name"] for row in query(path, "SELECT name FROM observations ORDER BY id")] == ["x", None]


def test_a_rebuild_stopped_at_any_page_is_finished_by_the_next(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection_module, "PAGE_KEYS", 2)
    write(path, [event(f"o{n}", name="chat") for n in range(9)])
    execute(path, "UPDATE observations SET name = 'x'")
    pages = 0
    for pages in itertools.count(1):
        with closing(connect(SqliteConfig(path=str(path)))) as connection:
            step = Rebuild(connection, enrich, Selection()).refold()
            for _ in itertools.islice(step, pages):
                pass
        repaired = len(query(path, "SELECT 1 FROM observations WHERE name = 'chat'"))
        assert repaired == min(9, 2 * pages)
        if repaired == 9:
            break
    assert pages == 5
    assert changes(rebuild(path, enrich=enrich)) == {}


def test_new_prices_change_the_cost_and_nothing_else(path: Path) -> None:
    usage = {"input": 1000, "output": 100}
    write(path, [event("o1", model="gpt-4o", usageDetails=usage), event("o2", name="unpriced"), event("t", "trace")])
    selection = Selection(entity_type="observation")
    report = rebuild(path, selection, enrich=enrichment(Catalogue()))
    table = report.table("observation")
    assert (table.checked, table.changed, table.cost_before) == (2, 1, 0)
    expected = {"total_cost", "input_cost", "output_cost", "cost_details", "internal_model_id"}
    assert set(table.columns) == expected | {"usage_pricing_tier_id", "usage_pricing_tier_name"}
    (row,) = query(path, "SELECT total_cost FROM observations WHERE id = 'o1'")
    assert table.cost_after == round(row["total_cost"] * PICO) > 0
    again = rebuild(path, selection, enrich=enrichment(Catalogue())).table("observation")
    assert (again.changed, again.cost_before) == (0, table.cost_after)


def test_the_collector_s_own_store_notices_a_rebuild(path: Path) -> None:
    """What the open store remembers of an entity is void once a rebuild has written."""
    with closing(Store(SqliteConfig(path=str(path)))) as store:
        store.write([event("t1", "trace", name="first")])
        execute(path, "UPDATE traces SET name = 'x'")
        assert changes(rebuild(path, enrich=enrich)) == {"trace": (1, 0, 0)}
        later = event("t1", "trace", input="later")
        later.timestamp = "2026-11-21T07:00:00Z"
        store.write([later])
    assert rows(path) == reference_rows(path)
    assert [row["name"] for row in query(path, "SELECT name FROM traces")] == ["first"]


def test_another_writer_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, [event("o1", name="chat")])
    execute(path, "UPDATE observations SET name = 'x'")
    looked: list[float] = []
    config = SqliteConfig(path=str(path))
    with closing(connect(config)) as first, closing(connect(config)) as second, closing(connect(config)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            list(Rebuild(first, enrich, Selection(), patience=-1).refold())
        other.execute("UPDATE observations SET level = 'theirs'")
        assert query(path, "SELECT name, level FROM observations") == [{"name": "x", "level": "DEFAULT"}]

        def lets_go(seconds: float) -> None:
            looked.append(seconds)
            if len(looked) == 3:
                other.execute("COMMIT")

        monkeypatch.setattr("openfuse_collector.exporters.sqlite.locking.time.sleep", lets_go)
        made = Rebuild(second, enrich, Selection())
        list(made.refold())
    assert looked == [LOOK_AGAIN] * 3 + [GIVE_WAY]
    assert made.report.table("observation").columns == {"name": 1, "level": 1}  # judged again under the lock
    assert rows(path) == reference_rows(path)


def captured() -> list[ExportTraceServiceRequest]:
    requests = [ExportTraceServiceRequest.FromString(one.read_bytes()) for one in sorted(CORPUS.rglob("*.traces.pb"))]
    return requests + [decode_traces(one.read_bytes()).request for one in sorted(CORPUS.rglob("*.traces.json"))]


@pytest.mark.shared
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"NO CORPUS at {CORPUS}: set OPENFUSE_SHARED")
async def test_rebuilding_and_mapping_what_real_libraries_sent_changes_nothing(path: Path) -> None:
    whole = [sent(one, number) for number, one in enumerate(captured())]
    for start in range(0, len(whole), 100):
        await ingest(path, whole[start : start + 100])
    before = rows(path)
    assert len(before) > 3000
    report = rebuild(path, remap=True, prune=True)
    assert changes(report) == {}
    assert (report.events, report.unmapped, report.left_over, report.failures) == (0, 0, 0, [])
    assert report.spans == len(query(path, "SELECT 1 FROM openfuse_raw_spans")) > 2000
    assert rows(path) == before
    assert len(event_ids(path)) == len(set(event_ids(path)))


def traces() -> list[ExportTraceServiceRequest]:
    """Two requests of one trace, children first; a trace without a root in two requests; a span nothing can be made of."""
    child = span({"gen_ai.request.model": "gpt-4o"}, name="chat", span_id=CHILD, parent=ROOT)
    root = span({"user.id": "u", "session.id": "s"}, name="agent")
    rootless = [span(span_id=f"{n:016x}", parent=ROOT, trace_id="2" * 32, name=f"step {n}") for n in (1, 2, 3)]
    return [request(child, *rootless[1:]), request(root), request(rootless[0]), request(span(span_id=""))]


async def test_mapping_again_without_a_change_changes_nothing(path: Path) -> None:
    await ingest(path, traces())
    before = contents(path)
    report = rebuild(path, remap=True)
    assert (changes(report), report.events, report.unmapped, report.spans) == ({}, 0, 1, 6)
    assert report.table("observation").checked == 5
    assert report.table("trace").checked == 2
    assert contents(path) == before


def upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later release: names in upper case, and the spans' model only."""
    from openfuse_collector.mapping import common, spans

    name_of = common.name_of
    monkeypatch.setattr(common, "name_of", lambda view: name_of(view).upper())
    monkeypatch.setattr(spans, "MAPPING_VERSION", 2)
    monkeypatch.setattr(spans, "_VERSION", "2")


@pytest.mark.parametrize("size", [1, 500])
async def test_mapping_again_gives_the_rows_of_a_fresh_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    old, fresh = tmp_path / "old.db", tmp_path / "fresh.db"
    await ingest(old, traces())
    stored = event_ids(old)
    upgrade(monkeypatch)
    monkeypatch.setattr(selection_module, "PAGE_KEYS", size)
    await ingest(fresh, traces())
    expected = {"observation": (5, 0, 0), "trace": (1, 0, 0)}
    dry = rebuild(old, remap=True, dry_run=True)
    assert (changes(dry), dry.events) == (expected, 6)
    assert event_ids(old) == stored
    report = rebuild(old, remap=True)
    assert (changes(report), report.events, report.left_over) == (expected, 6, 0)
    assert rows(old) == rows(fresh)
    assert rows(old)["observation", "default", CHILD]["name"] == "CHAT"
    assert set(event_ids(old)) == set(stored) | set(event_ids(fresh))
    versions = "SELECT json_extract(body, '$.metadata.mapping') AS mapping, count(*) AS n FROM raw_events GROUP BY 1"
    assert {row["mapping"]: row["n"] for row in query(old, versions)} == {None: 2, 1: 6, 2: 6}
    again = rebuild(old, remap=True)
    assert (changes(again), again.events) == ({}, 0)
    assert changes(rebuild(old)) == {}


async def test_only_selected_spans_are_mapped_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await ingest(path, traces())
    upgrade(monkeypatch)
    report = rebuild(path, Selection(trace=TRACE), remap=True)
    assert (report.spans, report.events) == (3, 3)
    names = {row["name"] for row in query(path, "SELECT name FROM observations")}
    assert names == {"CHAT", "AGENT", "step 1", "step 2", "step 3"}


async def test_events_that_arrive_after_mapping_again_meet_the_new_ones(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is open meanwhile folds the newest mapping, and a resend of the old one changes nothing."""
    await ingest(path, traces())
    upgrade(monkeypatch)
    rebuild(path, remap=True)
    before = rows(path)
    monkeypatch.undo()
    await ingest(path, traces())
    assert rows(path) == before


async def test_what_the_new_mapping_makes_no_more_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from openfuse_collector.mapping import trace

    await ingest(path, [request(span({"user.id": "u"}, span_id=CHILD, parent=ROOT))])
    upgrade(monkeypatch)
    monkeypatch.setattr(trace, "updates_trace", lambda view: False)
    assert rebuild(path, remap=True).left_over == 1


async def test_a_damaged_span_is_told_and_its_row_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await ingest(path, [request(span(), span(span_id=CHILD, parent=ROOT))])
    execute(path, "UPDATE openfuse_raw_spans SET payload = x'00' WHERE span_id = ?", CHILD)
    upgrade(monkeypatch)
    report = rebuild(path, remap=True)
    assert len(report.failures) == 1
    names = {row["id"]: row["name"] for row in query(path, "SELECT id, name FROM observations")}
    assert names == {ROOT: "WORK", CHILD: "work"}

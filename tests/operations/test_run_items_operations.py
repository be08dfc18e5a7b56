"""Dataset run items in both stores: rebuilt, verified, deleted with their trace or project and expired as the other entities are."""

from __future__ import annotations

import pytest
from operations_kit import (
    NOW,
    StoreKit,
    contents,
    conversation,
    deleted,
    expired,
    export,
    ids,
    rebuilt,
    said,
    store,
    verified,
)

from openfuse_collector.config.types import Duration
from openfuse_collector.events.event import Event
from openfuse_collector.store.rebuild import MISSING, WITHOUT_EVENTS, Selection
from openfuse_collector.store.retention import RetentionConfig

KIND = "dataset_run_item"
FIRST = {"t1", "t1-o", "t1-s", "i1"}
LATER = 10**12
DAY = 86_400_000
WEEK = RetentionConfig(default=Duration(7 * 86_400))


def run_item(id: str, trace: str, at: int = 0, **more: str) -> Event:
    """What Openfuse says of an item of a run."""
    body = {"datasetId": "d1", "runId": "r1", "datasetItemId": "di1", "createdAt": "2026-11-21T05:00:00.250Z", **more}
    return said(id, KIND, at, traceId=trace, **body)


@pytest.fixture
def filled(kit: StoreKit) -> StoreKit:
    """Two traces, each the result of an item of a run."""
    store(
        kit,
        [*conversation("t1"), run_item("i1", "t1")],
        [*conversation("t2"), run_item("i2", "t2", observationId="t2-o")],
    )
    return kit


def assert_clean(kit: StoreKit, shown: set[str]) -> None:
    assert ids(kit) == shown
    report = verified(kit)
    assert (report.discrepancies, report.failures) == (0, [])


SECOND = {"t2", "t2-o", "t2-s", "i2"}


def test_rows_are_what_their_events_say(filled: StoreKit) -> None:
    assert_clean(filled, FIRST | SECOND)
    assert verified(filled).tables[KIND].checked == 2
    before = contents(filled)
    assert rebuilt(filled, prune=True).discrepancies == 0
    assert contents(filled) == before


TAMPERED = {
    "sqlite": ["UPDATE dataset_run_items SET dataset_id = 'other' WHERE id = 'i1'"],
    "greptimedb": [
        "INSERT INTO dataset_run_items (dataset_run_created_at, project_id, id, dataset_id) "
        "SELECT dataset_run_created_at, project_id, id, 'other' FROM dataset_run_items WHERE id = 'i1'"
    ],
}


def test_a_field_that_differs_is_told_and_put_right(filled: StoreKit) -> None:
    for statement in TAMPERED[filled.kind]:
        filled.tamper(statement)
    report = verified(filled)
    assert report.discrepancies == report.tables[KIND].changed == 1
    ((project, id, stored, expected),) = report.tables[KIND].examples["dataset_id"]
    assert (project, id, stored, expected) == ("p", "i1", "other", "d1")
    assert rebuilt(filled, Selection(entity_type=KIND)).tables[KIND].changed == 1
    assert_clean(filled, FIRST | SECOND)


def test_rows_that_are_missing_and_rows_nobody_spoke_of(filled: StoreKit) -> None:
    filled.tamper("DELETE FROM dataset_run_items WHERE id = 'i2'")
    filled.tamper(
        "INSERT INTO dataset_run_items (dataset_run_created_at, project_id, id, is_deleted) VALUES (5, 'p', 'ghost', false)"
    )
    found = verified(filled).tables[KIND]
    assert [example.id for example in found.examples[MISSING]] == ["i2"]
    assert [example.id for example in found.examples[WITHOUT_EVENTS]] == ["ghost"]
    rebuilt(filled, prune=True)
    assert_clean(filled, FIRST | SECOND)


def test_a_row_that_moved_in_time(kit: StoreKit) -> None:
    """The time of the run item is that of its first event in order, which may come last."""
    first = run_item("i1", "t1", at=20)
    earlier = Event(
        first.entity,
        "earlier",
        first.type,
        "2026-11-21T05:59:00.000Z",
        {"id": "i1", "createdAt": "2026-11-21T04:00:00.000Z"},
        NOW + 40,
    )
    store(kit, [first], [earlier])
    assert_clean(kit, {"i1"})
    deleted(kit, project="p")
    assert_clean(kit, set())


def test_only_what_is_selected(filled: StoreKit) -> None:
    filled.tamper("DELETE FROM dataset_run_items WHERE TRUE")
    for selection in (Selection(trace="t1"), Selection(entity="i1")):
        assert verified(filled, selection).discrepancies == 1
    rebuilt(filled, Selection(trace="t1"))
    assert "i1" in ids(filled)
    assert "i2" not in ids(filled)


def test_they_go_with_their_trace_and_come_back_with_something_new(filled: StoreKit) -> None:
    told = deleted(filled, "t1", dry_run=True)
    removed = deleted(filled, "t1")
    assert dict(+removed.entities) == dict(+told.entities) == {"trace": 1, "observation": 1, "score": 1, KIND: 1}
    assert removed.rows["dataset_run_items"] == told.rows["dataset_run_items"] == 1
    assert_clean(filled, SECOND)
    with filled.exporter() as made:
        export(made, [run_item("i1", "t1")])
    assert_clean(filled, SECOND)
    rebuilt(filled)
    assert_clean(filled, SECOND)
    store(filled, [said("i1", KIND, LATER, event="new", runId="r2")])
    assert_clean(filled, {"i1", *SECOND})
    assert filled.query("SELECT dataset_id, dataset_run_id FROM dataset_run_items WHERE id = 'i1'") == [("d1", "r2")]


def test_they_go_with_their_project(filled: StoreKit) -> None:
    store(filled, [said("i3", KIND, project="q", traceId="t3")])
    assert deleted(filled, project="p").entities[KIND] == 2
    assert_clean(filled, {"i3"})


def test_they_expire(filled: StoreKit) -> None:
    store(filled, [run_item("i3", "t1", at=3 * DAY)])
    now = NOW + 8 * DAY
    assert expired(filled, WEEK, now, dry_run=True).entities[KIND] == 2
    assert expired(filled, WEEK, now).entities[KIND] == 2
    assert_clean(filled, {"i3"})

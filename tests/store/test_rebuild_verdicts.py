"""The judgement of one entity: what its row should be, how the stored one differs, and how that is counted."""

from __future__ import annotations

from typing import Any

import pytest

from openfuse_collector.enrich import enrich, enrichment
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.pricing import Catalogue
from openfuse_collector.store.rebuild import PICO, Report, Row, Verdict, differences, folded, judge
from tests.builders import event

ENTITY = Entity("default", "observation", "o1")


def row_of(*events: Event) -> dict[str, Any]:
    made = folded(events, enrich)
    assert made is not None
    return dict(made)


def test_what_is_right_does_not_differ() -> None:
    one = event("o1", name="chat")
    verdict = judge(ENTITY, [one], [], row_of(one), enrich)
    assert not verdict.differs
    assert verdict.columns == ()


def test_the_generation_is_not_compared() -> None:
    one = event("o1")
    assert not judge(ENTITY, [one], [], {**row_of(one), "eav_generation": 1}, enrich).differs


@pytest.mark.parametrize(
    ("column", "stored", "differs"),
    [
        ("name", "other", True),
        ("name", None, True),
        ("is_deleted", 0, False),
        ("is_deleted", 1, True),
        ("total_cost", 0.0, True),
        ("input_usage", 5, True),
    ],
)
def test_columns_are_named(column: str, stored: Any, differs: bool) -> None:
    one = event("o1", name="chat")
    verdict = judge(ENTITY, [one], [], {**row_of(one), column: stored}, enrich)
    assert verdict.columns == ((column,) if differs else ())
    assert verdict.row_differs == differs


def test_an_integer_beyond_the_precision_of_a_real_column_does_not_differ() -> None:
    assert differences({"value": 2**60 + 1}, {"value": float(2**60)}) == ()
    assert differences({"value": 2**60 + 1}, {"value": float(2**61)}) == ("value",)


def tombstone(at: int) -> Event:
    return Event(ENTITY, "gone", "langfuse-tombstone", "2026-11-21T06:00:00Z", {"id": "o1"}, at)


def test_a_deleted_entity_has_no_row() -> None:
    one = event("o1")
    events = [one, tombstone(one.ingested_at + 1)]
    assert folded(events, enrich) is None
    assert judge(ENTITY, events, [], row_of(one), enrich).row_differs
    assert not judge(ENTITY, events, [], None, enrich).row_differs


def test_events_of_a_newer_mapping_are_added_once_and_win() -> None:
    old, new = event("o1", name="old"), event("o1", name="new")
    assert old.metadata
    new.metadata = {**old.metadata, "mapping": 2}
    verdict = judge(ENTITY, [old], [old, new, new], row_of(old), enrich, {old.metadata["source"]})
    assert (verdict.added, verdict.columns, verdict.left_over) == ([new], ("name",), 0)
    again = judge(ENTITY, [old, new], [new], verdict.expected, enrich)
    assert not again.differs


def test_what_the_newer_mapping_no_longer_makes_is_counted() -> None:
    old, other = event("o1", id="source-a"), event("o1", id="source-b")
    assert judge(ENTITY, [old, other], [], row_of(old, other), enrich, {"source-a"}).left_over == 1
    assert judge(ENTITY, [old, other], [], row_of(old, other), enrich).left_over == 0


def test_a_report_counts() -> None:
    row = row_of(event("o1"))
    verdicts: list[tuple[Row | None, Row | None, tuple[str, ...]]] = [
        (row, row, ()),
        (row, {**row, "name": "x"}, ("name",)),
        (row, {**row, "name": "x", "level": "ERROR"}, ("name", "level")),
        (row, None, ()),
        (None, row, ()),
        (None, None, ()),
    ]
    report = Report()
    for expected, stored, columns in verdicts:
        report.count(Verdict(ENTITY, expected, stored, columns))
    table = report.table("observation")
    assert (table.checked, table.changed, table.added, table.removed) == (6, 2, 1, 1)
    assert table.columns == {"name": 2, "level": 1}


def test_costs_are_added_up_exactly() -> None:
    one = event("o1", model="gpt-4o", usageDetails={"input": 1000, "output": 10})
    priced = folded([one], enrichment(Catalogue()))
    assert priced is not None
    report = Report()
    for _ in range(1000):
        report.count(Verdict(ENTITY, priced, {**priced, "total_cost": 0.1}, ("total_cost",)))
    assert report.table("observation").cost_before == 100 * PICO
    assert report.table("observation").cost_after == 1000 * round(priced["total_cost"] * PICO) > 0

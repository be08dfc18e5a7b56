"""The updates benchmark measures what it says: as many events, one row per update, every update applied."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.ingestion_updates import batched, compare, creates, projecting, storing, updates
from openfuse_collector.events.order import parse_millis


@pytest.mark.parametrize("entities", [1, 7, 70])
def test_updates_are_handed_round_the_entities_in_order(entities: int) -> None:
    made = list(updates(70, entities))
    assert set(Counter(event.entity for event in made).values()) == {70 // entities}
    assert {event.entity for event in made} == {event.entity for event in creates(entities)}
    assert len({event.id for event in [*creates(entities), *made]}) == entities + 70
    times = [parse_millis(event.timestamp) for event in made]
    assert times == sorted(set(times))


def test_all_updates_have_the_same_size() -> None:
    assert len({len(str(event.body)) for event in updates(3000, 1)}) == 1


def test_one_event_at_a_time_makes_a_row_each() -> None:
    apply = projecting()
    apply(list(creates(1)))
    for event in updates(50, 1):
        changes = apply([event])
        assert changes.raw == [event]
        [row] = changes.rows["observation"]
        assert row["output"] == event.body["output"]


def test_stores_of_a_run_are_files_of_their_own(tmp_path: Path) -> None:
    writer = storing(tmp_path)
    for _ in range(2):
        assert len(writer()(list(creates(3))).raw) == 3
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["0.db", "1.db"]


def test_batches_hold_everything_in_order() -> None:
    made = list(updates(7, 1))
    assert list(batched(made, 3)) == [made[:3], made[3:6], made[6:]]


def test_a_comparison_says_what_one_costs_over_many(tmp_path: Path) -> None:
    figures = compare(storing(tmp_path), number=20, batch=5, rounds=1)
    assert figures["ratio"] == pytest.approx(figures["many_per_s"] / figures["one_per_s"], rel=0.01)

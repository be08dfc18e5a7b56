"""Deleted and expired projects: step by step or from scratch, in any batches and order, the same rows are left."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from openfuse_collector.enrich import enrich
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.reference import fold
from openfuse_collector.events.rows import row
from openfuse_collector.store.horizon import OPEN, Horizon, is_alive
from openfuse_collector.store.projector import Projector
from openfuse_collector.store.rebuild import folded

sys.path.insert(0, str(Path(__file__).parents[1] / "events"))
from event_sets import histories

KINDS = ("trace", "observation", "score")
horizons = st.builds(Horizon, st.integers(-1, 17), st.integers(-1, 17))


def without_generation(made: Any) -> dict[str, Any] | None:
    return None if made is None else {column: made[column] for column in made if column != "eav_generation"}


def reference(history: Sequence[Event], horizon: Horizon) -> dict[str, Any] | None:
    """The row of the plain fold, None beyond the horizon."""
    record = fold(history, horizon.deleted)
    if record is None or record["is_deleted"] or record["updated_at"] <= horizon.expired:
        return None
    return without_generation(row(history[0].entity.type, enrich(history[0].entity.type, record)))


class MemoryStore:
    """Raw events and rows, as a store keeps them that a projector writes to."""

    def __init__(self, horizon: Horizon) -> None:
        self.raw: dict[Entity, list[Event]] = defaultdict(list)
        self.rows: dict[Entity, dict[str, Any]] = {}
        self.projector = Projector(
            lambda entities: {one: self.raw[one] for one in entities if one in self.raw}, enrich, 0
        )
        self.projector.horizons = {"p1": horizon}

    def take(self, events: Sequence[Event]) -> None:
        changes = self.projector.apply(events)
        for event in (*changes.raw, *changes.earlier):
            self.raw[event.entity].append(event)
        for kind, rows in changes.rows.items():
            for made in rows:
                entity = Entity(made["project_id"], kind, made["id"])
                self.rows.pop(entity, None)
                if not made["is_deleted"]:
                    self.rows[entity] = dict(made)
        for entity in changes.gone:
            self.rows.pop(entity, None)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(KINDS).flatmap(histories), horizons, st.integers(1, 4))
def test_rows_within_a_horizon(history: list[Event], horizon: Horizon, size: int) -> None:
    if not history:
        return
    store = MemoryStore(horizon)
    for start in range(0, len(history), size):
        store.take(history[start : start + size])
    expected = reference(history, horizon)
    assert without_generation(store.rows.get(history[0].entity)) == expected
    assert without_generation(folded(history, enrich, horizon)) == expected
    assert is_alive(history, horizon) == (expected is not None)


@hypothesis_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(KINDS).flatmap(histories), horizons)
def test_other_projects_are_no_matter(history: list[Event], horizon: Horizon) -> None:
    store = MemoryStore(OPEN)
    store.projector.horizons = {"p2": horizon}
    store.take(history)
    for entity, events in store.raw.items():
        assert without_generation(store.rows.get(entity)) == reference(events, OPEN)

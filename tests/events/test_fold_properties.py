"""The invariant of the fold: rows are a function of the set of events, whatever the order, copies, batches, restarts."""

from __future__ import annotations

import copy
import itertools
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from openfuse_collector.enrich import enrich
from openfuse_collector.events.accumulator import Accumulator, Outcome
from openfuse_collector.events.event import TOMBSTONE, Event, decode_envelope, encode_envelope
from openfuse_collector.events.generation import generation
from openfuse_collector.events.metadata import merged
from openfuse_collector.events.metadata_tree import MetadataNode
from openfuse_collector.events.order import order_key
from openfuse_collector.events.reference import deduplicated, effective, fold
from openfuse_collector.events.rows import row

sys.path.insert(0, str(Path(__file__).parent))
from event_sets import ENTITIES, TIMESTAMPS, colliding, histories, nested

CHECKS = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_TRACE = ENTITIES["trace"]
NAMED_BELOW_THE_ROOT = Event(
    _TRACE, "ev0", "trace-create", TIMESTAMPS[0], {"id": "e1", "otherwise": {"userId": "a"}}, 10
)
CLEARED = Event(_TRACE, "ev1", "trace-create", TIMESTAMPS[3], {"id": "e1", "userId": None}, 11)


def row_bytes(entity_type: str, record: dict | None) -> bytes:
    """The enriched row as bytes, so that the order of keys in JSON columns counts too."""
    return b"" if record is None else msgspec.json.encode(row(entity_type, enrich(entity_type, record)))


class Store:
    """Applies events the way a store does: keeps the history, rebuilds from it when told so or after a restart."""

    def __init__(self) -> None:
        self.history: list[Event] = []
        self.accumulator = Accumulator()

    def take(self, event: Event) -> Outcome:
        self.history.append(event)
        outcome = self.accumulator.apply(event)
        if outcome is Outcome.REFOLD:
            self.restart()
        return outcome

    def restart(self) -> None:
        self.accumulator = Accumulator.of(self.history)


@CHECKS
@given(history=histories(), data=st.data())
def test_any_order_and_any_restart_gives_the_row_of_the_plain_fold(history: list[Event], data: st.DataObject) -> None:
    kind = history[0].entity.type if history else "trace"
    expected = row_bytes(kind, fold(history))
    store = Store()
    for event in data.draw(st.permutations(history)):
        store.take(event)
        if data.draw(st.booleans()):
            store.restart()
    assert row_bytes(kind, store.accumulator.record()) == expected


@CHECKS
@given(history=histories(), unreadable=st.booleans())
def test_a_history_may_be_folded_as_it_is_read(history: list[Event], unreadable: bool) -> None:
    kind = history[0].entity.type if history else "trace"
    if unreadable:
        history.insert(len(history) // 2, decode_envelope(ENTITIES[kind], "", 13))
    assert folded(Accumulator.read(lambda: iter(history))) == folded(Accumulator.of(history))


def folded(accumulator: Accumulator) -> object:
    try:
        return accumulator.record(), accumulator.extent, accumulator.generation()
    except ValueError as error:
        return str(error)


@CHECKS
@given(history=histories("trace"))
@example(history=[NAMED_BELOW_THE_ROOT, CLEARED])
def test_user_and_session_are_the_last_ones_stated_null_included_else_the_last_of_otherwise(
    history: list[Event],
) -> None:
    """Told from the bodies alone, so that the fold and its reference cannot be wrong together."""
    live = [event for event in deduplicated(history) if event.type != TOMBSTONE]
    bodies = [event.body for event in sorted(effective(live), key=order_key)]
    nested = [body["otherwise"] for body in bodies if isinstance(body.get("otherwise"), dict)]
    record = Accumulator.of(history).record()
    if record is None:
        return
    for key, column in (("userId", "user_id"), ("sessionId", "session_id")):
        stated = [body[key] for body in bodies if key in body and isinstance(body[key], str | None)]
        known = [body[key] for body in nested if isinstance(body.get(key), str)]
        assert record[column] == (stated or known or [None])[-1]


@CHECKS
@given(history=histories(), data=st.data())
def test_the_plain_fold_depends_on_the_set_alone(history: list[Event], data: st.DataObject) -> None:
    kind = history[0].entity.type if history else "trace"
    assert row_bytes(kind, fold(data.draw(st.permutations(history)))) == row_bytes(kind, fold(history))


@CHECKS
@given(history=histories(), data=st.data(), deleted_at=st.integers(9, 17))
def test_a_tombstone_from_outside_is_one_from_inside(
    history: list[Event], data: st.DataObject, deleted_at: int
) -> None:
    """The project's tombstone counts like one in the history of each of its entities, in any order of arrival."""
    kind = history[0].entity.type if history else "trace"
    store = Store()
    for event in data.draw(st.permutations(history)):
        store.take(event)
    folded = fold(history, deleted_at)
    assert row_bytes(kind, store.accumulator.record(deleted_at)) == row_bytes(kind, folded)
    tombstone = Event(ENTITIES[kind], "gone", TOMBSTONE, "never", {"id": "e1"}, deleted_at)
    inside = fold([*history, tombstone])
    assert (inside is None) == (folded is None)
    assert inside is None or folded is None or inside["is_deleted"] == folded["is_deleted"]


@CHECKS
@given(history=histories())
def test_every_prefix_of_the_way_is_the_plain_fold_of_that_prefix(history: list[Event]) -> None:
    store = Store()
    for count, event in enumerate(history, 1):
        store.take(event)
        kind = event.entity.type
        assert row_bytes(kind, store.accumulator.record()) == row_bytes(kind, fold(history[:count]))


@CHECKS
@given(history=histories())
def test_known_events_are_duplicates_and_leave_no_trace(history: list[Event]) -> None:
    accumulator = Accumulator.of(history)
    for event in deduplicated(history):
        before = row_bytes(event.entity.type, accumulator.record())
        assert accumulator.apply(event) is Outcome.DUPLICATE
        assert row_bytes(event.entity.type, accumulator.record()) == before
    assert set(accumulator.event_ids) == {event.id for event in history}


@CHECKS
@given(history=histories())
def test_refold_leaves_the_accumulator_as_it_was(history: list[Event]) -> None:
    accumulator = Accumulator()
    for event in history:
        before, known, generation_ = accumulator.record(), set(accumulator.event_ids), accumulator.generation()
        if accumulator.apply(event) is Outcome.REFOLD:
            assert (accumulator.record(), set(accumulator.event_ids)) == (before, known)
            assert accumulator.generation() == generation_


@CHECKS
@given(history=histories(), previous=st.none() | st.integers(0, 80_000))
def test_the_generation_is_kept_along(history: list[Event], previous: int | None) -> None:
    live = [event.ingested_at for event in deduplicated(history) if event.type != TOMBSTONE]
    assert Accumulator.of(history).generation(previous) == generation(live, previous)


@CHECKS
@given(history=histories())
def test_folding_changes_no_event_and_a_stored_history_folds_alike(history: list[Event]) -> None:
    before = copy.deepcopy(history)
    record = Accumulator.of(history).record()
    expected = row_bytes(history[0].entity.type, record) if history else b""
    assert history == before
    stored = [decode_envelope(event.entity, encode_envelope(event).decode(), event.ingested_at) for event in history]
    if stored:
        assert row_bytes(stored[0].entity.type, Accumulator.of(stored).record()) == expected


@CHECKS
@given(values=st.lists(colliding | nested, max_size=6), data=st.data())
def test_the_metadata_tree_equals_the_sequential_merge(values: list, data: st.DataObject) -> None:
    maps = [value if isinstance(value, dict) else {"k": value} for value in values]
    order = data.draw(st.permutations(range(len(maps))))
    assert msgspec.json.encode(tree_of(maps, order)) == msgspec.json.encode(sequential(maps))


def sequential(maps: list[dict]) -> object:
    merged_so_far: object = {}
    for value in maps:
        merged_so_far = merged(merged_so_far, value)
    return merged_so_far


def tree_of(maps: list[dict], order: list[int]) -> object:
    tree = MetadataNode()
    for n in order:
        tree.write(("t", 0, n, ""), maps[n])
    return tree.value() if maps else {}


BARRIERS = [
    [{"k": {"l": 1}}, {"k": 5}, {"k": {"m": 2}}],
    [{"k": {"l": {"x": 1}}}, {"k": 5}, {"k": {"l": {"y": 2}}}],
    [{"k": {"l": [{"x": 1}]}}, {"k": None}, {"k": {"l": [{"y": 2}]}}],
    [{"k": [[1, 2, 3]]}, {"k": {}}, {"k": [[4]]}],
    [{"k": [[1, 2, 3]]}, {"k": "text"}, {"k": [[4]]}, {"k": [[], 7]}],
    [{"k": {"l": 1}}, {"k": [1]}, {"k": {"m": 2}}, {"k": {}}],
    [{"k": {"l": [1, 2]}}, {"k": {"l": {"0": 3}}}, {"k": {"l": [4]}}, {"k": {"l": []}}],
    [{"a": 1, "b": 2}, {"b": 3, "a": 4}, {"c": 5}, {"a": 6}],
]


@pytest.mark.parametrize("maps", BARRIERS)
def test_a_write_of_another_kind_hides_what_is_older_however_late_it_comes(maps: list[dict]) -> None:
    expected = msgspec.json.encode(sequential(maps))
    for order in itertools.permutations(range(len(maps))):
        assert msgspec.json.encode(tree_of(maps, list(order))) == expected


@CHECKS
@given(history=histories("observation"))
def test_order_keys_are_total(history: list[Event]) -> None:
    distinct = deduplicated(history)
    assert len({order_key(event) for event in distinct}) == len(distinct)
    assert sorted(map(order_key, distinct)) == sorted(map(order_key, reversed(distinct)))


def test_entities_of_the_strategies_are_the_four_types() -> None:
    assert set(ENTITIES) == {"trace", "observation", "score", "dataset_run_item"}

"""The incremental fold on its own: field rules one by one, flat cost, bounded size."""

from __future__ import annotations

from typing import Any

import pytest

from openfuse_collector.events import metadata_tree, registers
from openfuse_collector.events.accumulator import Accumulator, Outcome
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.generation import generation
from openfuse_collector.events.record import traceless_id
from openfuse_collector.events.reference import fold

OBSERVATION = Entity("p", "observation", "o")
TRACE = Entity("p", "trace", "t")


def stamp(n: int) -> str:
    return f"2026-01-15T{12 + n // 3600}:{n // 60 % 60:02}:{n % 60:02}Z"


def span(n: int, type_: str = "span-update", at: int | None = None, **body: Any) -> Event:
    return Event(OBSERVATION, f"ev{n}", type_, stamp(n), {"id": "o", **body}, 1000 + n if at is None else at)


def trace(n: int, metadata: dict | None = None, **body: Any) -> Event:
    return Event(TRACE, f"ev{n}", "trace-create", stamp(n), {"id": "t", **body}, 1000 + n, metadata)


def folded(*events: Event) -> dict[str, Any]:
    record = Accumulator.of(events).record()
    assert record is not None and record == fold(events)
    return record


FIELDS: list[tuple[list[dict[str, Any]], str, Any]] = [
    ([{"name": "a"}, {}], "name", "a"),
    ([{"name": "a"}, {"name": None}], "name", None),
    ([{"name": "a"}, {"name": 5}], "name", "a"),
    ([{"statusMessage": "a"}, {"statusMessage": None}], "status_message", "a"),
    ([{"level": "ERROR"}, {"level": None}], "level", "DEFAULT"),
    ([{"level": "ERROR"}, {"level": "loud"}], "level", "ERROR"),
    ([{"input": "a"}, {"input": ""}, {"input": 0}, {"input": False}], "input", "a"),
    ([{"input": "a"}, {"input": {}}], "input", "{}"),
    ([{"environment": "a"}, {"environment": "b"}], "environment", "a"),
    ([{}, {"environment": "b"}], "environment", "b"),
    ([{}, {"traceId": "t"}, {"traceId": "u"}], "trace_id", "t"),
    ([{}], "trace_id", traceless_id(OBSERVATION)),
    ([{"usageDetails": {"a": 1, "b": 2}}, {"usageDetails": {"c": 3}}], "provided_usage_details", {"c": 3}),
    ([{"usageDetails": {"a": 1}}, {"usageDetails": {}}], "provided_usage_details", {"a": 1}),
    ([{"modelParameters": {"a": 1}}, {"modelParameters": {}}], "model_parameters", {"a": 1}),
    ([{"modelParameters": {}}], "model_parameters", {}),
    ([{"promptName": "n", "promptVersion": 1}, {"promptName": "m"}], "prompt_name", "n"),
    ([{"startTime": stamp(9), "endTime": stamp(1)}], "end_time", 1768478409000),
    ([{"startTime": "odd"}], "start_time", 1768478400000),
    ([{"metadata": {"a": {"b": 1}}}, {"metadata": {"a": {"c": None}}}], "metadata", {"a": {"b": 1, "c": None}}),
    ([{"metadata": {"a": [1, 2]}}, {"metadata": {"a": [3]}}], "metadata", {"a": [3, 2]}),
    ([{"metadata": {"a": 1}}, {"metadata": None}, {"metadata": 0}], "metadata", {"a": 1}),
]


@pytest.mark.parametrize(("bodies", "column", "expected"), FIELDS)
def test_field_rules(bodies: list[dict[str, Any]], column: str, expected: Any) -> None:
    assert folded(*(span(n, **body) for n, body in enumerate(bodies)))[column] == expected


def test_absence_never_resets_public_and_bookmarked() -> None:
    record = folded(trace(1, public=True, bookmarked=True), trace(2), trace(3, public=None, bookmarked="no"))
    assert (record["public"], record["bookmarked"]) == (True, True)


def test_tags_are_a_sorted_set_by_utf16() -> None:
    record = folded(trace(1, tags=["b", "￿", "a"]), trace(2, tags=["\U0001f600", "a", 5]))
    assert record["tags"] == ["a", "b", "\U0001f600", "￿"]


def test_a_log_record_before_its_span_states_neither_time_nor_type() -> None:
    log = span(1, "observation-update", metadata={"gen_ai.log_events": {"1-a": {}}})
    log.metadata = {"source": "log", "mapping": 1}
    made = span(5, "generation-create", startTime=stamp(5), environment="prod", traceId="t")
    made.metadata = {"source": "span", "mapping": 1}
    record = folded(log, made)
    assert (record["start_time"], record["type"]) == (1768478405000, "GENERATION")
    assert (record["environment"], record["trace_id"]) == ("prod", "t")
    assert folded(log)["start_time"] == 1768478401000


def test_a_remark_counts_once_the_observation_is_known_and_makes_none() -> None:
    remark = span(1, "observation-update", metadata={"said": "above"})
    remark.metadata = {"source": "below", "mapping": 1, "remark": True}
    other = span(2, "observation-update", metadata={"said": "again"})
    other.metadata = {"source": "beside", "mapping": 1, "remark": True}
    made = span(5, "generation-create", startTime=stamp(5))
    for alone in ([remark], [remark, other]):
        assert fold(alone) is None
        assert Accumulator.of(alone).record() is None
    record = folded(remark, other, made)
    assert (record["type"], record["start_time"], record["metadata"]) == (
        "GENERATION",
        1768478405000,
        {"said": "again"},
    )


def test_shallow_events_count_until_another_is_there() -> None:
    shallow = [trace(n, {"shallow": True}, timestamp=stamp(n), environment="e") for n in (3, 2)]
    assert folded(*shallow)["timestamp"] == 1768478402000
    record = folded(*shallow, trace(9, timestamp=stamp(9)))
    assert (record["timestamp"], record["environment"]) == (1768478409000, "default")
    assert (record["created_at"], record["updated_at"]) == (1002, 1009)


def test_a_higher_mapping_replaces_and_a_lower_one_is_counted_only() -> None:
    old, new = span(1, name="old", metadata={"a": 1}), span(2, name="new")
    old.metadata, new.metadata = {"source": "s", "mapping": 1}, {"source": "s", "mapping": 2}
    accumulator = Accumulator()
    assert [accumulator.apply(event) for event in (new, old)] == [Outcome.APPLIED, Outcome.APPLIED]
    assert folded(old, new)["metadata"] == {}
    accumulator = Accumulator()
    assert [accumulator.apply(event) for event in (old, new)] == [Outcome.APPLIED, Outcome.REFOLD]


def test_a_copy_that_was_received_earlier_asks_for_a_refold() -> None:
    accumulator = Accumulator.of([span(1, at=50), span(2, at=60)])
    assert accumulator.apply(span(2, at=60)) is Outcome.DUPLICATE
    assert accumulator.apply(span(2, at=70)) is Outcome.DUPLICATE
    assert accumulator.apply(span(2, at=40)) is Outcome.REFOLD


OTHERWISE: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
    (
        [{"otherwise": {"userId": "alice", "sessionId": "s", "tags": ["b", "a"]}}],
        {"user_id": "alice", "tags": ["a", "b"]},
    ),
    ([{"userId": "bob"}, {"otherwise": {"userId": "alice"}}], {"user_id": "bob"}),
    ([{"otherwise": {"userId": "alice", "sessionId": "s"}}, {"userId": None}], {"user_id": None, "session_id": "s"}),
    (
        [{"sessionId": None}, {"otherwise": {"userId": "alice", "sessionId": "s"}}],
        {"user_id": "alice", "session_id": None},
    ),
    ([{"userId": None}, {"otherwise": {"userId": "alice"}}, {"userId": "bob"}], {"user_id": "bob"}),
    ([{"otherwise": {"userId": "alice"}}, {"userId": 5}], {"user_id": "alice"}),
    ([{"userId": None, "otherwise": {"userId": "alice"}}], {"user_id": None}),
]


@pytest.mark.parametrize(("bodies", "expected"), OTHERWISE)
def test_what_spans_below_the_root_name_fills_what_nobody_states_and_null_is_a_statement(
    bodies: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    record = folded(*(trace(n, **body) for n, body in enumerate(bodies)))
    assert {column: record[column] for column in expected} == expected


def tombstone(at: int) -> Event:
    return Event(OBSERVATION, f"tombstone-{at}", "langfuse-tombstone", stamp(0), {"id": "o"}, at)


def test_tombstones() -> None:
    assert Accumulator.of([tombstone(5)]).record() is None
    assert folded(span(1, at=4), tombstone(5))["is_deleted"] is True
    assert folded(span(1, at=5), tombstone(5))["is_deleted"] is True
    record = folded(span(1, at=4), tombstone(5), span(2, at=6))
    assert (record["is_deleted"], record["created_at"], record["updated_at"]) == (False, 4, 6)
    item = Entity("p", "dataset_run_item", "i")
    deleted = [
        Event(item, "a", "dataset-run-item-create", stamp(1), {}, 1),
        Event(item, "b", "langfuse-tombstone", "", {}, 2),
    ]
    assert Accumulator.of(deleted).record() is None and fold(deleted) is None


def test_what_was_said_before_does_not_bring_a_deleted_entity_back() -> None:
    """Sent once more under a newer mapping, or as a shallow event of spans grouped otherwise, it is as old as it was."""
    old, again = span(1, at=4), span(2, at=9)
    old.metadata, again.metadata = {"source": "s", "mapping": 1}, {"source": "s", "mapping": 2}
    assert folded(old, tombstone(5), again)["is_deleted"] is True
    assert folded(old, tombstone(5), span(3, at=9))["is_deleted"] is False
    root, gone = trace(1), Event(TRACE, "gone", "langfuse-tombstone", stamp(0), {"id": "t"}, 1768478402500)
    seen_then = Event(TRACE, "a", "trace-create", stamp(2), {"id": "t"}, 1768478409000, {"shallow": True})
    seen_later = Event(TRACE, "b", "trace-create", stamp(3), {"id": "t"}, 1768478409000, {"shallow": True})
    assert folded(root, gone, seen_then)["is_deleted"] is True
    assert folded(root, gone, seen_then, seen_later)["is_deleted"] is False


@pytest.mark.parametrize("events", [1, 2])
def test_the_tombstone_of_the_project(events: int) -> None:
    made = [span(n, at=n + 5) for n in range(events)]
    accumulator = Accumulator.of(made)
    newest = made[-1].ingested_at
    for deleted_at, deleted in ((newest - 1, False), (newest, True)):
        record = accumulator.record(deleted_at)
        assert record is not None and record == fold(made, deleted_at) and record["is_deleted"] is deleted


def test_generations() -> None:
    assert generation([100]) == 409601
    assert generation([100, 100, 7], 409601) == 409602
    assert generation([100], 409601) == 409602
    assert generation([100], 5_000_000) == 5_000_001
    assert generation([7] * 5000) == 32767
    assert Accumulator.of([tombstone(5)]).generation(3) == generation([], 3) == 4


def test_one_event_is_kept_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openfuse_collector.events.accumulator.Registers", None)
    accumulator = Accumulator()
    event = span(1, metadata={"b": 1, "a": 2}, input="x" * 1000)
    assert accumulator.apply(event) is Outcome.APPLIED
    assert accumulator.apply(event) is Outcome.DUPLICATE
    record = accumulator.record()
    assert record is not None and list(record["metadata"]) == ["b", "a"]
    assert 1500 < accumulator.size < 4000
    assert tuple(accumulator.event_ids) == ("ev1",)


class Counted:
    """Counts calls of a function and passes them on."""

    def __init__(self, function: Any) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self.function(*args)


def test_ten_thousand_updates_apply_at_flat_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    node_writes = Counted(metadata_tree._write_children)
    weighed = Counted(registers.weight)
    mapped = Counted(Accumulator._write)
    monkeypatch.setattr(metadata_tree, "_write_children", node_writes)
    monkeypatch.setattr(registers, "weight", weighed)
    monkeypatch.setattr(Accumulator, "_write", lambda self, event: mapped(self, event))
    accumulator = Accumulator()
    costs, sizes = [], []
    for n in range(10_000):
        before = node_writes.calls + weighed.calls + mapped.calls
        body = {"output": f"step {n}", "metadata": {"step": n, "log": {"last": n}}, "usageDetails": {"input": n}}
        assert accumulator.apply(span(n, **body)) is Outcome.APPLIED
        costs.append(node_writes.calls + weighed.calls + mapped.calls - before)
        sizes.append(accumulator.size - 180 * len(accumulator.event_ids))
    assert set(costs[2:]) == {costs[2]}
    # What is held is the newest write of each column, not the way there (text lengths aside).
    assert max(sizes[2:]) - min(sizes[2:]) < 400
    record = accumulator.record()
    assert record is not None
    assert (record["output"], record["metadata"]) == ("step 9999", {"step": 9999, "log": {"last": 9999}})


def test_size_follows_what_is_held() -> None:
    events = [span(n, output="x" * 10_000, metadata={"k": {"text": "y" * 5000}}) for n in range(3)]
    sizes = [Accumulator.of(events[:n]).size for n in (1, 2, 3)]
    assert all(15_000 < size < 25_000 for size in sizes)
    shrunk = Accumulator.of([*events, span(9, output="small", metadata={"k": 1})])
    assert shrunk.size < 5000


def test_metadata_nested_beyond_measure() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = {"k": deep}
    record = folded(span(1, metadata=deep), span(2, metadata={"k": {"l": 2}}), span(3, metadata=deep))
    assert record["metadata"]["k"]["l"] == 2

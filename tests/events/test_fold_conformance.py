"""The fold against what Langfuse's own code wrote for the same events. Where we differ on purpose, DEVIATIONS says why."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from shared_cases import SHARED, cases, needs_shared, openfuse_cases

from openfuse_collector.enrich import enrich
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.columns import COLUMNS, DEFAULTS, MERGES
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.metadata import merged, metadata_record
from openfuse_collector.events.order import parse_millis
from openfuse_collector.events.reference import fold, overwrite
from openfuse_collector.events.rows import metadata_strings, raw_row, row

pytestmark = [pytest.mark.shared, needs_shared]

DEVIATIONS = {
    "merge-trace-39": "folds a stored record first; we fold the whole history, which is not in the case",
    "merge-observation-64": "folds a stored record first",
    "merge-observation-67": "folds a stored record first",
    "merge-trace-53": "an event without `public` resets it; ours keeps it, absence is no statement",
    "merge-trace-67": "creates of one timestamp run backwards; ours run in the order of arrival",
    "merge-score-31": "a failure injected by a mock",
    "merge-score-37": "a failure injected by a mock",
    "merge-score-33": "a score config that does not exist: configs are enrichment, not fold",
    "merge-observation-137": "drops the prompt's name when no prompt store knows it; ours keeps name and version",
    "merge-score-34": "two events with one envelope id; ours takes the second for a copy of the first",
}
"""Case -> why it counts as neither pass nor fail."""

TIMES = {"timestamp", "start_time", "end_time", "completion_start_time"}
JSON = {"metadata", "usage_details", "cost_details", "provided_usage_details", "provided_cost_details", "tags"}
JSON |= {"tool_definitions", "tool_calls", "tool_call_names", "model_parameters"}
ELSEWHERE = {"ingestion_api_key", "ingestion_sdk_name", "ingestion_sdk_version"}
OURS = {"created_at", "updated_at", "input_usage", "output_usage", "total_usage", "input_cost", "output_cost"}
"""Columns the recordings leave out although Langfuse or Openfuse writes them."""
PRICED = {"usage_details", "cost_details", "total_cost", "internal_model_id"}
PRICED |= {"usage_pricing_tier_id", "usage_pricing_tier_name"}


def events_of(case: dict[str, Any], kind: str) -> list[Event]:
    entity = Entity(case["project_id"], kind, case["entity_id"])
    return [
        Event(entity, e["id"], e["type"], e["timestamp"], e["body"], 1000 + n) for n, e in enumerate(case["events"])
    ]


def as_stored(column: str, value: Any) -> Any:
    """A recorded value the way a row has it, JSON parsed so that only meaning counts."""
    if column in TIMES and isinstance(value, str):
        return parse_millis(value)
    if column in JSON and isinstance(value, str):
        return json.loads(value)
    return value


@pytest.mark.parametrize("kind", ["trace", "observation", "score"])
def test_rows_are_what_langfuse_writes(kind: str) -> None:
    seen = 0
    for case in cases(f"merge_{kind}"):
        if case["id"] in DEVIATIONS:
            continue
        seen += 1
        events = events_of(case, kind)
        record = Accumulator.of(events).record()
        assert record == fold(events)
        expected = (case["expected"] or {}).get(kind)
        if expected is None:
            assert record is None, case["id"]
            continue
        assert record is not None, case["id"]
        got = row(kind, enrich(kind, record))
        # Models and prices are tested where they live.
        skipped = ELSEWHERE | (PRICED if expected.get("internal_model_id") else set())
        skipped |= {"trace_id"} if case.get("random_trace_id") else set()
        for column in COLUMNS[kind]:
            if column in expected and column not in skipped:
                assert as_stored(column, got[column]) == as_stored(column, expected[column]), (case["id"], column)
            elif column not in expected and column not in OURS:
                assert not as_stored(column, got[column]), (case["id"], column)
    assert seen >= 20


def test_deviations_name_cases() -> None:
    known = {case["id"] for kind in ("trace", "observation", "score") for case in cases(f"merge_{kind}")}
    assert set(DEVIATIONS) <= known


def test_overwriting_one_record_with_another() -> None:
    for case in cases("merge_overwrite"):
        if case["name"] == "immutable null then set":
            continue  # our events never write null to an immutable column
        # Nor do they write empty maps and lists, or null for tags: that is how "empty keeps" comes about.
        newer = {
            key: value for key, value in case["b"].items() if value not in ({}, []) and (key, value) != ("tags", None)
        }
        state = dict(case["a"])
        overwrite(state, newer, {**MERGES["trace"], "created_at": MERGES["trace"]["timestamp"]})
        state.setdefault("metadata", {})
        if "tags" in state:
            state["tags"] = sorted(set(state["tags"]))
        assert state == case["expected"], case["id"]


def test_metadata_roots() -> None:
    for case in cases("metadata_record"):
        if "input" in case:
            assert metadata_record(case["input"]) == case["expected_record"], case["id"]
            assert metadata_strings(metadata_record(case["input"])) == case["expected_stored"], case["id"]


def test_metadata_merges_of_openfuse() -> None:
    nested = next(case for case in openfuse_cases("overwrite_merge") if case["name"] == "nested metadata deep merge")
    assert merged(nested["input"]["a"]["metadata"], nested["input"]["b"]["metadata"]) == nested["expect"]["metadata"]


def test_raw_rows_of_openfuse() -> None:
    for case in openfuse_cases("raw_event_mapping"):
        event, expect = case["input"].get("event"), case["expect"]
        if event is None or "id" not in event["body"]:
            continue
        kind = expect["entity_type"]
        arrived = case["input"].get("ingested_at", 1)
        made = Event(
            Entity("p1", kind, event["body"]["id"]),
            event["id"],
            event["type"],
            event["timestamp"],
            event["body"],
            arrived,
        )
        at, project, entity_type, entity_id, event_id, event_type, event_ts, body = raw_row(made)
        assert (at, project, entity_type, entity_id) == (arrived, "p1", kind, event["body"]["id"])
        assert (event_id, event_type, event_ts) == (event["id"], event["type"], expect["event_ts"])
        assert json.loads(body) == event


def test_histories_of_openfuse() -> None:
    for case in openfuse_cases("history_parse"):
        rows, expect = case["input"].get("rows"), case["expect"]
        if not isinstance(rows, list):
            continue
        entity = Entity("p", "trace", "t")
        stamp = "2026-01-15T12:00:00Z"
        events = [Event(entity, r["event_id"], r["event_type"], stamp, r["body"], r["ingested_at"]) for r in rows]
        accumulator = Accumulator.of(events)
        record = accumulator.record()
        assert (record is None) == (expect.get("write") == "nothing" or not rows), case["name"]
        if record is not None:
            assert record["is_deleted"] == expect["deleted"], case["name"]
            assert record["created_at"] == min(r["ingested_at"] for r in rows)
        if "generation" in expect:
            assert accumulator.generation() == expect["generation"]


def test_columns_are_the_schemas() -> None:
    tables = json.loads((SHARED / "spec" / "openfuse_schema.json").read_text())["tables"]
    for kind, columns in COLUMNS.items():
        assert columns == tuple(tables[f"{kind}s"]["columns"]), kind
        assert tuple(DEFAULTS[kind]) == columns

"""Judges of the fold: the row Langfuse writes for the same events, and the primitives under it."""

from __future__ import annotations

import json
from typing import Any

from openfuse_collector.enrich import enrich
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.columns import COLUMNS, MERGES
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.metadata import metadata_record
from openfuse_collector.events.order import parse_millis
from openfuse_collector.events.reference import fold, overwrite
from openfuse_collector.events.rows import metadata_strings, row
from tests.conformance.case_files import defined
from tests.conformance.outcomes import Case, Difference, Judge, differing

TIMES = {"timestamp", "start_time", "end_time", "completion_start_time"}
JSON = {"metadata", "usage_details", "cost_details", "provided_usage_details", "provided_cost_details", "tags"}
JSON |= {"tool_definitions", "tool_calls", "tool_call_names", "model_parameters"}
ELSEWHERE = {"ingestion_api_key", "ingestion_sdk_name", "ingestion_sdk_version"}
OURS = {"created_at", "updated_at", "input_usage", "output_usage", "total_usage", "input_cost", "output_cost"}
"""Columns the recordings leave out although Langfuse or Openfuse writes them."""
PRICED = {"usage_details", "cost_details", "total_cost", "internal_model_id"}
PRICED |= {"usage_pricing_tier_id", "usage_pricing_tier_name"}
"""Columns that rest on a model of the price table; they are judged by the pricing cases."""


def merge(kind: str) -> Judge:
    """The judge of rows of one kind of entity."""

    def judge(case: Case) -> list[Difference]:
        case = defined(case)
        events = events_of(case, kind)
        record = Accumulator.of(events).record()
        plain = fold(events)
        if record != plain:
            return [Difference("incremental fold", plain, record)]
        expected = (case["expected"] or {}).get(kind)
        if expected is None or record is None:
            return differing(row=(expected, record)) if expected != record else []
        skipped = ELSEWHERE | (PRICED if expected.get("internal_model_id") else set())
        skipped |= {"trace_id"} if case.get("random_trace_id") else set()
        return differing_columns(kind, row(kind, enrich(kind, record)), expected, skipped)

    return judge


def differing_columns(kind: str, got: Any, expected: dict[str, Any], skipped: set[str]) -> list[Difference]:
    """Columns that differ; what was not recorded has to be empty."""
    found = []
    for column in COLUMNS[kind]:
        value = as_stored(column, got[column])
        if column in expected and column not in skipped:
            found += differing(**{column: (as_stored(column, expected[column]), value)})
        elif column not in expected and column not in OURS and value:
            found.append(Difference(column, None, value))
    return found


def events_of(case: Case, kind: str) -> list[Event]:
    """The events of a case, arriving one after the other."""
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


def merge_overwrite(case: Case) -> list[Difference]:
    """One record over another. Our events hold no empty maps and lists and no null for tags: that is how "empty keeps" comes about."""
    case = defined(case)
    newer = {key: value for key, value in case["b"].items() if value not in ({}, []) and (key, value) != ("tags", None)}
    state = dict(case["a"])
    overwrite(state, newer, {**MERGES["trace"], "created_at": MERGES["trace"]["timestamp"]})
    state.setdefault("metadata", {})
    if "tags" in state:
        state["tags"] = sorted(set(state["tags"]))
    return differing(record=(case["expected"], state))


def metadata_roots(case: Case) -> list[Difference]:
    """Metadata whose root is no map, and its text in a row."""
    case = defined(case)
    record = metadata_record(case["input"])
    stored = metadata_strings(record)
    return differing(record=(case["expected_record"], record), stored=(case["expected_stored"], stored))

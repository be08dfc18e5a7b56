"""The fold against what Langfuse's own code wrote for the same events. Where we differ on purpose, the deviations say why."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from shared_cases import SHARED, cases, needs_shared, openfuse_cases

from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.columns import COLUMNS, DEFAULTS
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.metadata import merged
from openfuse_collector.events.rows import raw_row
from tests.conformance import ingestion_cases
from tests.conformance.outcomes import Verdict

pytestmark = [pytest.mark.shared, needs_shared]


@pytest.mark.parametrize(
    "kind", ["merge_trace", "merge_observation", "merge_score", "merge_overwrite", "metadata_record"]
)
def test_rows_are_what_langfuse_writes(kind: str) -> None:
    results = [ingestion_cases.outcome(kind, case) for case in cases(kind)]
    assert [result for result in results if result.verdict is Verdict.FAILED] == []
    assert sum(result.verdict is Verdict.PASSED for result in results) >= 10


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

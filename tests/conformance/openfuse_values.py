"""Judges of Openfuse's cases about values: scores, cost, and what readers rely on (spec/openfuse.md 3.4, 3.6 and 6)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from openfuse_collector.events.columns import DEFAULTS
from openfuse_collector.events.event import Event
from openfuse_collector.mapping.usage import clean_usage
from openfuse_collector.pricing import Catalogue
from openfuse_collector.pricing.entry import ModelEntry
from openfuse_collector.tokens.usage import count_usage
from tests.conformance import enrichment_cases, score_cases
from tests.conformance.openfuse_rows import STAMP, Record, folded, read, said, stamp, stored
from tests.conformance.outcomes import Case, Difference, differing


def score_replay(case: Case) -> list[Difference]:
    """Snapshots of scores, and values that are inflated."""
    asked, expected = case["input"], case["expect"]
    if case["name"].startswith("inflate"):
        body = {"name": "quality", "traceId": "t", **asked}
        if "error" in expected:
            return differing(row=(None, score_cases._row({"body": body, "project_id": "p1"})))
        return score_cases.score_inflate({"body": body, "project_id": "p1", "expected": {"score": expected}})
    record = folded(*_snapshots(asked))
    wanted = {name: _millis(value) if name == "created_at" else value for name, value in expected.items()}
    if expected.get("write") == "nothing":
        return differing(record=({}, record))
    return differing(record=(wanted, {name: record[name] for name in wanted}))


def _snapshots(asked: Record) -> Iterator[Event]:
    if asked.get("type") == "dataset_run_item-create":
        yield said("dataset_run_item", asked["type"], datasetId="d", runId="r")
    for n, one in enumerate(asked.get("events", ())):
        body = {"name": "quality", "value": one["value"], "createdAt": one["createdAt"], "dataType": "NUMERIC"}
        yield said("score", "score-snapshot", one["ts"], _millis(one["ts"]), f"e{n}", **body)
    if "event" in asked:
        event = asked["event"]
        yield said("score", event["type"], arrived=_millis(asked.get("created_at_from_raw", STAMP)), **event["body"])
    if asked.get("deleted"):
        kind = "score" if "event" in asked else "dataset_run_item"
        yield said(kind, "langfuse-tombstone", arrived=_millis(STAMP) + 1, id="gone")


def _millis(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def cost(case: Case) -> list[Difference]:
    """Usage and cost of an observation."""
    asked, expected = case["input"], case["expect"]
    if "level" in asked:  # a failed call: a counter that is asked would fail the case
        record = {
            **DEFAULTS["observation"],
            "provided_usage_details": {},
            "provided_cost_details": {},
            "level": "ERROR",
        }
        counted = count_usage(dict(record), catalogue=Catalogue(), count=lambda tokenizer, value: 1 // 0)
        return differing(record=(record, counted))
    if "create_usage" in asked:
        return _updated(case)
    if "prices" not in asked:
        usage = clean_usage(asked["usage"])
        record = enrichment_cases.priced_record(None, usage)
        return differing(usage=(expected["usage"], record["usage_details"]))
    usage = {key: units for key, units in asked["usage"].items() if units is not None}
    return enrichment_cases.usage_cost(
        {
            "prices": asked["prices"] or {},
            "usage_in": usage,
            "provided_cost": asked["provided_cost"],
            "expected_cost": expected["cost"],
            "expected_total_cost": expected["total_cost"],
        }
    )


def _updated(case: Case) -> list[Difference]:
    """A later usage: computed cost is not kept beside it."""
    asked, expected = case["input"], case["expect"]
    prices = {key: str(price) for key, price in asked["prices"].items()}
    own = enrichment_cases.enrichment(Catalogue([ModelEntry("m", "^m$", prices, per="unit").model()]))
    first = said("observation", "generation-create", model="m", usageDetails=asked["create_usage"])
    then = said("observation", "generation-update", stamp(2**41), 2000, "e2", usageDetails=asked["update_usage"])
    record = own("observation", folded(first, then))
    return differing(
        cost=(expected["cost"], record["cost_details"]),
        usage=(expected["usage"], record["usage_details"]),
        provided_cost=(expected["provided_cost"], record["provided_cost_details"]),
    )


REQUIRED = {
    "trace": "id project_id timestamp environment created_at updated_at is_deleted metadata tags",
    "observation": "id project_id start_time environment type created_at updated_at is_deleted metadata usage_details",
    "score": "id project_id timestamp environment name source data_type created_at updated_at is_deleted metadata",
}
"""Columns a reader throws without (spec/openfuse.md 6)."""


def read_contract(case: Case) -> list[Difference]:
    """The writer's half: what readers rely on is in the rows of events that say as little as they may."""
    if case["name"] == "score null values":
        found = stored(read("score-create", name="q", value=1, traceId="t"))
        wanted = case["expect"]
        return differing(
            string_value=(wanted["stringValue"], found["string_value"]),
            long_string_value=(wanted["longStringValue"], found["long_string_value"]),
        )
    if case["name"] == "latency and ttft":
        times = {"startTime": "2026-01-15T10:00:00Z", "endTime": "2026-01-15T10:00:03Z"}
        found = stored(read("generation-create", traceId="t", **times))
        latency = (found["end_time"] - found["start_time"]) / 1000
        return differing(latency=(case["expect"]["latency_s"], latency), ttft=(None, found["completion_start_time"]))
    if case["name"] == "trace row":
        return _trace_row(case)
    least = [
        read("trace-create"),
        read("span-create", traceId="t"),
        read("score-create", name="q", value=1, traceId="t"),
    ]
    rows = {event.entity.type: stored(event) for event in least}
    missing = {
        f"{kind}.{name}" for kind, names in REQUIRED.items() for name in names.split() if rows[kind][name] is None
    }
    return differing(missing=(set(), missing))


def _trace_row(case: Case) -> list[Difference]:
    """Metadata as an object of texts, each of which a reader parses if it can."""
    expected = case["expect"]
    body = {key: expected[key] for key in ("metadata", "tags", "public", "input", "output")}
    found = stored(said("trace", "trace-create", bookmarked=True, **body))
    texts = json.loads(found["metadata"])
    typed = {key: _read(text) for key, text in texts.items()}
    sides = {side: _read(found[side]) for side in ("input", "output")}
    return differing(
        texts=({"str"}, {type(text).__name__ for text in texts.values()}),
        metadata=(expected["metadata"], typed),
        tags=(expected["tags"], json.loads(found["tags"])),
        sides=({side: expected[side] for side in sides}, sides),
        flags=((expected["bookmarked"], expected["public"]), (bool(found["bookmarked"]), bool(found["public"]))),
    )


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

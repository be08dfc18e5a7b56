"""The enrichment benchmark: its figures follow from what it measured, and the collectors it compares differ in enrichment alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import pytest

from benchmarks.agent_traces import Load, requests
from benchmarks.enrichment import PROGRAMS, summary
from tests.collector_process import CollectorProcess

ENRICHED = {
    *("internal_model_id", "usage_pricing_tier_id", "usage_pricing_tier_name", "cost_details", "usage_details"),
    *("input_cost", "output_cost", "total_cost", "input_usage", "output_usage", "total_usage"),
    *("tool_definitions", "tool_calls", "tool_call_names"),
}


def figures(rate: float, cpu: float) -> dict[str, float]:
    return {"stored_spans_per_s": rate, "cpu_us_per_span": cpu}


def test_the_overhead_is_the_median_of_what_each_round_took_more() -> None:
    found = summary(
        [
            {"with": figures(1000, 110), "without": figures(1100, 100)},
            {"with": figures(500, 120), "without": figures(600, 100)},
            {"with": figures(1000, 300), "without": figures(1050, 100)},
        ]
    )
    assert found["overhead_time"] == pytest.approx(0.1)
    assert found["overhead_cpu"] == pytest.approx(0.2)
    assert found["with"]["stored_spans_per_s"] == 1000


def stored(collector: CollectorProcess, load: Load) -> list[dict[str, Any]]:
    """The observations of one request, without the time it was received at."""
    headers = {"Content-Type": "application/x-protobuf"}
    with urlopen(Request(f"{collector.http_endpoint}/v1/traces", load.body, headers), timeout=20) as answer:
        assert answer.status == 200
    rows = collector.wait_for_rows("SELECT * FROM observations ORDER BY id", at_least=load.spans)
    return [
        {name: row[name] for name in row if name not in ("created_at", "updated_at", "eav_generation")} for row in rows
    ]


def test_the_collectors_differ_in_enriched_columns_alone(start_collector: Callable[..., CollectorProcess]) -> None:
    load = next(iter(requests(140, 140, seed=1)))
    made = {kind: stored(start_collector(kind, program=program), load) for kind, program in PROGRAMS.items()}
    pairs = list(zip(made["with"], made["without"], strict=True))
    differing = {name for full, bare in pairs for name in full if full[name] != bare[name]}
    assert "total_cost" in differing
    assert differing <= ENRICHED

"""Totals and flattened columns of usage and cost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "events"))
from shared_cases import cases, needs_shared

from openfuse_collector.enrich import enrich, enrichment
from openfuse_collector.events.columns import DEFAULTS
from openfuse_collector.pricing import Catalogue
from openfuse_collector.pricing.entry import ModelEntry


def record(usage: dict[str, Any] | None = None, cost: dict[str, Any] | None = None) -> dict[str, Any]:
    """An observation record with provided usage and cost."""
    usage, cost = usage or {}, cost or {}
    maps = {
        "provided_usage_details": usage,
        "usage_details": usage,
        "provided_cost_details": cost,
        "cost_details": cost,
    }
    empty = {"metadata": {}, "tool_definitions": {}, "tool_calls": [], "tool_call_names": []}
    return {**DEFAULTS["observation"], **maps, **empty}


USAGE = [
    ({}, {}, (None, None, None)),
    ({"input": 10, "output": 5}, {"input": 10, "output": 5, "total": 15}, (10, 5, 15)),
    ({"input": 10, "output": 5, "cached": 3}, {"input": 10, "output": 5, "cached": 3, "total": 18}, (10, 5, 18)),
    ({"input": 1, "total": 7}, {"input": 1, "total": 7}, (1, None, 7)),
    ({"input": 0}, {"input": 0, "total": 0}, (0, None, 0)),
    ({"input": 2.5, "output": 1}, {"input": 2.5, "output": 1, "total": 3.5}, (2, 1, 3)),
    ({"input": 2**63}, {"input": 2**63, "total": 2**63}, (None, None, None)),
]


@pytest.mark.parametrize(("provided", "details", "columns"), USAGE)
def test_usage(provided: dict[str, Any], details: dict[str, Any], columns: tuple[int | None, ...]) -> None:
    made = enrich("observation", record(provided))
    assert made["usage_details"] == details
    assert (made["input_usage"], made["output_usage"], made["total_usage"]) == columns
    assert "total" not in provided or provided == details


COST = [
    ({}, {}, (None, None, None)),
    ({"input": 0.1, "output": 0.2}, {"input": 0.1, "output": 0.2, "total": 0.3}, (0.1, 0.2, 0.3)),
    ({"input": 3}, {"input": 3, "total": 3}, (3, None, 3)),
    ({"total": 0}, {"total": 0}, (None, None, 0)),
    ({"foo": 0.5}, {"foo": 0.5}, (None, None, None)),
    ({"input": 1, "foo": 0.5}, {"input": 1, "foo": 0.5}, (1, None, None)),
    ({"input": 1, "total": 9}, {"input": 1, "total": 9}, (1, None, 9)),
]


@pytest.mark.parametrize(("provided", "details", "columns"), COST)
def test_provided_cost(provided: dict[str, Any], details: dict[str, Any], columns: tuple[float | None, ...]) -> None:
    made = enrich("observation", record(None, provided))
    assert made["cost_details"] == details
    assert (made["input_cost"], made["output_cost"], made["total_cost"]) == columns


@pytest.mark.shared
@needs_shared
def test_provided_costs_are_langfuses() -> None:
    chosen = [case for case in cases("usage_cost_calc") if case["provided_cost"]]
    assert len(chosen) >= 10
    for case in chosen:
        made = enrich("observation", record(case["usage_in"], case["provided_cost"]))
        assert made["cost_details"] == case["expected_cost"], case["id"]
        assert made["total_cost"] == case["expected_total_cost"], case["id"]


def test_steps_have_their_slots() -> None:
    order: list[str] = []

    def step(name: str, **columns: Any) -> Any:
        def run(given: dict[str, Any]) -> dict[str, Any]:
            order.append(name)
            given.update(columns)
            return given

        return run

    made = enrichment(
        Catalogue([ModelEntry("m", "^m$", {"input": "0.125"}, per="unit").model()], built_in=tuple),
        tokenise=step("tokenise", usage_details={"input": 4}, provided_model_name="m"),
        assemble=step("assemble", output='{"tool_calls":[{"id":"1","name":"f","arguments":"{}"}]}'),
        inflate=step("inflate"),
    )
    given = made("observation", record())
    assert order == ["assemble", "tokenise"]
    assert (given["tool_call_names"], given["total_usage"], given["total_cost"]) == (["f"], 4, 0.5)
    assert made("trace", {"id": "t"}) == {"id": "t"}
    made("score", {})
    assert order[-1] == "inflate"

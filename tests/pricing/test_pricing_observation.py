"""The enrichment step: which columns are filled, and that nothing else is touched."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from openfuse_collector.enrich import enrichment
from openfuse_collector.events.columns import DEFAULTS
from openfuse_collector.pricing import Catalogue, price

GPT_4O = "b9854a5c92dc496b997d99d20"
STANDARD = (GPT_4O, f"{GPT_4O}_tier_default", "Standard")
FAST = (GPT_4O, "ba3b2121-9c68-4333-af3b-26f98fbab7ee", "Fast mode")
UNKNOWN = (None, None, None)
USAGE = {"input": 1000, "output": 20, "total": 1020}
COST = {"input": 0.0025, "output": 0.0002, "total": 0.0027}
FILLED = {
    *("internal_model_id", "usage_pricing_tier_id", "usage_pricing_tier_name"),
    *("cost_details", "input_cost", "output_cost", "total_cost"),
}


def record(model: str | None, usage: dict[str, Any], **columns: Any) -> dict[str, Any]:
    """A merged observation record of project p."""
    maps = {"provided_usage_details": usage, "usage_details": usage, "provided_cost_details": {}, "cost_details": {}}
    row = {**DEFAULTS["observation"], **maps, "metadata": {}, "project_id": "p", "provided_model_name": model}
    return {**row, "start_time": 1_760_000_000_000, **columns}


CASES: list[tuple[dict[str, Any], tuple[str | None, ...], dict[str, float]]] = [
    (record("gpt-4o", USAGE), STANDARD, COST),
    (
        record("gpt-4o", USAGE, model_parameters={"service_tier": "priority"}),
        FAST,
        {"input": 0.00425, "output": 0.00034, "total": 0.00459},
    ),
    (
        record("gpt-4o", USAGE, model_parameters='{"service_tier":"fast"}'),
        FAST,
        {"input": 0.00425, "output": 0.00034, "total": 0.00459},
    ),
    (record("gpt-4o", {}), (GPT_4O, None, None), {}),
    (record("gpt-4o", {"foo": 3, "total": 3}), STANDARD, {}),
    (record("gpt-4o", {"foo": 3, "input": 0, "total": 3}), STANDARD, {"input": 0.0, "total": 0.0}),
    (
        record("gpt-4o", USAGE, provided_cost_details={"input": 1, "output": 2}),
        STANDARD,
        {"input": 1, "output": 2, "total": 3},
    ),
    (record("gpt-4o", USAGE, provided_cost_details={"foo": 0.5}), STANDARD, {"foo": 0.5}),
    (record("gpt-4o", USAGE, provided_cost_details={"total": 0}), STANDARD, {"total": 0}),
    (record("gpt-4o", USAGE, provided_cost_details={"input": None}), STANDARD, COST),
    (
        record("gpt-4o", USAGE, provided_cost_details={"input": 10**400, "output": 0.5}),
        STANDARD,
        {"output": 0.5, "total": 0.5},
    ),
    (
        record("gpt-4o", {}, provided_cost_details={"input": 0.1, "output": 0.2}),
        (GPT_4O, None, None),
        {"input": 0.1, "output": 0.2, "total": 0.3},
    ),
    (record("unheard-of", USAGE), UNKNOWN, {}),
    (record("unheard-of", USAGE, provided_cost_details={"total": 7}), UNKNOWN, {"total": 7}),
    (record("", USAGE), UNKNOWN, {}),
    (record(None, {}), UNKNOWN, {}),
    (record("gpt-4o", {"input": 10**400, "total": 10**400}), STANDARD, {"input": 0.0, "total": 0.0}),
    (record("gpt-4o", USAGE, level="ERROR", type="EMBEDDING"), STANDARD, COST),
    (record("text-embedding-3-small", {"input": 50, "total": 50}), ("clruwn3pc00010al7bl611c8o",), {"total": 0.000001}),
]


@pytest.mark.parametrize(("merged", "ids", "cost"), CASES)
def test_price(merged: dict[str, Any], ids: tuple[str | None, ...], cost: dict[str, float]) -> None:
    before = copy.deepcopy(merged)
    priced = price(dict(merged), Catalogue())
    found = (priced["internal_model_id"], priced["usage_pricing_tier_id"], priced["usage_pricing_tier_name"])
    assert found[: len(ids)] == ids
    assert priced["cost_details"] == cost
    assert [priced[f"{side}_cost"] for side in ("input", "output", "total")] == [
        cost.get(s) for s in ("input", "output", "total")
    ]
    assert merged == before, "a nested value was changed"
    assert {column for column in priced if priced[column] != before[column]} <= FILLED


@pytest.mark.parametrize("merged", [case[0] for case in CASES])
def test_pricing_again_changes_nothing(merged: dict[str, Any]) -> None:
    once = price(dict(merged), Catalogue())
    assert price(dict(once), Catalogue()) == once


def test_what_an_older_table_said_is_taken_back() -> None:
    """Repricing with a table that has lost the model."""
    priced = price(record("gpt-4o", USAGE), Catalogue())
    repriced = price(priced, Catalogue(built_in=tuple))
    assert [repriced[column] for column in sorted(FILLED)] == [{}, None, None, None, None, None, None]


def test_flattened_columns_hold_twelve_places() -> None:
    priced = price(record(None, {}, provided_cost_details={"input": 1 / 3, "output": 1 / 3}), Catalogue())
    assert (priced["input_cost"], priced["total_cost"]) == (0.333333333333, 0.666666666667)
    assert priced["cost_details"]["input"] == 1 / 3


def _sane(merged: dict[str, Any]) -> bool:
    """As the fold makes it: without nulls and with numbers that are some."""
    return all(value is not None and value < 10**26 for value in merged["provided_cost_details"].values())


@pytest.mark.parametrize("merged", [case[0] for case in CASES if _sane(case[0])])
def test_it_is_a_step_of_the_enrichment(merged: dict[str, Any]) -> None:
    """Totals and columns made around it agree with what it made."""
    empty: dict[str, Any] = {"tool_definitions": {}, "tool_calls": [], "tool_call_names": []}
    alone = price(dict(merged), Catalogue())
    enriched = enrichment(Catalogue())("observation", {**merged, **empty})
    assert {column: enriched[column] for column in FILLED} == {column: alone[column] for column in FILLED}

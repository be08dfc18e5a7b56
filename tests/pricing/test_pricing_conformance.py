"""Langfuse's recorded pricing: model names, tiers, and the cost of the built-in models."""

from __future__ import annotations

from typing import Any

import pytest

from openfuse_collector.enrich import enrichment
from openfuse_collector.events.columns import DEFAULTS
from openfuse_collector.pricing import Catalogue, Model, Tier, price
from openfuse_collector.pricing.entry import ModelEntry
from openfuse_collector.pricing.model import AttributeCondition, Condition, UsageCondition
from openfuse_collector.pricing.money import attodollars, decimal_dollars
from openfuse_collector.pricing.tiers import tier_for
from tests.events.shared_cases import cases, needs_shared

pytestmark = [pytest.mark.shared, needs_shared]

BUILT_IN = Catalogue()


def record(
    model: str | None, usage: dict[str, Any], attributes: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """An observation record, with its usage total, as pricing meets it."""
    attributes = attributes or {}
    maps = {"provided_usage_details": usage, "usage_details": usage, "provided_cost_details": {}, "cost_details": {}}
    empty: dict[str, Any] = {"tool_definitions": {}, "tool_calls": [], "tool_call_names": []}
    stated = {
        "project_id": "p",
        "provided_model_name": model,
        "model_parameters": attributes.get("modelParameters"),
        "metadata": attributes.get("metadata") or {},
    }
    return enrichment()("observation", {**DEFAULTS["observation"], **maps, **empty, **stated, **more})


@pytest.mark.parametrize("case", cases("model_match_default"), ids=lambda case: case["id"])
def test_model_name(case: dict[str, Any]) -> None:
    found = BUILT_IN.match("p", case["model"])
    assert (found.name if found else None) == case["expected_model"]


@pytest.mark.parametrize("case", cases("pricing_tier_match"), ids=lambda case: case["id"])
def test_tier(case: dict[str, Any]) -> None:
    attributes = case["attributes"] or {}
    chosen = tier_for(
        _model(case["tiers"]),
        case["usage"],
        {"model_parameters": attributes.get("modelParameters"), "metadata": attributes.get("metadata")},
    )
    assert chosen.name == case["expected"]["tier_name"]
    assert {key: float(decimal_dollars(of)) for key, of in chosen.prices.items()} == case["expected"]["prices"]


@pytest.mark.parametrize("case", cases("usage_cost_calc"), ids=lambda case: case["id"])
def test_cost(case: dict[str, Any]) -> None:
    prices = {key: repr(value) for key, value in case["prices"].items()}
    models = [ModelEntry("m", "^m$", prices, per="unit").model()] if prices else []
    provided = case["provided_cost"] or {}
    priced = price(record("m", case["usage_in"], provided_cost_details=provided), Catalogue(models))
    assert priced["cost_details"] == nearly(case["expected_cost"])
    assert priced["total_cost"] == nearly(case["expected_total_cost"])
    assert priced["input_cost"] == nearly(case["expected_cost"].get("input"))


@pytest.mark.parametrize("case", cases("cost_default_models"), ids=lambda case: case["id"])
def test_built_in_cost(case: dict[str, Any]) -> None:
    priced = price(record(case["model"], case["usage_in"], case["attributes"]), BUILT_IN)
    assert priced["usage_details"] == case["expected_usage"]
    assert priced["usage_pricing_tier_name"] == case["expected_tier"]
    assert priced["cost_details"] == nearly(case["expected_cost"])
    assert priced["total_cost"] == nearly(case["expected_total_cost"])


def nearly(expected: Any) -> Any:
    """Sums were made of floats there, of exact amounts here; columns hold 12 places."""
    return None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-12)


def _model(facts: list[dict[str, Any]]) -> Model:
    ordered = sorted(facts, key=lambda tier: tier["priority"])
    tiers = [Tier(str(t["priority"]), t["name"], _prices(t), tuple(map(_condition, t["conditions"]))) for t in ordered]
    default = next(tier for tier, fact in zip(tiers, ordered, strict=True) if fact["is_default"])
    return Model("m", "m", "^m$", default, tuple(tier for tier in tiers if tier is not default))


def _prices(tier: dict[str, Any]) -> dict[str, int]:
    return {key: attodollars(repr(value)) for key, value in tier["prices"].items()}


def _condition(facts: dict[str, Any]) -> Condition:
    if "source" in facts:
        return AttributeCondition(facts["source"], facts["key"], tuple(facts["values"]))
    return UsageCondition(facts["usageDetailPattern"], facts["operator"], facts["value"], facts["caseSensitive"])

"""Langfuse's recorded pricing: model names, tiers, and the cost of the built-in models."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance import enrichment_cases
from tests.events.shared_cases import cases, needs_shared

pytestmark = [pytest.mark.shared, needs_shared]


@pytest.mark.parametrize("case", cases("model_match_default"), ids=lambda case: case["id"])
def test_model_name(case: dict[str, Any]) -> None:
    assert enrichment_cases.model_match(case) == []


@pytest.mark.parametrize("case", cases("pricing_tier_match"), ids=lambda case: case["id"])
def test_tier(case: dict[str, Any]) -> None:
    assert enrichment_cases.pricing_tier(case) == []


@pytest.mark.parametrize("case", cases("usage_cost_calc"), ids=lambda case: case["id"])
def test_cost(case: dict[str, Any]) -> None:
    assert enrichment_cases.usage_cost(case) == []


@pytest.mark.parametrize("case", cases("cost_default_models"), ids=lambda case: case["id"])
def test_built_in_cost(case: dict[str, Any]) -> None:
    assert enrichment_cases.built_in_cost(case) == []

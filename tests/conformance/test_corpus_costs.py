"""Real telemetry has cost: every observation of the corpus that names a model of the built-in table and has usage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from openfuse_collector.enrich import enrichment
from openfuse_collector.enrich.repeated import REPEATED
from openfuse_collector.pricing import Catalogue
from tests.conformance.corpus_inprocess import SHARED, load_cases, rows_of

WITHOUT_A_PRICED_KEY = {
    # A user's own spelling through the Langfuse SDK; Langfuse keeps it as it is, and no table has a price for it.
    ("js-langfuse-otel-5.11.1/tracing-observe-decorator", ("completionTokens", "promptTokens", "total", "totalTokens")),
    # A call that failed: nothing but a total of 0.
    ("py-mastra-0.24.9/error", ("total",)),
}
"""Scenario and usage keys of the observations whose usage has no key that the model has a price for."""

CATALOGUE = Catalogue()

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not (SHARED / "corpus").is_dir(), reason=f"NO CORPUS at {SHARED}: set OPENFUSE_SHARED"),
]


class Observation(NamedTuple):
    """An observation that should have cost."""

    scenario: str
    row: dict[str, Any]
    below: list[dict[str, Any]]
    """Everything below it in its trace."""

    @property
    def usage(self) -> dict[str, int]:
        usage: dict[str, int] = json.loads(self.row["usage_details"])
        return usage

    @property
    def repeats(self) -> bool:
        return REPEATED in json.loads(self.row["metadata"])


def below(id_: str, rows: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for child, row in rows.items():
        if row["parent_observation_id"] == id_:
            yield row
            yield from below(child, rows)


def is_priceable(row: dict[str, Any]) -> bool:
    known = CATALOGUE.match(row["project_id"], row["provided_model_name"])
    return known is not None and json.loads(row["usage_details"]) != {}


@pytest.fixture(scope="module")
def priceable() -> list[Observation]:
    found = []
    for case in load_cases():
        rows, _, _ = rows_of(case, enrichment(CATALOGUE))
        found += [
            Observation(case["scenario"], row, list(below(id_, rows))) for id_, row in rows.items() if is_priceable(row)
        ]
    return found


def test_what_has_a_known_model_and_usage_has_cost(priceable: list[Observation]) -> None:
    priced = [one for one in priceable if one.row["total_cost"] is not None]
    without = {
        (one.scenario, tuple(sorted(one.usage)))
        for one in priceable
        if one.row["total_cost"] is None and not one.repeats
    }
    assert without == WITHOUT_A_PRICED_KEY
    assert len(priced) > 1600
    assert [
        one for one in priced if round(json.loads(one.row["cost_details"])["total"], 12) != one.row["total_cost"]
    ] == []


def test_computed_costs_are_units_times_prices_of_the_tier(priceable: list[Observation]) -> None:
    checked = 0
    for one in priceable:
        model = CATALOGUE.match(one.row["project_id"], one.row["provided_model_name"])
        if one.row["total_cost"] is None or json.loads(one.row["provided_cost_details"]) or model is None:
            continue
        tier = next(tier for tier in (model.default, *model.tiers) if tier.id == one.row["usage_pricing_tier_id"])
        prices = {key: Decimal(price).scaleb(-18) for key, price in tier.prices.items()}
        costs = {key: units * prices[key] for key, units in one.usage.items() if key in prices}
        total = costs.get("total", sum(costs.values()))
        assert Decimal(str(one.row["total_cost"])) == round(total, 12)
        checked += 1
    assert checked > 1400  # all others of the corpus carry a cost of their own


def test_where_usage_is_that_of_the_calls_below_these_have_usage_and_cost(priceable: list[Observation]) -> None:
    repeating = [one for one in priceable if one.repeats]
    assert len(repeating) > 90
    for one in repeating:
        assert one.row["total_cost"] is None
        if one.row["level"] != "ERROR" and any(one.usage.values()):
            calls = [row for row in one.below if any(json.loads(row["usage_details"]).values())]
            assert calls, one.row["id"]
            assert all(
                row["total_cost"] is not None or REPEATED in row["metadata"] for row in filter(is_priceable, calls)
            )

"""Exact money: reading prices, multiplying, rounding once."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.pricing.cost import computed_cost
from openfuse_collector.pricing.money import ATTO, amount, attodollars, decimal_dollars, dollars

READ = [
    ("2.5", 10**6, 2_500_000_000_000),
    ("2.5e-06", 1, 2_500_000_000_000),
    ("0", 1, 0),
    ("0.138", 10**6, 138_000_000_000),
    ("1e-18", 1, 1),
    ("1000000000000", 1, 10**30),
]


@pytest.mark.parametrize(("text", "per", "attos"), READ)
def test_a_price_is_read_exactly(text: str, per: int, attos: int) -> None:
    assert attodollars(text, per) == attos
    assert decimal_dollars(attos, per) == Decimal(text)


REFUSED = [
    ("", "not a price"),
    ("free", "not a price"),
    ("NaN", "not a price"),
    ("Infinity", "not a price"),
    ("-1", "cannot be negative"),
    ("1e-19", "at most 18 decimals"),
    ("1e13", "below 10^12"),
    ("1e999999", "below 10^12"),
    ("1e-999999", "at most 18 decimals"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_a_price_that_cannot_be_used_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("^", r"\^")):
        attodollars(text)


@given(
    st.integers(0, 10**12),
    st.decimals(0, 1000, places=18),
)
def test_cost_is_the_exact_product_rounded_once(units: int, price: Decimal) -> None:
    exact = Decimal(units * attodollars(f"{price:f}")).scaleb(-18)
    assert Decimal(attodollars(f"{price:f}")).scaleb(-18) == price
    rounded = float(exact.quantize(Decimal("1e-12"), ROUND_HALF_UP)) if exact < 10**15 else None
    if rounded is not None:
        assert dollars(amount(units, attodollars(f"{price:f}"))) == rounded


ABSURD = [-1, -0.5, float("nan"), float("inf"), 2**63, 10**400, 1e300]


@pytest.mark.parametrize("units", ABSURD)
def test_a_count_that_cannot_be_costs_nothing(units: float) -> None:
    assert amount(units, ATTO) == 0
    assert computed_cost({"input": ATTO}, {"input": units}) == {"input": 0.0, "total": 0.0}


def test_fractions_of_units_are_meant_as_written() -> None:
    assert dollars(amount(0.1, attodollars("3"))) == 0.3  # 0.1 * 3 is 0.30000000000000004 in floats
    assert dollars(amount(150.5, attodollars("0.01"))) == 1.505


def test_a_total_is_the_sum_of_exact_amounts() -> None:
    prices = {"input": attodollars("3e-06"), "output": attodollars("1.5e-05")}
    assert computed_cost(prices, {"input": 100_000, "output": 2000})["total"] == 0.33  # 0.3 + 0.03 in floats is less


def test_amounts_below_the_last_place_still_count_in_the_total() -> None:
    prices = {"input": attodollars("4e-13"), "output": attodollars("4e-13")}
    assert computed_cost(prices, {"input": 1, "output": 1}) == {"input": 0.0, "output": 0.0, "total": 1e-12}

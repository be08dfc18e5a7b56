"""Money as whole numbers: prices and amounts are counted in attodollars (10^-18 USD), so sums and products are exact."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction

ATTO = 10**18
"""Attodollars in a US dollar."""

_PLACES = 10**12
"""Cost columns keep 12 fraction digits (DECIMAL(38,12) in stores that have it)."""
_STEP = ATTO // _PLACES
_HALF = _STEP // 2
_MOST_UNITS = 2**63
"""Counts from here on fit no usage column; they are mistakes and cost nothing."""


def attodollars(text: str, per: int = 1) -> int:
    """The price of one unit, from the decimal price of `per` units. Raises ValueError with a sentence."""
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite():
        raise ValueError(f'"{text}" is not a price: write US dollars, like 2.5')
    if price < 0:
        raise ValueError(f"a price cannot be negative: {text}")
    if price > _PLACES or abs(price.adjusted()) > 30:
        raise ValueError(f"a price must be below 10^12 and have at most 18 decimals per unit: {text}")
    exact = Fraction(price) * ATTO / per
    if exact.denominator != 1:
        raise ValueError(f"a price can have at most 18 decimals per unit: {text}")
    return exact.numerator


def decimal_dollars(price: int, per: int = 1) -> Decimal:
    """US dollars of `per` units, exact, without trailing zeros: what is shown to people."""
    digits = Decimal(price * per).scaleb(-18).normalize()
    return digits.quantize(Decimal(1)) if digits == digits.to_integral_value() else digits


def amount(units: float, price: int) -> int:
    """Attodollars for so many units. Counts that are negative, not finite or absurd cost nothing."""
    if not 0 <= units < _MOST_UNITS:
        return 0
    if type(units) is int:
        return units * price
    # repr is the shortest decimal that means this float: 150.5 units are meant as 150.5, not as their binary neighbour.
    return round(Fraction(repr(units)) * price)


def dollars(attos: int) -> float:
    """US dollars rounded to 12 places, halves up; the nearest float to that decimal."""
    return (attos + _HALF) // _STEP / _PLACES

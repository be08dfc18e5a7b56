"""What usage costs: by usage key, with a total, by Langfuse's rules; see docs/pricing.md."""

from __future__ import annotations

from collections.abc import Mapping

from openfuse_collector.pricing.money import amount, dollars

_PLACES = 12
_MOST_DOLLARS = 10**26
"""What DECIMAL(38,12) has no room for is a mistake and counts as not given."""


def computed_cost(prices: Mapping[str, int], usage: Mapping[str, float]) -> dict[str, float]:
    """US dollars by usage key, and `total`. Empty when no key has a price.

    `prices` are attodollars per unit. A key without a price costs nothing; only equal keys meet. Where `total` itself has a
    price (embedding models), that product is the total and the other costs are not added to it. Sums are made of exact
    amounts and rounded once, so a total is not always the float sum of its parts.
    """
    costs: dict[str, float] = {}
    total = 0
    for key, units in usage.items():
        price = prices.get(key)
        if price is not None:
            attos = amount(units, price)
            costs[key] = dollars(attos)
            total += attos
    if costs and "total" not in costs:
        costs["total"] = dollars(total)
    return costs


def provided_cost(provided: Mapping[str, float | None]) -> dict[str, float]:
    """A cost the sender gave, as given. The total is known when given, or when input and output are all there is.

    Empty when nothing was given, which is the case in which a cost may be computed.
    """
    if not provided:
        return {}
    costs = {key: value for key, value in provided.items() if value is not None and value < _MOST_DOLLARS}
    if costs and "total" not in costs and costs.keys() <= {"input", "output"}:
        costs["total"] = round(sum(costs.values()), _PLACES)
    return costs


def column(value: float) -> float:
    """A provided cost as the flattened columns have it. Computed ones are of 12 places already."""
    return round(float(value), _PLACES)

"""Usage and cost as the sender provided them: the old `usage` object overlaid by `usageDetails` and `costDetails`."""

from __future__ import annotations

from math import isfinite
from typing import Any

_LEGACY_COSTS = (("inputCost", "input"), ("outputCost", "output"), ("totalCost", "total"))


def provided_usage(usage: Any, details: Any) -> dict[str, int | float]:
    """Usage units by key. `total` of the old object is derived only where `usageDetails` says nothing, as Langfuse does."""
    details = details if isinstance(details, dict) else {}
    units: dict[str, Any] = {}
    if isinstance(usage, dict):
        read: Any = usage.get("input")
        written: Any = usage.get("output")
        total: Any = usage.get("total")
        if not total and not details:
            both = type(read) in (int, float) and type(written) in (int, float) and read and written
            total = read + written if both else (written if read is None else read)
        units = {"input": read, "output": written, "total": total}
    return _numbers({**units, **{key: value for key, value in details.items() if value is not None}})


def provided_cost(usage: Any, details: Any) -> dict[str, int | float]:
    """Cost in US dollars by key."""
    costs: dict[str, Any] = {}
    if isinstance(usage, dict):
        costs = {key: usage.get(name) for name, key in _LEGACY_COSTS}
    if isinstance(details, dict):
        costs.update((key, value) for key, value in details.items() if value is not None)
    return _numbers(costs, text=False)


def _numbers(values: dict[str, Any], *, text: bool = True) -> dict[str, int | float]:
    """The entries that are finite numbers of zero or more; the rest is dropped, as Langfuse does."""
    out: dict[str, int | float] = {}
    for key, value in values.items():
        if type(value) is int:
            if value >= 0:
                out[key] = value
        elif (number := _number(value, text=text)) is not None and number >= 0:
            out[key] = number
    return out


def _number(value: Any, *, text: bool = False) -> int | float | None:
    if type(value) is str and text:
        try:
            value = float(value)
        except ValueError:
            return None
    if type(value) is float and isfinite(value):
        return int(value) if value.is_integer() and text else value
    return value if type(value) is int else None

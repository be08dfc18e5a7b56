"""Usage and cost totals: what Langfuse adds to the numbers a sender provided (spec/ingestion.md 3.3 and 3.4)."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]

_INT64 = 2**63
_PLACES = 12
"""Fraction digits of the cost columns, DECIMAL(38,12) in stores that have it."""


def usage_total(record: Record) -> Record:
    """`total` of usage_details is the sum of all buckets where nobody gave one; buckets are meant to be exclusive."""
    usage = record["usage_details"]
    if usage:
        if "total" not in usage:
            usage = record["usage_details"] = {**usage, "total": sum(usage.values())}
        record["input_usage"] = _units(usage.get("input"))
        record["output_usage"] = _units(usage.get("output"))
        record["total_usage"] = _units(usage["total"])
    return record


def cost_total(record: Record) -> Record:
    """A provided cost beats every computed one; its total is known when given or when input and output are all there is."""
    provided = record["provided_cost_details"]
    if provided:
        total = provided.get("total")
        if total is None and provided.keys() <= {"input", "output"}:
            total = round(sum(provided.values()), _PLACES)
        record["cost_details"] = provided if total is None else {**provided, "total": total}
    cost = record["cost_details"]
    if cost:
        record["input_cost"] = _dollars(cost.get("input"))
        record["output_cost"] = _dollars(cost.get("output"))
        record["total_cost"] = _dollars(cost.get("total"))
    return record


def _units(value: int | float | None) -> int | None:
    """A BIGINT; what does not fit is in the JSON column only."""
    return int(value) if value is not None and value < _INT64 else None


def _dollars(value: int | float | None) -> float | None:
    return None if value is None else round(float(value), _PLACES)

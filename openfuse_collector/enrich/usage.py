"""Usage totals: what Langfuse adds to the units a sender provided."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]

_INT64 = 2**63


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


def _units(value: int | float | None) -> int | None:
    """A BIGINT; what does not fit is in the JSON column only."""
    return int(value) if value is not None and value < _INT64 else None

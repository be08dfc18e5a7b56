"""The enrichment step that counts tokens of input and output where nobody said how many there were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openfuse_collector.pricing import Catalogue
from openfuse_collector.pricing.model import Tokenizer
from openfuse_collector.tokens.counter import Uncountable

Record = dict[str, Any]

Count = Callable[[Tokenizer, Any], int | None]
"""As `TokenCounter.count`."""


def count_usage(
    record: Record,
    *,
    catalogue: Catalogue,
    count: Count,
    counted: Callable[[int], None] = lambda tokens: None,
    skipped: Callable[[str], None] = lambda reason: None,
) -> Record:
    """Sets usage_details of a merged observation record whose model has a tokenizer; any other comes back as it is.

    Not where the sender gave usage or cost, nor for a failed call. If one side cannot be counted neither is: half a count
    would be priced like a whole one. `counted` is told the tokens, `skipped` the reason of `Uncountable`.
    """
    if record["provided_usage_details"] or record["level"] == "ERROR" or _has_cost(record):
        return record
    model = catalogue.match(record["project_id"], record["provided_model_name"], record.get("start_time"))
    if model is None or model.tokenizer is None:
        return record
    try:
        sides = {side: count(model.tokenizer, record[side]) for side in ("input", "output")}
    except Uncountable as error:
        skipped(error.reason)
        return record
    usage = {side: tokens for side, tokens in sides.items() if tokens is not None}
    total = sum(usage.values())
    counted(total)
    record["usage_details"] = {**usage, "total": total} if total else usage
    return record


def _has_cost(record: Record) -> bool:
    return any(value is not None for value in (record["provided_cost_details"] or {}).values())

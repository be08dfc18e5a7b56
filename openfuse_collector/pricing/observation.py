"""Pricing of an observation record: its model, the tier that applies and the cost. Pure, as every enrichment step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openfuse_collector.pricing.catalogue import Catalogue
from openfuse_collector.pricing.cost import column, computed_cost, provided_cost
from openfuse_collector.pricing.tiers import tier_for

Record = dict[str, Any]

_FLATTENED = ("input", "output", "total")


def price(record: Record, catalogue: Catalogue) -> Record:
    """Fills internal_model_id, the pricing tier, cost_details and the cost columns of a merged observation record.

    `record` has the columns of an observation; usage_details is final (with its `total`). Every column named above is set,
    so pricing a priced record again gives the same. The record is the caller's own and is changed; what is nested in it is
    not. A cost the sender provided is kept and none is computed beside it; model and tier are stated all the same.
    """
    usage: Mapping[str, float] = record["usage_details"] or {}
    model = catalogue.match(record["project_id"], record["provided_model_name"], record.get("start_time"))
    tier = tier_for(model, usage, record) if model is not None and usage else None
    record["internal_model_id"] = None if model is None else model.id
    record["usage_pricing_tier_id"] = None if tier is None else tier.id
    record["usage_pricing_tier_name"] = None if tier is None else tier.name
    provided = provided_cost(record["provided_cost_details"] or {})
    if provided or tier is None:
        _set_cost(record, provided, {key: column(provided[key]) for key in _FLATTENED if key in provided})
    else:
        costs = computed_cost(tier.prices, usage)
        _set_cost(record, costs, costs)
    return record


def _set_cost(record: Record, details: dict[str, float], columns: Mapping[str, float]) -> None:
    record["cost_details"] = details
    record["input_cost"] = columns.get("input")
    record["output_cost"] = columns.get("output")
    record["total_cost"] = columns.get("total")

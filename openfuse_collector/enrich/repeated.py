"""Usage that only repeats what other observations of the trace state: shown where it is, left out of every sum.

Libraries write the tokens of their model calls a second time, on the agent, workflow or function around them. Langfuse keeps
these details on the observation, and so does the mapping, which marks the observation in its metadata. Sums are taken over the
flattened columns; those stay empty here, and nothing is priced.
"""

from __future__ import annotations

from typing import Any

REPEATED = "openfuse_repeated_usage"
"""Metadata key of an observation whose usage is that of the observations below it."""
BELOW = "of the observations below"
"""Its value."""

_SUMMED = ("input_usage", "output_usage", "total_usage", "input_cost", "output_cost", "total_cost")


def leave_out_of_sums(record: dict[str, Any]) -> dict[str, Any]:
    """Empty the columns sums are taken over, and the computed cost, of an observation marked as a repetition."""
    if REPEATED in record["metadata"]:
        record.update(dict.fromkeys(_SUMMED))
        if not record["provided_cost_details"]:
            record["cost_details"] = {}
            record["usage_pricing_tier_id"] = record["usage_pricing_tier_name"] = None
    return record

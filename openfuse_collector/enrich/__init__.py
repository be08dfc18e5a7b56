"""Enrichment: what a record gains after the fold. Pure functions record -> record, in one fixed order.

observation   assemble    slot, by default: an empty input or output from log records
              tools       definitions and calls, from metadata, input and output
              tokenise    slot: usage_details where the sender provided none
              usage       totals and the flattened usage columns
              price       model, tier, cost where the sender provided none, and the flattened cost columns
              unrecorded  the error of a failed call as its output, the call a tool answers as its input
              repeated    usage that other observations state too leaves the flattened columns
score         inflate     slot: names, labels and ranges from score configs
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from openfuse_collector.enrich.log_events import assemble as assemble_log_events
from openfuse_collector.enrich.repeated import leave_out_of_sums
from openfuse_collector.enrich.tools import extract_tools
from openfuse_collector.enrich.unrecorded import fill_unrecorded
from openfuse_collector.enrich.usage import usage_total
from openfuse_collector.pricing import Catalogue, price

Enricher = Callable[[dict[str, Any]], dict[str, Any]]
"""May set columns of the record it is given, which it owns; never changes a value nested in it, which events share."""

Enrich = Callable[[str, dict[str, Any]], dict[str, Any]]
"""(entity type, record) -> record."""

NO_PRICES = Catalogue(built_in=tuple)


def enrichment(
    catalogue: Catalogue = NO_PRICES,
    *,
    assemble: Enricher | None = assemble_log_events,
    tokenise: Enricher | None = None,
    inflate: Enricher | None = None,
) -> Enrich:
    """The enrichment of a store, with the given price tables and the given steps in their slots."""
    priced = partial(price, catalogue=catalogue)
    steps = {
        "observation": _present(
            assemble, extract_tools, tokenise, usage_total, priced, fill_unrecorded, leave_out_of_sums
        ),
        "score": _present(inflate),
    }

    def enrich(entity_type: str, record: dict[str, Any]) -> dict[str, Any]:
        for step in steps.get(entity_type, ()):
            record = step(record)
        return record

    return enrich


def _present(*steps: Enricher | None) -> tuple[Enricher, ...]:
    return tuple(step for step in steps if step is not None)


enrich = enrichment()
"""Without price tables, tokenisers and score configs."""

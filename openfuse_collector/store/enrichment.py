"""The enrichment of a running service: the same for every store, on without being asked for."""

from __future__ import annotations

from openfuse_collector.component import Settings
from openfuse_collector.enrich import Enrich, enrichment
from openfuse_collector.pricing import Catalogue


def configured_enrichment(settings: Settings) -> Enrich:
    """With the price tables of the `pricing` extension, or the built-in ones where there is none."""
    pricing = settings.extension("pricing")
    return enrichment(Catalogue() if pricing is None else pricing.catalogue)

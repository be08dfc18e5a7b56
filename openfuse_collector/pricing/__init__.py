"""The price engine and its data: which entry a model name has, which of its tiers applies, what the usage costs.

`price(record, catalogue)` is the enrichment step; `Catalogue()` holds the built-in table. See docs/pricing.md.
"""

from openfuse_collector.pricing.catalogue import Catalogue
from openfuse_collector.pricing.model import Model, Tier
from openfuse_collector.pricing.observation import price

__all__ = ["Catalogue", "Model", "Tier", "price"]

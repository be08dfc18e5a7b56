"""Holds the catalogue that pricing looks model names up in."""

from __future__ import annotations

from openfuse_collector.component import Settings
from openfuse_collector.extensions.pricing.config import PricingConfig
from openfuse_collector.pricing import Catalogue
from openfuse_collector.pricing.built_in import built_in_models


class Pricing:
    """`catalogue` is there from the moment the extension is made; it has nothing to start or to stop."""

    def __init__(self, settings: Settings, config: PricingConfig) -> None:
        self.catalogue = catalogue_of(config)

    async def start(self) -> None:
        """Nothing: tables are read when a name is first looked up."""

    async def shutdown(self) -> None:
        """Nothing."""


def catalogue_of(config: PricingConfig) -> Catalogue:
    """The tables a valid configuration names."""
    elsewhere = None
    if config.genai_prices:
        from openfuse_collector.pricing.genai_prices import GenaiPrices  # the package behind it is an extra

        elsewhere = GenaiPrices().find
    models = (entry.model() for entry in config.models)
    return Catalogue(models, built_in=built_in_models if config.built_in else tuple, elsewhere=elsewhere)

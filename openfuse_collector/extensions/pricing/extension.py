"""Holds the catalogue that pricing looks model names up in."""

from __future__ import annotations

from openfuse_collector.component import Settings
from openfuse_collector.extensions.pricing.config import PricingConfig
from openfuse_collector.pricing import Catalogue
from openfuse_collector.pricing.tables import catalogue


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
    models = (entry.model() for entry in config.models)
    return catalogue(models, built_in=config.built_in, genai_prices=config.genai_prices)

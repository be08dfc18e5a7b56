"""Which price tables a collector has: those configured, the one in the box, and the genai-prices package where it is installed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from openfuse_collector.pricing.built_in import built_in_models
from openfuse_collector.pricing.catalogue import Catalogue, Elsewhere
from openfuse_collector.pricing.model import Model


def has_genai_prices() -> bool:
    """Whether the package is installed. Does not import it."""
    return find_spec("genai_prices") is not None


def catalogue(models: Iterable[Model] = (), *, built_in: bool = True, genai_prices: bool | None = None) -> Catalogue:
    """The tables in their order of precedence. `genai_prices` None: look names up there if the package is installed."""
    asked = has_genai_prices() if genai_prices is None else genai_prices
    return Catalogue(models, built_in=built_in_models if built_in else tuple, elsewhere=_elsewhere() if asked else None)


def _elsewhere() -> Elsewhere:
    from openfuse_collector.pricing.genai_prices import GenaiPrices  # the package behind it is an extra

    return GenaiPrices().find

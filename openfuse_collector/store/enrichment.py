"""The enrichment of a running service: the same for every store and every rebuild, on without being asked for."""

from __future__ import annotations

from typing import Any, Protocol

from openfuse_collector.enrich import Enrich, enrichment
from openfuse_collector.pricing.tables import catalogue


class Extensions(Protocol):
    """Where extensions are looked up: the `Settings` of a component, or a command's configuration."""

    def extension(self, type: str) -> Any | None:
        """The extension of that type, None when none is in use."""
        ...


def configured_enrichment(extensions: Extensions) -> Enrich:
    """With the price tables of the `pricing` extension, or the built-in ones; tokens are counted by `tokenizers`, scores
    inflated by `score_configs`, where those are there."""
    pricing, tokenizers = extensions.extension("pricing"), extensions.extension("tokenizers")
    score_configs = extensions.extension("score_configs")
    tables = catalogue() if pricing is None else pricing.catalogue
    return enrichment(
        tables,
        tokenise=None if tokenizers is None else tokenizers.step(tables),
        inflate=None if score_configs is None else score_configs.inflate,
    )

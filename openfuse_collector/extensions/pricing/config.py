"""Settings of the `pricing` extension: price tables beside the built-in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from openfuse_collector.pricing.entry import ModelEntry
from openfuse_collector.pricing.tables import has_genai_prices


@dataclass(frozen=True)
class PricingConfig:
    """Which tables there are. The order of precedence: a project's models, models for all, built-in, genai-prices."""

    models: tuple[ModelEntry, ...] = ()
    built_in: bool = True
    """Whether the table in the box is used."""
    genai_prices: bool | None = None
    """Whether names no table has are looked up in the genai-prices package (extra `prices`). Unset: if it is installed."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        counts = Counter(model.model().id for model in self.models if not any(_mistakes(model)))
        for id in sorted(id for id, count in counts.items() if count > 1):
            yield f'models must have different ids: "{id}" is there {counts[id]} times; set id or start'
        if self.genai_prices and not has_genai_prices():
            yield "genai_prices needs a package that is not installed: pip install openfuse-collector[prices]"


def _mistakes(model: ModelEntry) -> Iterator[str]:
    """What is wrong with an entry and everything in it; such an entry is reported on its own and has no id yet."""
    yield from model.validate()
    for tier in model.tiers:
        yield from tier.validate()
        for condition in tier.when:
            yield from condition.validate()

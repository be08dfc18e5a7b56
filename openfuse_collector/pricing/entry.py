"""Written form of a price table entry: the same in data/models.yaml and in the `pricing` extension's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from openfuse_collector.pricing.model import (
    AttributeCondition,
    Condition,
    Model,
    Operator,
    Tier,
    Tokenizer,
    UsageCondition,
)
from openfuse_collector.pricing.money import attodollars
from openfuse_collector.pricing.patterns import compiled

DEFAULT_TIER: Final = "Standard"
"""Name of the tier that applies when no other does."""

PER: Final = {"million": 10**6, "unit": 1}


@dataclass(frozen=True)
class ConditionEntry:
    """One condition of a tier: exactly one of `usage`, `model_parameter` and `metadata` is set."""

    usage: str = ""
    """Pattern over usage keys; the sum of what it finds is compared with `value`."""
    operator: Operator = "gt"
    value: float | None = None
    case_sensitive: bool = False
    model_parameter: str = ""
    """A key of the model parameters; its value must be one of `in`."""
    metadata: str = ""
    """A top-level key of the metadata; its value must be one of `in`."""
    in_: tuple[str, ...] = ()

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if sum(map(bool, (self.usage, self.model_parameter, self.metadata))) != 1:
            yield "a condition names exactly one of usage, model_parameter and metadata"
        elif self.usage:
            if self.value is None:
                yield "value must be set: what the units are compared with"
            if self.in_:
                yield "in has no meaning for a condition on usage"
            yield from _pattern_problem("usage", self.usage)
        elif not self.in_:
            yield "in must hold at least one value"

    def condition(self) -> Condition:
        """The condition of a valid entry."""
        if self.usage:
            assert self.value is not None
            return UsageCondition(self.usage, self.operator, self.value, self.case_sensitive)
        if self.metadata:
            return AttributeCondition("metadata", self.metadata, self.in_)
        return AttributeCondition("model_parameters", self.model_parameter, self.in_)


@dataclass(frozen=True)
class TierEntry:
    """Prices that apply instead of the model's own while all conditions hold."""

    name: str
    when: tuple[ConditionEntry, ...]
    prices: dict[str, str]
    """Usage key -> US dollars. A key of the model that is missing here keeps the model's price."""
    id: str = ""
    """Default: the model's id and the tier's name."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if not self.name:
            yield "name must not be empty"
        if not self.when:
            yield "when must hold a condition: the model's own prices are the default tier, and there is only one"
        yield from _price_problems(self.prices)


@dataclass(frozen=True)
class TokenizerEntry:
    """How to count tokens where the sender did not."""

    name: Literal["openai", "claude"]
    model: str | None = None
    tokens_per_message: int | None = None
    tokens_per_name: int | None = None


@dataclass(frozen=True)
class ModelEntry:
    """One model: which names it is for, and what their usage costs."""

    name: str
    match: str
    """Postgres regular expression, searched for in the model name; write ^ and $ for the whole name, (?i) for either case."""
    prices: dict[str, str]
    """Usage key -> US dollars, decimal."""
    per: Literal["million", "unit"] = "million"
    """How many units a price is for."""
    project: str | None = None
    """Only for this project. Default: for all."""
    start: str | None = None
    """ISO date; the entry that starts latest is used."""
    tiers: tuple[TierEntry, ...] = ()
    """Tried in this order before the default."""
    tokenizer: TokenizerEntry | None = None
    id: str = ""
    """What `internal_model_id` becomes. Default: project, name and start, joined by `/`."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if not self.name:
            yield "name must not be empty"
        yield from _pattern_problem("match", self.match)
        if not self.prices:
            yield "prices must name at least one usage key"
        yield from _price_problems(self.prices)
        if self.start is not None and not _is_date(self.start):
            yield f'start must be a date like 2026-01-31, not "{self.start}"'
        names = [DEFAULT_TIER, *(tier.name for tier in self.tiers)]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f'tiers must have different names ("{DEFAULT_TIER}" is the model\'s own): "{name}" is there twice'
        for tier in self.tiers:
            for key in sorted(tier.prices.keys() - self.prices.keys()):
                yield f'tiers name a price that the model has not: "{key}" in "{tier.name}"'

    def model(self) -> Model:
        """The table entry of a valid one."""
        id = self.id or "/".join(part for part in (self.project, self.name, self.start) if part)
        return Model(
            id=id,
            name=self.name,
            match=self.match,
            default=Tier(f"{id}_tier_default", DEFAULT_TIER, self._prices({})),
            tiers=tuple(
                Tier(
                    tier.id or f"{id}_tier_{tier.name}",
                    tier.name,
                    self._prices(tier.prices),
                    tuple(entry.condition() for entry in tier.when),
                )
                for tier in self.tiers
            ),
            project=self.project,
            start=self.start,
            tokenizer=_tokenizer(self.tokenizer),
        )

    def _prices(self, over: dict[str, str]) -> dict[str, int]:
        return {key: attodollars(text, PER[self.per]) for key, text in {**self.prices, **over}.items()}


@dataclass(frozen=True)
class Table:
    """A file of entries."""

    source: str
    """Where the facts come from, and of which date they are."""
    models: tuple[ModelEntry, ...] = field(default_factory=tuple)


def _tokenizer(entry: TokenizerEntry | None) -> Tokenizer | None:
    if entry is None:
        return None
    return Tokenizer(entry.name, entry.model, entry.tokens_per_message, entry.tokens_per_name)


def _pattern_problem(key: str, pattern: str) -> Iterator[str]:
    if not pattern:
        yield f"{key} must not be empty"
        return
    try:
        compiled(pattern)
    except ValueError as error:
        yield f"{key} {error}"


def _price_problems(prices: dict[str, str]) -> Iterator[str]:
    for key, text in prices.items():
        try:
            attodollars(text, PER["million"])
        except ValueError as error:
            yield f"prices.{key}: {error}"


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-01-31")

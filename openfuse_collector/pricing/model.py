"""What a price table consists of: models, tiers and the conditions under which a tier applies."""

from __future__ import annotations

from typing import Literal

import msgspec

Operator = Literal["gt", "gte", "lt", "lte", "eq", "neq"]


class UsageCondition(msgspec.Struct, frozen=True, tag="usage", tag_field="of", omit_defaults=True):
    """Holds when the units of all usage keys that `pattern` finds, summed (0 when there is none), compare as said."""

    pattern: str
    operator: Operator
    value: float
    case_sensitive: bool = False


class AttributeCondition(msgspec.Struct, frozen=True, tag="attribute", tag_field="of"):
    """Holds when a top-level key of the model parameters or the metadata has one of these values, as text."""

    source: Literal["model_parameters", "metadata"]
    key: str
    values: tuple[str, ...]


Condition = UsageCondition | AttributeCondition


class Tier(msgspec.Struct, frozen=True, omit_defaults=True):
    """One set of prices of a model."""

    id: str
    name: str
    prices: dict[str, int]
    """Usage key -> attodollars (10^-18 USD) per unit."""
    conditions: tuple[Condition, ...] = ()
    """All must hold. Empty for the default tier only."""


class Tokenizer(msgspec.Struct, frozen=True, omit_defaults=True):
    """How to count tokens where the sender did not."""

    name: str
    """`openai` or `claude`."""
    model: str | None = None
    """The name tiktoken knows the vocabulary by."""
    tokens_per_message: int | None = None
    tokens_per_name: int | None = None


class Model(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of the table: which model names it is for, and what their usage costs."""

    id: str
    name: str
    match: str
    """Postgres regular expression, searched for in the model name as sent."""
    default: Tier
    """Applies when no other tier does."""
    tiers: tuple[Tier, ...] = ()
    """The others; the first whose conditions hold applies."""
    project: str | None = None
    """None: for every project."""
    start: str | None = None
    """ISO date. Of two entries for a name the one that starts later is used, whatever the date of the observation."""
    tokenizer: Tokenizer | None = None
    needles: tuple[str, ...] = ()
    """Lower-case texts one of which is in every name that `match` finds. Empty: unknown. Spares compiling the pattern."""

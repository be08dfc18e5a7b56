"""Which tier of a model applies to an observation, by Langfuse's rules; see docs/pricing.md."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from openfuse_collector.events.remembered import Remembered
from openfuse_collector.events.text import parse_json
from openfuse_collector.pricing.catalogue import LONGEST_NAME
from openfuse_collector.pricing.model import AttributeCondition, Model, Tier, UsageCondition
from openfuse_collector.pricing.patterns import compiled

_MOST_KEYS, _LONGEST_KEPT = 4096, 256

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "neq": operator.ne,
}


def tier_for(model: Model, usage: Mapping[str, float], record: Mapping[str, Any]) -> Tier:
    """The first tier whose conditions all hold, else the default.

    `record` has `model_parameters` (map or JSON text) and `metadata` (map); either may be absent.
    """
    for tier in model.tiers:
        for condition in tier.conditions:
            if not holds(condition, usage, record):
                break
        else:
            if tier.conditions:
                return tier
    return model.default


def holds(
    condition: UsageCondition | AttributeCondition, usage: Mapping[str, float], record: Mapping[str, Any]
) -> bool:
    """Whether one condition of a tier holds."""
    if type(condition) is AttributeCondition:
        return attribute(record.get(condition.source), condition.key) in condition.values
    assert type(condition) is UsageCondition
    return OPERATORS[condition.operator](units(condition, usage), condition.value)


def units(condition: UsageCondition, usage: Mapping[str, float]) -> float:
    """Sum over the usage keys the condition speaks of, `total` among them when its pattern finds it."""
    speaks_of = _keys(condition.pattern, not condition.case_sensitive)
    return sum([count for key, count in usage.items() if speaks_of[key]])


def attribute(values: Any, key: str) -> str | None:
    """A top-level scalar as JavaScript writes it, None where there is none."""
    if type(values) is str:
        # The encoded form of a map that lacks the key cannot contain its name in quotes (keys of price tables are ASCII).
        values = _map(values) if f'"{key}"' in values else None
    value = values.get(key) if type(values) is dict else None
    if value is None or type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is float and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value) if type(value) in (int, float) else None


@lru_cache(maxsize=1024)
def _keys(pattern: str, ignore_case: bool) -> Remembered[str, bool]:
    """Usage key -> whether a pattern finds it, for the few keys that come again and again. Too long a key is never found."""
    search = compiled(pattern, ignore_case).search
    return Remembered(
        lambda key: len(key) <= LONGEST_NAME and search(key) is not None, len, most=_MOST_KEYS, largest=_LONGEST_KEPT
    )


def _map(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None

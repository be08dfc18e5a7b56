"""The fields that tell tokens and money: the old `usage` object, `usageDetails` and `costDetails`, as Langfuse reads them."""

from __future__ import annotations

from typing import Any

from openfuse_collector.mapping.usage import clean_cost, clean_usage
from openfuse_collector.receivers.langfuse.schemas.fields import (
    DROP,
    NULL,
    OPTIONAL_INTEGER,
    OPTIONAL_NUMBER,
    Field,
    option,
)
from openfuse_collector.receivers.langfuse.schemas.issues import MISSING, Issue, Path, no_alternative, wrong_type
from openfuse_collector.receivers.langfuse.schemas.objects import Schema

_OPENAI_NAMES = {"input": "promptTokens", "output": "completionTokens", "total": "totalTokens"}
_LARGEST = 1e300
"""US dollars; integers beyond what a double holds cannot even be asked whether they are finite."""
_UNITS = ("CHARACTERS", "TOKENS", "SECONDS", "MILLISECONDS", "IMAGES", "REQUESTS")

_MIXED = Schema(
    {
        **dict.fromkeys(("input", "output", "total"), OPTIONAL_INTEGER),
        "unit": Field(NULL, option(*_UNITS)),
        **dict.fromkeys(("inputCost", "outputCost", "totalCost"), OPTIONAL_NUMBER),
        **dict.fromkeys(_OPENAI_NAMES.values(), OPTIONAL_INTEGER),
    }
)


def _usage(value: Any, path: Path, issues: list[Issue]) -> Any:
    """The old object. One OpenAI name in it and only the OpenAI names count, costs included; `{}` is as if absent."""
    if value is MISSING:
        return None
    usage = _MIXED.parse(value, path, issues)
    if usage is DROP or not usage:
        return DROP
    if usage.keys().isdisjoint(_OPENAI_NAMES.values()):
        return usage
    return {name: usage[openai] for name, openai in _OPENAI_NAMES.items() if openai in usage} | {"unit": "TOKENS"}


def _usage_details(value: Any, path: Path, issues: list[Issue]) -> Any:
    if type(value) is not dict:
        errors = [[wrong_type(expected, value, ())] for expected in ("object", "object", "record")]
        issues.append(no_alternative(errors, path))
        return DROP
    return clean_usage(value) or DROP


def _cost_details(value: Any, path: Path, issues: list[Issue]) -> Any:
    if type(value) is not dict:
        issues.append(wrong_type("record", value, path))
        return DROP
    amounts = {name: amount for name, amount in value.items() if type(amount) in (int, float) and amount < _LARGEST}
    return clean_cost(amounts) or DROP


USAGE = Field(NULL, _usage, needed=True)
USAGE_DETAILS = Field(NULL, _usage_details)
COST_DETAILS = Field(NULL, _cost_details)

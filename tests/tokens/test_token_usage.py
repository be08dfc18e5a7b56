"""The enrichment step: which observations are counted, and what of them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from openfuse_collector.pricing import Catalogue
from openfuse_collector.pricing.model import Tokenizer
from openfuse_collector.tokens import Uncountable, count_usage

CATALOGUE = Catalogue()


def words(tokenizer: Tokenizer, value: Any) -> int | None:
    """A count one can see: words. `long` stands for a text that cannot be counted."""
    if value == "long":
        raise Uncountable("too_long")
    return None if value is None else len(value.split())


def record(**columns: Any) -> dict[str, Any]:
    usage: dict[str, Any] = {"provided_usage_details": {}, "usage_details": {}, "provided_cost_details": {}}
    sides = {"input": "one two three", "output": "four"}
    return {"project_id": "p", "provided_model_name": "gpt-4o", "level": "DEFAULT", **usage, **sides, **columns}


GIVEN = {"input": 7}
COUNTED: list[tuple[dict[str, Any], dict[str, int]]] = [
    (record(), {"input": 3, "output": 1, "total": 4}),
    (record(provided_model_name="claude-3-opus-20240229"), {"input": 3, "output": 1, "total": 4}),
    (record(level="WARNING"), {"input": 3, "output": 1, "total": 4}),
    (record(provided_cost_details={"input": None}), {"input": 3, "output": 1, "total": 4}),
    (record(output=None), {"input": 3, "total": 3}),
    (record(input=None), {"output": 1, "total": 1}),
    (record(input="", output=None), {"input": 0}),
    (record(input="", output=""), {"input": 0, "output": 0}),
    (record(input=None, output=None), {}),
]
LEFT_ALONE = [
    record(level="ERROR"),
    record(provided_usage_details=GIVEN, usage_details=GIVEN),
    record(provided_usage_details={"input": 0}, usage_details={"input": 0}),
    record(provided_cost_details={"foo": 0}),
    record(provided_cost_details={"total": 0.5, "input": None}),
    record(provided_model_name="unheard-of"),
    record(provided_model_name=None),
    record(provided_model_name="o1-mini"),
]


@pytest.mark.parametrize(("given", "usage"), COUNTED)
def test_usage(given: dict[str, Any], usage: dict[str, int]) -> None:
    before = copy.deepcopy(given)
    told: list[int] = []
    made = count_usage(dict(given), catalogue=CATALOGUE, count=words, counted=told.append)
    assert made == {**before, "usage_details": usage}
    assert list(made["usage_details"]) == list(usage)
    assert told == [usage.get("total", 0)]
    assert given == before, "a nested value was changed"


@pytest.mark.parametrize("given", LEFT_ALONE)
def test_left_alone(given: dict[str, Any]) -> None:
    told: list[int] = []
    assert count_usage(dict(given), catalogue=CATALOGUE, count=words, counted=told.append) == given
    assert told == []


@pytest.mark.parametrize("side", ["input", "output"])
def test_half_a_count_is_none(side: str) -> None:
    reasons: list[str] = []
    given = record(**{side: "long"})
    assert count_usage(dict(given), catalogue=CATALOGUE, count=words, skipped=reasons.append) == given
    assert reasons == ["too_long"]

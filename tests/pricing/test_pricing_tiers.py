"""Which tier applies: both kinds of condition, their order, and where attributes come from."""

from __future__ import annotations

from typing import Any

import pytest

from openfuse_collector.pricing.model import AttributeCondition, Condition, Model, Operator, Tier, UsageCondition
from openfuse_collector.pricing.tiers import attribute, tier_for, units

DEFAULT = Tier("d", "Standard", {"input": 1})


def model(*conditions: tuple[Condition, ...]) -> Model:
    """A model with one tier for each set of conditions, named by number."""
    tiers = tuple(Tier(str(at), str(at), {"input": 2}, of) for at, of in enumerate(conditions))
    return Model("m", "m", "^m$", DEFAULT, tiers)


COMPARED: list[tuple[Operator, int, bool]] = [
    *(("gt", 9, True), ("gt", 10, False), ("gte", 10, True), ("gte", 11, False)),
    *(("lt", 11, True), ("lt", 10, False), ("lte", 10, True), ("lte", 9, False)),
    *(("eq", 10, True), ("eq", 9, False), ("neq", 9, True), ("neq", 10, False)),
]


@pytest.mark.parametrize(("operator", "value", "holds"), COMPARED)
def test_usage_is_compared(operator: Operator, value: int, holds: bool) -> None:
    chosen = tier_for(
        model((UsageCondition("^input", operator, value),)), {"input": 7, "input_cached": 3, "output": 99}, {}
    )
    assert (chosen is not DEFAULT) is holds


def test_usage_keys_are_found_in_either_case_unless_told_otherwise() -> None:
    usage = {"input": 5, "INPUT_AUDIO": 2, "total": 7}
    assert units(UsageCondition("^input", "gt", 0), usage) == 7
    assert units(UsageCondition("^input", "gt", 0, case_sensitive=True), usage) == 5
    assert units(UsageCondition("", "gt", 0), usage) == 14  # the total takes part like any other key
    assert units(UsageCondition("^nothing", "gt", 0), usage) == 0


FLEX = AttributeCondition("model_parameters", "service_tier", ("flex", "1", "true"))
PARAMETERS = [
    ({"service_tier": "flex"}, True),
    ('{"service_tier":"flex"}', True),
    ('{ "a": {}, "service_tier" : "flex" }', True),
    ({"service_tier": 1}, True),
    ({"service_tier": 1.0}, True),
    ({"service_tier": True}, True),
    ('{"service_tier":1.0}', True),
    ({"service_tier": "FLEX"}, False),
    ({"service_tier": None}, False),
    ({"service_tier": ["flex"]}, False),
    ({"nested": {"service_tier": "flex"}}, False),
    ('{"nested":{"service_tier":"flex"}}', False),
    ('["service_tier"]', False),
    ('"service_tier" flex', False),
    ({}, False),
    ("", False),
    (None, False),
]


@pytest.mark.parametrize(("parameters", "holds"), PARAMETERS)
def test_an_attribute_is_a_top_level_scalar(parameters: Any, holds: bool) -> None:
    chosen = tier_for(
        model((FLEX,)), {"input": 1}, {"model_parameters": parameters, "metadata": {"service_tier": "flex"}}
    )
    assert (chosen is not DEFAULT) is holds


def test_metadata_is_another_source() -> None:
    of = model((AttributeCondition("metadata", "region", ("us",)),))
    assert tier_for(of, {"input": 1}, {"metadata": {"region": "us"}}).name == "0"
    assert tier_for(of, {"input": 1}, {"model_parameters": {"region": "us"}}) is DEFAULT


@pytest.mark.parametrize(
    ("value", "text"), [(False, "false"), (2.5, "2.5"), (10**15, "1000000000000000"), (1e22, "1e+22"), ({}, None)]
)
def test_scalars_are_written_as_javascript_does(value: Any, text: str | None) -> None:
    assert attribute({"k": value}, "k") == text


def test_the_first_tier_whose_conditions_all_hold_applies() -> None:
    large = UsageCondition("^input", "gt", 100)
    of = model((FLEX, large), (FLEX,), (large,))
    flex = {"model_parameters": {"service_tier": "flex"}}
    assert tier_for(of, {"input": 101}, flex).name == "0"
    assert tier_for(of, {"input": 100}, flex).name == "1"
    assert tier_for(of, {"input": 101}, {}).name == "2"
    assert tier_for(of, {"input": 100}, {}) is DEFAULT


def test_a_tier_without_conditions_never_applies() -> None:
    assert tier_for(model(()), {"input": 1}, {}) is DEFAULT


def test_more_usage_keys_than_are_remembered() -> None:
    condition = UsageCondition("^input_[0-9]+$", "gt", 0)
    assert units(condition, {f"input_{at}": 1 for at in range(5000)}) == 5000
    assert units(condition, {f"input_{at}": 1 for at in range(5000)} | {"output": 9}) == 5000

"""Entries as people write them: what a mistake is called, and what a valid one becomes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from openfuse_collector.config.nodes import Problem
from openfuse_collector.config.parse import parse
from openfuse_collector.config.unmarshal import unmarshal
from openfuse_collector.extensions.pricing import FACTORY
from openfuse_collector.extensions.pricing.config import PricingConfig
from openfuse_collector.pricing.entry import ModelEntry
from openfuse_collector.pricing.model import AttributeCondition, UsageCondition
from openfuse_collector.pricing.money import decimal_dollars


def read(text: str) -> tuple[PricingConfig | None, list[str]]:
    """A configuration of the extension, and its mistakes without their places."""
    problems: list[Problem] = []
    root = parse(text, "test.yaml", problems)
    assert root is not None
    config, mistakes = unmarshal(root, PricingConfig, ("extensions", "pricing"))
    return config, [str(problem).partition("extensions::pricing")[2] for problem in problems + mistakes]


GOOD = """
models:
- name: house-model
  match: (?i)^house-.*$
  project: acme
  start: 2026-01-31
  prices: {input: 0.15, output: 0.60, input_cached_tokens: 1e-2}
  tiers:
  - name: Night
    when:
    - {metadata: hour, in: [2, 3]}
    - {usage: ^input, operator: gte, value: 1000}
    prices: {input: 0.1}
  tokenizer: {name: openai, model: gpt-4o}
- name: per-call
  id: our-id
  match: ^caller$
  per: unit
  prices: {calls: 0.02}
"""


def test_a_valid_table() -> None:
    config, mistakes = read(GOOD)
    assert mistakes == []
    assert config is not None
    house, per_call = (entry.model() for entry in config.models)
    assert (house.id, house.project, house.start) == ("acme/house-model/2026-01-31", "acme", "2026-01-31")
    assert (house.default.id, house.default.name) == ("acme/house-model/2026-01-31_tier_default", "Standard")
    prices = {key: decimal_dollars(price, 10**6) for key, price in house.default.prices.items()}
    assert prices == {"input": Decimal("0.15"), "output": Decimal("0.6"), "input_cached_tokens": Decimal("0.01")}
    night = house.tiers[0]
    assert night.conditions == (
        AttributeCondition("metadata", "hour", ("2", "3")),
        UsageCondition("^input", "gte", 1000.0),
    )
    assert night.prices == {**house.default.prices, "input": 10**11}, "what a tier does not name is the model's"
    assert house.tokenizer is not None and house.tokenizer.model == "gpt-4o"
    assert (per_call.id, per_call.default.prices) == ("our-id", {"calls": 2 * 10**16})


MODEL = "name: m, match: ^m$, prices: {input: 1}"
TIER = "name: t, prices: {input: 1}"
MISTAKES = [
    ("{match: ^m$, prices: {input: 1}}", ["::models::0::name: must be set"]),
    ("{name: m, match: ^m$}", ["::models::0::prices: must be set"]),
    ("{name: m, match: ^m$, prices: {}}", ["::models::0: prices must name at least one usage key"]),
    ("{name: m, match: '', prices: {input: 1}}", ["::models::0: match must not be empty"]),
    (
        "{name: m, match: '(', prices: {input: 1}}",
        ['::models::0: match "(" is not a regular expression: missing ), unterminated subpattern at position 0'],
    ),
    ("{name: m, match: m, prices: {input: -1}}", ["::models::0: prices.input: a price cannot be negative: -1"]),
    (
        "{name: m, match: m, prices: {input: x}}",
        ['::models::0: prices.input: "x" is not a price: write US dollars, like 2.5'],
    ),
    (f"{{{MODEL}, start: Januar}}", ['::models::0: start must be a date like 2026-01-31, not "Januar"']),
    (f"{{{MODEL}, per: thousand}}", ['::models::0::per: "thousand" is not one of million, unit']),
    (
        f"{{{MODEL}, tiers: [{{{TIER}, when: []}}]}}",
        [
            "::models::0::tiers::0: when must hold a condition: the model's own prices are the default tier, and there is only one"
        ],
    ),
    (
        f"{{{MODEL}, tiers: [{{{TIER}, when: [{{usage: a, value: 1}}]}}, {{{TIER}, when: [{{usage: b, value: 1}}]}}]}}",
        ['::models::0: tiers must have different names ("Standard" is the model\'s own): "t" is there twice'],
    ),
    (
        f"{{{MODEL}, tiers: [{{name: t, prices: {{other: 1}}, when: [{{usage: a, value: 1}}]}}]}}",
        ['::models::0: tiers name a price that the model has not: "other" in "t"'],
    ),
    (
        f"{{{MODEL}, tiers: [{{{TIER}, when: [{{usage: a, metadata: b}}]}}]}}",
        ["::models::0::tiers::0::when::0: a condition names exactly one of usage, model_parameter and metadata"],
    ),
    (
        f"{{{MODEL}, tiers: [{{{TIER}, when: [{{usage: a}}]}}]}}",
        ["::models::0::tiers::0::when::0: value must be set: what the units are compared with"],
    ),
    (
        f"{{{MODEL}, tiers: [{{{TIER}, when: [{{metadata: a}}]}}]}}",
        ["::models::0::tiers::0::when::0: in must hold at least one value"],
    ),
    (
        f"{{{MODEL}, tiers: [{{{TIER}, when: [{{usage: a, operator: above, value: 1}}]}}]}}",
        ['::models::0::tiers::0::when::0::operator: "above" is not one of gt, gte, lt, lte, eq, neq'],
    ),
    (
        f"{{{MODEL}}}, {{{MODEL}}}",
        [': models must have different ids: "m" is there 2 times; set id or start'],
    ),
]


@pytest.mark.parametrize(("models", "expected"), MISTAKES)
def test_mistakes(models: str, expected: list[str]) -> None:
    _, mistakes = read(f"models: [{models}]")
    assert mistakes == expected


@pytest.mark.parametrize("more", [{"project": "p"}, {"start": "2026-01-31"}, {"id": "other"}])
def test_entries_for_the_same_name_are_told_apart(more: dict[str, Any]) -> None:
    entry = ModelEntry("m", "^m$", {"input": "1"})
    assert list(PricingConfig((entry, ModelEntry("m", "^m$", {"input": "2"}, **more))).validate()) == []


def test_defaults_are_valid() -> None:
    assert list(FACTORY.config().validate()) == []

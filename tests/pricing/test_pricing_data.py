"""The table in the box: complete, free of contradictions, the same for people and for the collector."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import date

import pytest

from openfuse_collector.pricing import Catalogue, Model
from openfuse_collector.pricing.built_in import DATA, built_in_models
from openfuse_collector.pricing.model import UsageCondition
from openfuse_collector.pricing.patterns import compiled
from openfuse_collector.pricing.tiers import tier_for
from scripts.prices import compact, needles, read, written
from tests.events.shared_cases import SHARED, needs_shared

MODELS = built_in_models()
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)


def test_both_forms_agree() -> None:
    """When this fails, run `python -m scripts.prices`."""
    assert compact(read((DATA / "models.yaml").read_text())) == (DATA / "models.json").read_bytes()


def test_source_and_date_are_stated() -> None:
    assert re.search(r"^source: .*\(\d{4}-\d\d-\d\d\)$", (DATA / "models.yaml").read_text(), re.MULTILINE)


def test_there_are_models_and_tiers() -> None:
    assert len(MODELS) == 167
    assert sum(1 + len(model.tiers) for model in MODELS) == 251


def test_ids_are_unique() -> None:
    ids = Counter(id for model in MODELS for id in (model.id, model.default.id, *(tier.id for tier in model.tiers)))
    assert [id for id, count in ids.items() if count > 1] == []


@each_model
def test_an_entry(model: Model) -> None:
    """Its tiers price the same keys, the default has no conditions and every other has some, no price is negative."""
    tiers = (model.default, *model.tiers)
    assert {frozenset(tier.prices) for tier in tiers} == {frozenset(model.default.prices)}
    assert model.default.prices
    assert model.default.conditions == ()
    assert all(tier.conditions for tier in model.tiers)
    assert len({tier.name for tier in tiers}) == len(tiers)
    assert all(price >= 0 for tier in tiers for price in tier.prices.values())
    assert model.start is None or date.fromisoformat(model.start)
    for tier in tiers:
        for condition in tier.conditions:
            if isinstance(condition, UsageCondition):
                assert compiled(condition.pattern)


@each_model
def test_no_tier_is_out_of_reach(model: Model) -> None:
    """For every tier there is an observation it applies to, so none is hidden behind an earlier one."""
    for tier in model.tiers:
        usage, parameters = {"input": 1}, {}
        for condition in tier.conditions:
            if isinstance(condition, UsageCondition):
                usage = {"input": int(condition.value) + 1}
            else:
                parameters[condition.key] = condition.values[0]
        assert tier_for(model, usage, {"model_parameters": parameters}) is tier


@each_model
def test_a_cached_or_larger_price_is_plausible(model: Model) -> None:
    """Per token nobody takes more than a tenth of a cent, and cached input never costs more than input."""
    for tier in (model.default, *model.tiers):
        for key, price in tier.prices.items():
            if "queries" not in key.lower():
                assert price <= 10**15, key
            if key in ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens"):
                assert price <= tier.prices["input"], key


def test_no_two_entries_are_for_the_same_name() -> None:
    names = {name for model in MODELS for name in (model.name, *_spelled_out(model))}
    ambiguous = {
        name: [m.name for m in found] for name in names if len(found := [*Catalogue().matches(None, name)]) > 1
    }
    assert ambiguous == {}


def _spelled_out(model: Model) -> set[str]:
    """Names a pattern without repetition and classes lists, options left out."""
    plain = re.sub(r"\([^()|]*\)\?", "", model.match.removeprefix("(?i)"))
    return {re.sub(r"[\\^$()]", "", name) for name in plain.split("|")}


NEEDLES = [
    ("(?i)^(openai/)?(gpt-4o)$", ("gpt-4o",)),
    ("^(gpt-)(35|3.5)(-turbo)$", ("-turbo",)),
    ("^(Long-Name|other)$", ("long-name", "other")),
    ("^(a|[0-9])$", ()),
    ("^(abc)+x?$", ("abc",)),
    ("^(abc)*$", ()),
    ("[[:digit:]]+", ()),
    ("^é$", ()),
    ("", ()),
]


@pytest.mark.parametrize(("pattern", "texts"), NEEDLES)
def test_needles(pattern: str, texts: tuple[str, ...]) -> None:
    assert needles(pattern) == texts


def test_mistakes_in_the_readable_form_are_located() -> None:
    text = "source: nowhere\nmodels:\n- {name: m, match: '(', prices: {input: -1}}\n"
    with pytest.raises(ValueError, match=r"models\.yaml:3: models::0: match") as caught:
        read(text)
    assert "a price cannot be negative" in str(caught.value)


@pytest.mark.shared
@needs_shared
def test_it_holds_the_facts() -> None:
    """The facts file through the script is the table in the box, price for price."""
    facts = (SHARED / "spec" / "model_prices.json").read_text()
    assert written(facts) == (DATA / "models.yaml").read_text()
    by_id = {model.id: model for model in MODELS}
    for fact in json.loads(facts, parse_float=str)["models"]:
        model = by_id[fact["id"]]
        assert (model.name, model.match) == (fact["model_name"], fact["match_pattern"])
        tiers = {tier.id: tier for tier in (model.default, *model.tiers)}
        for tier in fact["tiers"]:
            stated = {key: round(float(price) * 1e18) for key, price in tier["prices"].items()}
            # Through floats on purpose: another way to the same number, which decides between neighbours only.
            assert all(abs(stated[key] - price) < 1000 for key, price in tiers[tier["id"]].prices.items())
            assert stated.keys() == tiers[tier["id"]].prices.keys()

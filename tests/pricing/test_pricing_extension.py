"""The `pricing` extension: the catalogue its configuration asks for."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from openfuse_collector.component import Kind
from openfuse_collector.extensions.pricing import FACTORY
from openfuse_collector.extensions.pricing.config import PricingConfig
from openfuse_collector.pricing.entry import ModelEntry
from tests.builders import settings

HOUSE = ModelEntry("house", "^gpt-4o$", {"input": "1"})


def found(config: PricingConfig, name: str) -> str | None:
    model = FACTORY.create(settings("pricing"), config).catalogue.match("p", name)
    return None if model is None else model.name


def test_configured_models_come_before_the_built_in_ones() -> None:
    assert FACTORY.kind is Kind.EXTENSION
    assert found(PricingConfig(), "gpt-4o") == "gpt-4o"
    assert found(PricingConfig((HOUSE,)), "gpt-4o") == "house"
    assert found(PricingConfig((HOUSE,)), "gpt-4o-mini") == "gpt-4o-mini"
    assert found(PricingConfig((HOUSE,), built_in=False, genai_prices=False), "gpt-4o-mini") is None


async def test_life() -> None:
    extension = FACTORY.create(settings("pricing"), PricingConfig())
    await extension.shutdown()
    await extension.start()
    await extension.shutdown()
    await extension.shutdown()


@pytest.mark.skipif(find_spec("genai_prices") is not None, reason="genai-prices is installed")
def test_a_package_that_is_not_there_is_not_asked_for_by_default() -> None:
    assert list(PricingConfig().validate()) == []
    assert found(PricingConfig(), "grok-4") is None


@pytest.mark.skipif(find_spec("genai_prices") is not None, reason="genai-prices is installed")
def test_a_package_that_is_not_there_is_a_mistake_in_the_configuration() -> None:
    mistakes = list(PricingConfig(genai_prices=True).validate())
    assert mistakes == ["genai_prices needs a package that is not installed: pip install openfuse-collector[prices]"]

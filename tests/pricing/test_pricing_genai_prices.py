"""Prices from genai-prices, against what the package itself makes of the same usage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from openfuse_collector.extensions.pricing.config import PricingConfig
from openfuse_collector.extensions.pricing.extension import catalogue_of
from openfuse_collector.pricing import Catalogue, price
from openfuse_collector.pricing.genai_prices import BUCKETS, GenaiPrices
from openfuse_collector.store.enrichment import configured_enrichment

genai_prices = pytest.importorskip("genai_prices", reason="NO genai-prices: pip install openfuse-collector[prices]")

AT = 1_767_225_600_000  # 2026-01-01T00:00Z


def record(name: str, usage: dict[str, int], at: int = AT) -> dict[str, Any]:
    """A merged observation of project p."""
    maps = {"usage_details": usage, "provided_cost_details": {}, "metadata": {}, "model_parameters": None}
    return {"project_id": "p", "provided_model_name": name, "start_time": at, **maps}


# name, provider, buckets of ours, the package's inclusive counts of the same tokens
SAME = [
    ("grok-4", None, {"input": 900, "output": 50}, {"input_tokens": 900, "output_tokens": 50}),
    ("groq/llama-3.3-70b-versatile", "groq", {"input": 7, "output": 3}, {"input_tokens": 7, "output_tokens": 3}),
    (
        "gemini-2.5-pro",
        None,
        {"input": 150_000, "input_cached_tokens": 60_000, "output": 10},
        {"input_tokens": 210_000, "cache_read_tokens": 60_000, "output_tokens": 10},
    ),
    (
        "claude-opus-4-6",
        None,
        {"input": 10, "cache_read_input_tokens": 20, "input_cache_creation_1h": 30, "output_reasoning_tokens": 5},
        {
            "input_tokens": 60,
            "cache_read_tokens": 20,
            "cache_write_tokens": 30,
            "cache_write_1h_tokens": 30,
            "output_tokens": 5,
        },
    ),
]


@pytest.mark.parametrize(("name", "provider", "buckets", "counts"), SAME)
def test_the_cost_is_the_packages(
    name: str, provider: str | None, buckets: dict[str, int], counts: dict[str, int]
) -> None:
    priced = price(record(name, buckets), Catalogue(built_in=tuple, elsewhere=GenaiPrices().find))
    theirs = genai_prices.calc_price(
        genai_prices.Usage(**counts),
        name.rpartition("/")[2],
        provider_id=provider,
        genai_request_timestamp=datetime.fromtimestamp(AT / 1000, UTC),
    )
    assert priced["total_cost"] == pytest.approx(float(theirs.total_price), rel=1e-12)
    assert priced["internal_model_id"] == f"genai-prices:{theirs.provider.id}/{theirs.model.id}"
    assert priced["usage_pricing_tier_name"].startswith("genai-prices")


def test_only_names_no_table_has_are_looked_up_there() -> None:
    catalogue = catalogue_of(PricingConfig())
    assert catalogue.match("p", "gpt-4o", AT) is Catalogue().match("p", "gpt-4o")
    found = catalogue.match("p", "grok-4", AT)
    assert found is not None and found.id.startswith("genai-prices:")


def test_every_store_asks_it_where_it_is_installed_unless_told_not_to() -> None:
    class Nothing:
        def extension(self, type: str) -> None:
            return None

    observation = {**record("grok-4", {"input": 1}), **dict.fromkeys(("input", "output"))}
    enriched = configured_enrichment(Nothing())("observation", observation)
    assert enriched["usage_pricing_tier_name"] == "genai-prices"
    assert enriched["total_cost"] > 0
    assert catalogue_of(PricingConfig(genai_prices=False)).match("p", "grok-4", AT) is None


@pytest.mark.parametrize("name", ["unheard-of", "whisper-1", "/", "nobody/nothing"])
def test_unknown_names_and_units_have_no_entry(name: str) -> None:
    source = GenaiPrices()
    assert source.find(name, AT) is None
    assert source.find(name, AT) is None


def test_prices_follow_the_time_of_the_observation() -> None:
    """DeepSeek's night tariff, which applies from 16:30 to 00:30 UTC."""
    source = GenaiPrices()
    noon, night = (source.find("deepseek/deepseek-chat", AT + hours * 3_600_000) for hours in (12, 20))
    assert noon is not None and night is not None
    assert noon.default.prices["input"] > night.default.prices["input"]
    assert source.find("deepseek/deepseek-chat", AT + 36 * 3_600_000) is noon


@pytest.mark.parametrize("at", [None, -1, 10**18])
def test_times_beyond_any_calendar(at: int | None) -> None:
    assert GenaiPrices().find("deepseek/deepseek-chat", at) is not None


def test_a_bucket_follows_the_one_it_falls_back_to() -> None:
    seen: set[str] = set()
    for bucket in BUCKETS:
        assert bucket.otherwise is None or bucket.otherwise in seen
        seen.add(bucket.price)

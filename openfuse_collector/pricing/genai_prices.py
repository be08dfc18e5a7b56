"""Prices of models no table has, from the genai-prices package (extra `prices`); imported when a name is first asked for.

Its entries become entries of ours, so that one engine prices everything. What differs there: prices may depend on the day or
the hour, so the start of the observation is passed on, never the clock; thresholds become tiers. Prices per request, second,
page or pixel are left out: no usage key counts those.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from openfuse_collector.pricing.model import Model, Tier, UsageCondition
from openfuse_collector.pricing.money import ATTO

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot

SOURCE: Final = "genai-prices"
"""What tier names and ids begin with, so that such a cost can be told from one of the tables."""

_MOST_NAMES = 4096
_LAST = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp() * 1000)
_MILLION = 10**6


class Bucket(NamedTuple):
    """How a price of the package applies to usage keys of ours."""

    price: str
    """Field of its ModelPrice."""
    per: int
    keys: tuple[str, ...]
    otherwise: str | None = None
    """Its tokens count as these where they have no price of their own. Our buckets exclude each other, so each needs one."""


_AUDIO_IN, _AUDIO_OUT = ("input_audio_tokens", "input_audio"), ("output_audio_tokens", "output_audio")
_IMAGE_IN, _IMAGE_OUT = ("input_image_tokens", "input_image"), ("output_image_tokens", "output_image")
_CACHE_READ = ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens")
_CACHE_WRITE = ("input_cache_creation", "cache_creation_input_tokens", "cache_write_tokens", "input_cache_creation_5m")
_REASONING = ("output_reasoning_tokens", "output_reasoning", "reasoning_tokens")

BUCKETS: Final = (
    Bucket("input_mtok", _MILLION, ("input", "input_tokens", "prompt_tokens")),
    Bucket("output_mtok", _MILLION, ("output", "output_tokens", "completion_tokens")),
    Bucket("output_reasoning_mtok", _MILLION, _REASONING, "output_mtok"),
    Bucket("cache_read_mtok", _MILLION, _CACHE_READ, "input_mtok"),
    Bucket("cache_write_mtok", _MILLION, _CACHE_WRITE, "input_mtok"),
    Bucket("cache_write_1h_mtok", _MILLION, ("input_cache_creation_1h",), "cache_write_mtok"),
    Bucket("input_audio_mtok", _MILLION, _AUDIO_IN, "input_mtok"),
    Bucket("output_audio_mtok", _MILLION, _AUDIO_OUT, "output_mtok"),
    Bucket("cache_audio_read_mtok", _MILLION, ("input_cached_audio_tokens",), "cache_read_mtok"),
    Bucket("input_image_mtok", _MILLION, _IMAGE_IN, "input_mtok"),
    Bucket("output_image_mtok", _MILLION, _IMAGE_OUT, "output_mtok"),
    Bucket("web_searches_kcount", 1000, ("web_search_queries", "webSearchQueries")),
)
"""A bucket follows the one it falls back to."""


class GenaiPrices:
    """Looks names up in the package and remembers what they became."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Any, str] | None] = {}
        self._entries: dict[tuple[str, int], Model] = {}
        self._snapshot: DataSnapshot | None = None

    def find(self, name: str, at: int | None) -> Model | None:
        """The entry for a model name, with or without `provider/` before it, at a time in epoch milliseconds.

        None when the package does not know it, or knows no price in a unit of ours.
        """
        if name not in self._found:
            self._look_up(name)
        found = self._found[name]
        if found is None:
            return None
        info, model_id = found
        prices = info.get_prices(datetime.fromtimestamp(min(max(at or 0, 0), _LAST) / 1000, UTC))
        # Prices are compared by where they are: the package keeps them for as long as it is loaded.
        key = (model_id, id(prices))
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _entry(info.name or info.id, model_id, prices)
        return entry if entry.default.prices else None

    def _look_up(self, name: str) -> None:
        if self._snapshot is None or len(self._found) >= _MOST_NAMES:
            self._begin()
        assert self._snapshot is not None
        try:
            # `litellm` stands for: the name may begin with its provider and a slash.
            provider, info = self._snapshot.find_provider_model(name, None, "litellm", None)
        except LookupError:
            self._found[name] = None
        else:
            self._found[name] = info, f"{SOURCE}:{provider.id}/{info.id}"

    def _begin(self) -> None:
        """A snapshot of our own: the package remembers every name in it, known or not, without a bound."""
        from genai_prices.data import providers
        from genai_prices.data_snapshot import DataSnapshot

        self._snapshot = DataSnapshot(providers=providers, from_auto_update=False)
        self._found.clear()


def _entry(name: str, model_id: str, prices: Any) -> Model:
    """An entry without a pattern: it was found by name."""
    starts = sorted(
        {start for bucket in BUCKETS for start in _starts(getattr(prices, bucket.price, None))}, reverse=True
    )
    tiers = tuple(
        Tier(
            id=f"{model_id}_tier_{start}",
            name=f"{SOURCE} (>{start})",
            prices=_prices(prices, start),
            conditions=(UsageCondition("input|prompt|cache", "gt", start),),
        )
        for start in starts
    )
    default = Tier(f"{model_id}_tier_default", SOURCE, _prices(prices, None))
    return Model(id=model_id, name=name, match="", default=default, tiers=tiers)


def _starts(price: Any) -> Iterator[int]:
    for tier in getattr(price, "tiers", ()):
        yield tier.start


def _prices(prices: Any, above: int | None) -> dict[str, int]:
    """Attodollars by usage key, for a total input above a threshold (None: below all of them)."""
    made: dict[str, int] = {}
    by_price: dict[str, int] = {}
    for bucket in BUCKETS:
        stated = _at(getattr(prices, bucket.price, None), above)
        price = by_price.get(bucket.otherwise or "") if stated is None else round(Fraction(stated) * ATTO / bucket.per)
        if price is not None:
            by_price[bucket.price] = price
            made |= dict.fromkeys(bucket.keys, price)
    return made


def _at(price: Any, above: int | None) -> Decimal | None:
    """One price of the package: a Decimal, or a base and what replaces it above thresholds."""
    if price is None or isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if above is not None and tier.start <= above]
    return Decimal(reached[-1] if reached else price.base)

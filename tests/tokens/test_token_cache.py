"""The cache forgets the oldest, stays within its bound, and never answers for another text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.tokens.cache import ENTRY, SHARE, CountCache


def test_the_least_recently_used_goes_first() -> None:
    cache = CountCache(SHARE * (ENTRY + 1))
    texts = [chr(ord("a") + number) for number in range(SHARE)]
    for number, text in enumerate(texts):
        cache.put("e", text, number)
    assert cache.get("e", "a") == 0
    cache.put("e", "z", 99)
    assert (cache.get("e", "a"), cache.get("e", "b"), cache.get("e", "z")) == (0, None, 99)


def test_a_long_text_drives_nothing_out() -> None:
    cache = CountCache(SHARE * (ENTRY + 100))
    cache.put("e", "short", 1)
    cache.put("e", "x" * 101, 2)
    assert (cache.get("e", "short"), cache.get("e", "x" * 101)) == (1, None)


def test_encodings_are_kept_apart() -> None:
    cache = CountCache(1 << 20)
    cache.put("e", "text", 1)
    cache.put("f", "text", 2)
    assert (cache.get("e", "text"), cache.get("f", "text"), cache.get("g", "text")) == (1, 2, None)


def test_no_size_is_no_cache() -> None:
    cache = CountCache(0)
    cache.put("e", "", 0)
    assert len(cache) == 0


@given(st.lists(st.text(max_size=60)), st.integers(0, 12_000))
def test_it_stays_within_its_bound_and_tells_the_truth(texts: list[str], bound: int) -> None:
    cache = CountCache(bound)
    for text in texts:
        assert cache.get("e", text) in (None, len(text))
        cache.put("e", text, len(text))
    assert len(cache) * ENTRY <= bound

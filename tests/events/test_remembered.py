"""What is remembered of senders' strings: bounded in number and in size, and never another result than the function's."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from openfuse_collector.events.remembered import Remembered
from openfuse_collector.mapping.environment import normal_environment
from openfuse_collector.pricing.model import UsageCondition
from openfuse_collector.pricing.tiers import units
from tests.mapping.span_requests import mapped, span

LARGE = 100_000


def test_a_result_is_made_once() -> None:
    asked: list[str] = []
    remembered = Remembered(lambda name: asked.append(name) or name.upper(), len, most=10, largest=5)
    assert [remembered["a"], remembered["b"], remembered["a"]] == ["A", "B", "A"]
    assert asked == ["a", "b"]


def test_there_are_never_more_than_allowed_and_none_that_is_large() -> None:
    remembered = Remembered(str.upper, len, most=3, largest=5)
    for name in ("a", "b", "c", "d", "abcdef", "e"):
        assert remembered[name] == name.upper()
        assert len(remembered) <= 3
    assert "abcdef" not in remembered and "e" in remembered


def environment(number: int) -> None:
    normal_environment("x" * LARGE + str(number))


def environment_of_a_span(number: int) -> None:
    mapped(span({"langfuse.environment": "y" * LARGE + str(number)}))


def keys_of_a_span(number: int) -> None:
    mapped(span({f"{'k' * (LARGE // 10)}{number}.{key}": 1 for key in range(10)}))


def scope_of_a_span(number: int) -> None:
    mapped(span(), scope="s" * LARGE + str(number))


def usage_key(number: int) -> None:
    units(UsageCondition("input", "gt", 0), {"input" + "x" * LARGE + str(number): 1})


@pytest.mark.parametrize("meet", [environment, environment_of_a_span, keys_of_a_span, scope_of_a_span, usage_key])
def test_large_strings_of_senders_are_not_kept(meet: Callable[[int], None]) -> None:
    meet(0)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, 21):
            meet(number)
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 3 * LARGE


def test_a_usage_key_too_long_to_be_one_is_not_searched() -> None:
    """Patterns with several `.*` take time that grows with a power of the length: here, days."""
    several = UsageCondition("a.*a.*a.*z", "gt", 0)
    assert units(several, {"a" * 500_000: 1, "a.a.a.z": 2}) == 2

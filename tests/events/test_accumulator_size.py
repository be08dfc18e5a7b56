"""What an accumulator believes to hold is what it takes: the bound of the fold cache is a bound of memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.event import Entity, Event

BODIES: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
    "a metadata key each": ("trace", lambda n: {"metadata": {f"key-{n}": "v" * 50}}),
    "the same column": ("trace", lambda n: {"name": f"name {n}"}),
    "a long input": ("trace", lambda n: {"input": "x" * 1000 + str(n)}),
    "a tag each": ("trace", lambda n: {"tags": [f"tag-{n}"]}),
    "usage": ("observation", lambda n: {"usageDetails": {"input": n}, "level": "ERROR"}),
}


def said(kind: str, number: int, body: dict[str, Any]) -> Event:
    """As it comes from the journal: nothing in it is shared with another event."""
    own = msgspec.json.decode(msgspec.json.encode({"id": "e1", **body}))
    stamp = f"2026-11-21T06:00:00.{number:06d}Z"
    source = {"source": f"{number:032x}", "mapping": 1} if number % 2 else None
    return Event(Entity("default", kind, "e1"), f"event-{number:032x}", "span-update", stamp, own, number, source)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("length", [100, 2000])
def test_size_is_what_a_long_history_takes(name: str, length: int) -> None:
    kind, body = BODIES[name]
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        accumulator = Accumulator()
        for number in range(length):
            accumulator.apply(said(kind, number, body(number)))
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.75 < accumulator.size / taken < 1.4


def long_beside_the_body(beside: str, number: int) -> Event:
    """The Langfuse API takes timestamps of any number of digits, and envelope metadata of any size."""
    stamp = f"2026-11-21T06:00:00.{'1' * (200_000 if beside == 'timestamp' else 3)}{number}Z"
    metadata = {"sdk": "x" * 200_000} if beside == "metadata" else None
    body = {"id": "e1", "name": f"n{number}", "metadata": {f"k{number}": 1}}
    return Event(Entity("default", "trace", "e1"), f"e{number}", "trace-create", stamp, body, number, metadata)


@pytest.mark.parametrize("events", [1, 2, 5])
@pytest.mark.parametrize("beside", ["timestamp", "metadata"])
def test_what_is_written_beside_the_body_counts(beside: str, events: int) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        accumulator = Accumulator()
        for number in range(events):
            accumulator.apply(long_beside_the_body(beside, number))
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert accumulator.size > 0.7 * taken

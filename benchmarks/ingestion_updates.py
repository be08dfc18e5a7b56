"""Does an update cost the same however long the history is? 10,000 updates of one entity against one of 10,000 each.

    python -m benchmarks.ingestion_updates [--updates N] [--batch N] [--rounds N] [--bar RATIO]

Measured twice: the projector alone, one event at a time, so that every update makes a row; and the SQLite store, a durable
transaction per batch. All entities exist before the clock starts, all updates have the same size. The ratio is that of the
best rounds of one run; exit code 1 when one is above --bar. The last line is the figures as JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

from openfuse_collector.enrich import enrich
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.store import Store
from openfuse_collector.service import GC_THRESHOLD
from openfuse_collector.store.projector import Projector

BAR = 2.0
RECEIVED = 1_795_000_000_000
"""Epoch milliseconds at which the first event arrives."""
EVERYTHING = 1 << 40
"""Bytes of memory in which every entity of a run stays."""

Write = Callable[[Sequence[Event]], Any]
Writer = Callable[[], Write]
"""Makes an empty store, or projector, that takes batches."""


def creates(entities: int) -> Iterator[Event]:
    """One generation for each entity."""
    for number in range(entities):
        body = {"traceId": "trace", "name": "answer", "startTime": "2026-11-21T06:00:00Z", "model": "gpt-4o-mini"}
        yield _event(number, number, "generation-create", "2026-11-21T06:00:00Z", body)


def updates(number: int, entities: int) -> Iterator[Event]:
    """So many updates, each later than the one before, handed round the entities."""
    for n in range(number):
        body = {
            "output": f"answer {n:08d}",
            "metadata": {"step": 1000 + n % 1000},
            "usageDetails": {"output": 1000 + n % 1000},
        }
        second, millis = divmod(n, 1000)
        stamp = f"2026-11-21T06:{1 + second // 60:02d}:{second % 60:02d}.{millis:03d}Z"
        yield _event(n % entities, entities + n, "generation-update", stamp, body)


def _event(entity: int, number: int, type_: str, stamp: str, body: dict[str, Any]) -> Event:
    id = f"generation-{entity:08d}"
    named = Entity("project", "observation", id)
    return Event(named, f"event-{number:08d}", type_, stamp, {"id": id, **body}, RECEIVED + number)


def batched(events: Iterable[Event], size: int) -> Iterator[list[Event]]:
    """Lists of that many events, the last one shorter."""
    remaining = iter(events)
    return iter(lambda: list(islice(remaining, size)), [])


def seconds(writer: Writer, number: int, entities: int, batch: int) -> float:
    """Time for all updates in batches of that many."""
    write = writer()
    for made in batched(creates(entities), 1000):
        write(made)
    work = list(batched(updates(number, entities), batch))
    began = time.perf_counter()
    for events in work:
        write(events)
    return time.perf_counter() - began


def projecting() -> Write:
    """The fold and the rows, without a store behind them."""
    return Projector(lambda entities: {}, enrich, EVERYTHING).apply


def storing(directory: Path) -> Writer:
    """Stores in files of their own below a directory."""
    numbers = count()
    return lambda: Store(SqliteConfig(path=str(directory / f"{next(numbers)}.db"))).write


def compare(writer: Writer, number: int, batch: int, rounds: int) -> dict[str, float]:
    """Updates a second of one entity and of many, the best of the rounds, and how many times longer one takes than many."""
    one = many = float("inf")
    for _ in range(rounds):
        one = min(one, seconds(writer, number, 1, batch))
        many = min(many, seconds(writer, number, number, batch))
    rates = {"one_per_s": round(number / one), "many_per_s": round(number / many)}
    return {**rates, "ratio": round(one / many, 3)}


def measure(options: argparse.Namespace, directory: Path) -> dict[str, dict[str, float]]:
    """Both comparisons. Garbage is collected as rarely as in the daemon."""
    gc.set_threshold(*GC_THRESHOLD)
    return {
        "projector": compare(projecting, options.updates, 1, options.rounds),
        "sqlite": compare(storing(directory), options.updates, options.batch, options.rounds),
    }


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=100, help="updates per transaction of the store")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bar", type=float, default=BAR)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openfuse-bench-") as directory:
        out = measure(options, Path(directory))
    for name, figures in out.items():
        one, many, ratio = figures["one_per_s"], figures["many_per_s"], figures["ratio"]
        print(f"{name:10} one entity {one:>8,} updates/s   many {many:>8,} updates/s   one costs {ratio:.2f} x many")
    print(json.dumps(out))
    worst = max(figures["ratio"] for figures in out.values())
    if worst > options.bar:
        print(
            f"TOO DEAR: an update of one entity costs {worst} x one of many, the bar is {options.bar:g}",
            file=sys.stderr,
        )
    return 0 if worst <= options.bar else 1


if __name__ == "__main__":
    sys.exit(main())

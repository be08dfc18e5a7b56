"""Small values for tests: items, batches, events, settings."""

from __future__ import annotations

import itertools
import socket
import threading
from pathlib import Path
from typing import Any

import structlog

from openfuse_collector.component import ComponentID, Settings
from openfuse_collector.config.types import Address
from openfuse_collector.dead_letters.file import LetterFile
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.signals import Batch, Delivery, Item, Origin, Signal
from openfuse_collector.telemetry.metrics import Metrics
from tests import scratch

RECEIVED_AT = 1_795_000_000_000_000_000
_numbers = itertools.count(1)


def settings(
    id: str = "test", metrics: Metrics | None = None, instance: str = "collector-1", directory: Path | None = None
) -> Settings:
    """Settings of a component under test; dead letters go to `directory`."""
    type_, _, name = id.partition("/")
    metrics, log = metrics or Metrics(), structlog.get_logger()
    letters = DeadLetters(directory or scratch.directory(), threading.Event(), metrics, log)
    return Settings(ComponentID(type_, name), log, metrics, letters, instance)


def event(entity_id: str, kind: str = "observation", id: str | None = None, **body: Any) -> Event:
    """A span-derived create event."""
    number = next(_numbers)
    id = id or f"event-{number}"
    types = {"observation": "span-create", "trace": "trace-create", "score": "score-create"}
    return Event(
        entity=Entity("default", kind, entity_id),
        id=id,
        type=types[kind],
        timestamp="2026-11-21T06:00:00.000000001Z",
        body={"id": entity_id, **({"traceId": "t"} if kind == "observation" else {}), **body},
        ingested_at=RECEIVED_AT // 1_000_000,
        metadata={"source": id, "mapping": 1},
    )


def item(data: Any, position: int = 0, signal: Signal = Signal.EVENTS) -> Item:
    """One request."""
    return Item(Origin(signal, "otlp", RECEIVED_AT), position, data, 100)


def batch(
    *items: Item, signal: Signal = Signal.EVENTS, end: int | None = 1000, delivery: Delivery | None = None
) -> Batch:
    """A batch of requests."""
    return Batch(signal, list(items), "traces", end, delivery or Delivery())


def metric(metrics: Metrics, name: str, **labels: str) -> float:
    """The value of a sample, 0 when it was never made."""
    return metrics.registry.get_sample_value(name, labels) or 0.0


def kept_letters(directory: Path) -> list[DeadLetter]:
    """The dead letters on disk, oldest first."""
    file = LetterFile.existing(directory)
    if file is None:
        return []
    try:
        return [letter for _, letter in file.letters("state != 'gone'")]
    finally:
        file.close()


def free_address() -> Address:
    """A port of this machine that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Address(f"127.0.0.1:{probe.getsockname()[1]}")

"""What the journal's tests share: opening one, making requests, reading everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import structlog
from structlog.testing import LogCapture

from openfuse_collector.journal import Files, Journal, JournalConfig, OsFiles, Reader
from openfuse_collector.signals import Item, Origin, Signal
from openfuse_collector.telemetry.metrics import Metrics

DIRECTORY = Path("/journal")


class Clock:
    """Epoch seconds that move when told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Opened:
    """A journal with what it logs and measures."""

    def __init__(
        self,
        directory: Path | str = DIRECTORY,
        files: Files | None = None,
        *,
        clock: Clock | None = None,
        decode: Callable[[Origin, bytes], Any] = lambda origin, payload: payload,
        **config: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.logs = LogCapture()
        self.metrics = Metrics()
        settings = {"segment_size": 1 << 20, "max_size": 1 << 30, "min_free_disk": 0} | config
        self.journal = Journal.open(
            JournalConfig(directory=str(directory), **settings),
            self.metrics,
            structlog.wrap_logger(None, processors=[self.logs]),
            decode=decode,
            files=files or OsFiles(),
            clock=self.clock,
        )

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close()

    def sample(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(name, labels)
        assert value is not None, f"nothing measured under {name} {labels}"
        return value

    def events(self, text: str) -> list[dict[str, Any]]:
        """Log entries whose message contains a text."""
        return [dict(entry) for entry in self.logs.entries if text in entry["event"]]


def origin(signal: Signal = Signal.TRACES, receiver: str = "otlp") -> Origin:
    return Origin(signal, receiver, 1_700_000_000_000_000_000)


def everything(origin: Origin) -> bool:
    return True


def one(item: Item) -> int:
    return 1


def drain(reader: Reader, *, at_once: int = 1000) -> Iterator[Item]:
    """All items that are there."""
    before = -1
    while reader.position > before:
        before = reader.position
        items, _ = reader.take(at_once, 1 << 30, 0, 0, one)
        yield from items


def payloads(reader: Reader) -> list[bytes]:
    """The decoded data of all items that are there."""
    return [item.data for item in drain(reader)]

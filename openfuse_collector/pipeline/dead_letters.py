"""What cannot be stored, kept with its reason in a directory beside the journal: nothing is dropped in silence (I4)."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Event as Flag
from threading import Lock
from typing import Any

import msgspec
import structlog

from openfuse_collector.events.event import Event
from openfuse_collector.events.rows import envelope_text
from openfuse_collector.pipeline.retry import RetryConfig, pause
from openfuse_collector.signals import Item, Signal
from openfuse_collector.telemetry.limited import Limited
from openfuse_collector.telemetry.metrics import Metrics

MOST_UNCOPIED = 500
"""A store that is away for long gets copies of the newest only; the files are all there."""


class DeadLetter(msgspec.Struct, frozen=True):
    """One refused piece of data and why. The file holds it as JSON."""

    at: int
    """Epoch milliseconds of the refusal."""
    pipeline: str
    component: str
    reason: str
    signal: Signal
    project_id: str
    receiver: str
    received_at: int
    """Epoch nanoseconds, as the journal has it."""
    position: int
    payload: str
    """Base64 of the OTLP protobuf request, or a JSON array of envelopes when `signal` is `events`."""

    @property
    def id(self) -> str:
        """The same refusal of the same data has the same id, so a replay of the journal does not pile up copies."""
        text = f"{self.component}\0{self.signal}\0{self.project_id}\0{self.payload}"
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def payload_of(signal: Signal, data: Any) -> str:
    """The text form of an item's data."""
    if signal is not Signal.EVENTS:
        return base64.b64encode(data.SerializeToString()).decode()
    events: list[Event] = data
    return "[" + ",".join(_envelope(event) for event in events) + "]"


def _envelope(event: Event) -> str:
    """As raw_events would have it, surrogates replaced; as text where it is no JSON at all, because it must not be lost for that."""
    try:
        return envelope_text(event)
    except Exception:
        return msgspec.json.encode(repr(event).encode("utf-8", "replace").decode()).decode()


class DeadLetters:
    """Writes dead letters as files `<id>.json`; fsynced, because the cursor moves past the data afterwards."""

    def __init__(self, directory: Path, stopping: Flag, metrics: Metrics, log: structlog.stdlib.BoundLogger) -> None:
        self.directory = directory
        self.stopping = stopping
        """Set when the service gives up waiting; shared with everything that waits."""
        self._log = Limited(log)
        self._lock = Lock()
        self._uncopied: dict[str, DeadLetter] = {}
        self._count = metrics.counter(
            "openfuse_dead_letters",
            "Requests, spans or entities that could not be stored and were set aside.",
            ["component"],
        )

    def add(
        self, item: Item, pipeline: str, component: str, reason: str, signal: Signal, data: Any = None
    ) -> DeadLetter:
        """Set `item` aside, or only `data` of it. Blocks until it is on disk; raises Stopped when the service goes down first."""
        letter = DeadLetter(
            at=time.time_ns() // 1_000_000,
            pipeline=pipeline,
            component=component,
            reason=reason,
            signal=signal,
            project_id=item.origin.project_id,
            receiver=item.origin.receiver,
            received_at=item.origin.received_at,
            position=item.position,
            payload=payload_of(signal, item.data if data is None else data),
        )
        for delay in RetryConfig().delays():
            try:
                self._write(letter)
                break
            except OSError as error:
                self._log.warning(
                    "disk",
                    "dead letter cannot be written, will retry",
                    directory=str(self.directory),
                    error=str(error),
                )
                pause(self.stopping, delay)
        self._to_copy(letter)
        self._count.labels(component).inc()
        self._log.error(
            ("letter", component),
            "set aside as dead letter",
            component=component,
            reason=reason,
            dead_letter=letter.id,
            directory=str(self.directory),
        )
        return letter

    def uncopied(self) -> list[DeadLetter]:
        """Letters written since the start that no store has a copy of yet, the newest few hundred."""
        with self._lock:
            return list(self._uncopied.values())

    def copied(self, letters: Iterable[DeadLetter]) -> None:
        """A store has these now."""
        with self._lock:
            for letter in letters:
                self._uncopied.pop(letter.id, None)

    def _to_copy(self, letter: DeadLetter) -> None:
        with self._lock:
            self._uncopied[letter.id] = letter
            while len(self._uncopied) > MOST_UNCOPIED:
                del self._uncopied[next(iter(self._uncopied))]

    def _write(self, letter: DeadLetter) -> None:
        if not self.directory.is_dir():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync(self.directory.parent)
        path = self.directory / f"{letter.id}.json"
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(letter))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync(self.directory)


def _sync(directory: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

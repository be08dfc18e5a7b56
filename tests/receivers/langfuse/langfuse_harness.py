"""A running `langfuse` receiver over an intake that remembers, calls to it, and event bodies for tests."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from openfuse_collector.auth import Authenticator
from openfuse_collector.component import ComponentID
from openfuse_collector.config.types import Address
from openfuse_collector.events.event import Event
from openfuse_collector.receivers.langfuse import FACTORY
from openfuse_collector.receivers.langfuse.config import LangfuseConfig
from openfuse_collector.receivers.langfuse.receiver import LangfuseReceiver
from openfuse_collector.receivers.langfuse.records import decode_events
from openfuse_collector.signals import Origin
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import metric, settings

ANYWHERE = Address("127.0.0.1:0")
NOW = "2026-01-15T12:00:00.000Z"

SHARED = Path(os.environ.get("OPENFUSE_SHARED") or Path(__file__).resolve().parents[4] / "shared")

needs_shared = pytest.mark.skipif(
    not (SHARED / "conformance").is_dir(), reason=f"NO CONFORMANCE DATA at {SHARED}: set OPENFUSE_SHARED"
)


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of a file below conformance/ingestion; [] where there is no data."""
    path = SHARED / "conformance" / "ingestion" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


class Kept(NamedTuple):
    """One call of the intake."""

    origin: Origin
    payload: bytes
    data: list[Event]
    items: int


class RecordingIntake:
    """Remembers what it is given. `before` is called first and may raise; when `gate` is set to an Event, calls wait for it."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []
        self.before: Callable[[], Any] = lambda: None
        self.gate: asyncio.Event | None = None

    async def accept(self, origin: Origin, payload: bytes, data: Any, items: int) -> None:
        self.before()
        if self.gate is not None:
            await self.gate.wait()
        assert decode_events(payload) == data
        self.kept.append(Kept(origin, payload, data, items))

    @property
    def events(self) -> list[Event]:
        return [event for kept in self.kept for event in kept.data]

    def of_type(self, type_: str) -> list[Event]:
        return [event for event in self.events if event.type == type_]


class Answer(NamedTuple):
    """What a caller got."""

    status: int
    body: Any
    headers: dict[str, str]


class Running(NamedTuple):
    """A receiver that listens on a port of its own."""

    receiver: LangfuseReceiver
    intake: RecordingIntake
    metrics: Metrics

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.receiver.port}"

    def metric(self, name: str, **labels: str) -> float:
        return metric(self.metrics, f"{name}_total", receiver="langfuse", **labels)

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One call; `body` as JSON unless it is bytes, in a BytesIO where they are many. `content_type=` is Content-Type, but `x_…` stays
        as Python 2 writes it."""
        data = body if isinstance(body, bytes | BytesIO | None) else json.dumps(body).encode()
        names = {name if name.startswith("x_") else name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(method, self.url + path, data=data, headers=names) as answer,
        ):
            raw = await answer.read()
            is_json = answer.headers.get("Content-Type", "").startswith("application/json")
            return Answer(answer.status, json.loads(raw) if raw and is_json else raw, dict(answer.headers))

    async def ingest(self, *events: Any, **headers: str) -> Answer:
        """POST a batch."""
        return await self.call("POST", "/api/public/ingestion", {"batch": list(events)}, **headers)


Start = Callable[..., Awaitable[Running]]
"""What the fixture `start` is: `run_receiver`, with the receiver stopped after the test."""


async def run_receiver(authenticator: Authenticator | None = None, **config: Any) -> Running:
    """Start a receiver on a free port."""
    intake, metrics = RecordingIntake(), Metrics()
    extensions = {ComponentID("api_keys"): authenticator} if authenticator else {}
    made = replace(settings("langfuse", metrics), extensions=extensions)
    made.health.set(ready=True)
    receiver = FACTORY.create(made, LangfuseConfig(ANYWHERE, **config), intake)
    await receiver.start()
    return Running(receiver, intake, metrics)


def envelope(type_: str, body: Any, id: str = "e1", timestamp: str = NOW) -> dict[str, Any]:
    """An element of a batch."""
    return {"id": id, "type": type_, "timestamp": timestamp, "body": body}


def basic(public_key: str, secret: str) -> str:
    """A Basic header."""
    return "Basic " + base64.b64encode(f"{public_key}:{secret}".encode()).decode()

"""Start, stop, stop twice, stop without start: every component there is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openfuse_collector.component import Component, Factory, Kind, Settings
from openfuse_collector.components import factory, offers
from openfuse_collector.config.nodes import Node, Position
from openfuse_collector.config.parse import parse
from openfuse_collector.config.unmarshal import unmarshal
from openfuse_collector.testing import Answers, RandomIntake, check_lifecycle
from openfuse_collector.testing.loop import PATIENCE
from tests.builders import free_address
from tests.testing.registered import own

CONFIGS: dict[tuple[Kind, str], Callable[[Path], str]] = {
    (Kind.RECEIVER, "otlp"): lambda path: (
        f"protocols: {{grpc: {{endpoint: {free_address()}}}, http: {{endpoint: {free_address()}}}}}"
    ),
    (Kind.RECEIVER, "langfuse"): lambda path: f"endpoint: {free_address()}",
    (Kind.EXPORTER, "sqlite"): lambda path: f"path: {path / 'openfuse.db'}",
    (Kind.EXPORTER, "greptimedb"): lambda path: (
        f"{{endpoints: [{free_address()}], http_endpoints: ['{free_address()}']}}"
    ),
    (Kind.EXTENSION, "api_keys"): lambda path: "projects: [{id: p, keys: [{public_key: pk-1, secret_key: sk-1}]}]",
    (Kind.EXTENSION, "health_check"): lambda path: f"endpoint: {free_address()}",
}
"""What a component cannot be started without, or should not be on a machine that runs tests; all others start with defaults."""


def configuration(made: Factory, path: Path) -> Any:
    """The component's configuration, read as from a file."""
    text = CONFIGS.get((made.kind, made.type), lambda path: "{}")(path)
    problems: list[Any] = []
    node = parse(text, "test", problems) or Node({}, Position("test"))
    config, mistakes = unmarshal(node, made.config, ())
    assert not problems and not mistakes, [*problems, *mistakes]
    return config


@pytest.mark.parametrize("kind, type", sorted(own(offers())), ids=str)
def test_life(kind: Kind, type: str, tmp_path: Path) -> None:
    made = factory(kind, type)

    def make(around: Settings) -> Component:
        config = configuration(made, tmp_path)
        given = (around, config, RandomIntake(Answers())) if kind is Kind.RECEIVER else (around, config)
        component: Component = made.create(*given)
        return component

    check_lifecycle(make)


class Sound:
    """A component that does nothing."""

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...


class NeedsStart(Sound):
    async def start(self) -> None:
        self.held = object()

    async def shutdown(self) -> None:
        assert self.held is not None


class StopsOnce(Sound):
    def __init__(self) -> None:
        self.held = [object()]

    async def shutdown(self) -> None:
        self.held.pop()


class CannotStart(Sound):
    async def start(self) -> None:
        raise OSError("the address is in use")


class WaitsForEver(Sound):
    """Gives the loop back meanwhile."""

    async def shutdown(self) -> None:
        await asyncio.Event().wait()


class BlocksForEver(Sound):
    """Waits for a thread on the event loop."""

    def __init__(self, end: threading.Event) -> None:
        self.end = end

    async def shutdown(self) -> None:
        self.end.wait()


class StartsForEver(Sound):
    async def start(self) -> None:
        await asyncio.Event().wait()


class LeavesThread(Sound):
    def __init__(self, end: threading.Event) -> None:
        self.end = end

    async def start(self) -> None:
        threading.Thread(target=self.end.wait, name="left over").start()


class LeavesTask(Sound):
    async def start(self) -> None:
        self.task = asyncio.create_task(asyncio.Event().wait(), name="left over")


class NoComponent:
    """Has no life at all."""


BROKEN: dict[str, tuple[Callable[[threading.Event], Any], str]] = {
    "needs start": (lambda end: NeedsStart(), "^shutdown without start raised AttributeError: .*held"),
    "stops once": (lambda end: StopsOnce(), "^the second shutdown raised IndexError: pop from empty list"),
    "cannot start": (lambda end: CannotStart(), "^start raised OSError: the address is in use"),
    "starts for ever": (lambda end: StartsForEver(), "^start did not return within 1 seconds"),
    "waits for ever": (lambda end: WaitsForEver(), "^shutdown did not return within 1 seconds"),
    "blocks for ever": (BlocksForEver, "^shutdown did not return within 1 seconds"),
    "leaves a thread": (LeavesThread, "^shutdown left behind: thread left over"),
    "leaves a task": (lambda end: LeavesTask(), "^shutdown left behind: task left over"),
    "is none": (lambda end: NoComponent(), "^NoComponent has no start and shutdown"),
}
"""Broken promise -> component, and the sentence about it."""
ENDLESS = {"starts for ever", "waits for ever", "blocks for ever", "leaves a thread", "leaves a task"}
"""Those that only patience finds."""


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_life_is_found(name: str) -> None:
    (make, complaint), end = BROKEN[name], threading.Event()
    try:
        with pytest.raises(AssertionError, match=complaint):
            check_lifecycle(lambda around: make(end), patience=1.0 if name in ENDLESS else PATIENCE)
    finally:
        end.set()


def test_a_sound_life_is_none_the_worse() -> None:
    check_lifecycle(lambda around: Sound())

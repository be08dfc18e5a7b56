"""Start, stop, stop twice, stop without start: every component there is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openfuse_collector.component import Component, Factory, Kind, Settings
from openfuse_collector.components import BUILT_IN, factory
from openfuse_collector.config.nodes import Node, Position
from openfuse_collector.config.parse import parse
from openfuse_collector.config.unmarshal import unmarshal
from openfuse_collector.testing import Answers, RandomIntake, check_lifecycle, lifecycle
from tests.builders import free_address, settings

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


@pytest.mark.parametrize("kind, type", BUILT_IN, ids=lambda value: str(value))
async def test_life(kind: Kind, type: str, tmp_path: Path) -> None:
    made = factory(kind, type)

    def make() -> Component:
        around: Settings = settings(type, directory=tmp_path / "letters")
        config = configuration(made, tmp_path)
        given = (around, config, RandomIntake(Answers())) if kind is Kind.RECEIVER else (around, config)
        component: Component = made.create(*given)
        return component

    await check_lifecycle(make)


class Sound:
    """A component that does nothing."""

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...


class NeedsStart(Sound):
    async def start(self) -> None:
        self.held = object()

    async def shutdown(self) -> None:
        del self.held


class LeavesThread(Sound):
    def __init__(self, end: threading.Event) -> None:
        self.end = end

    async def start(self) -> None:
        threading.Thread(target=self.end.wait, name="left behind").start()


class LeavesTask(Sound):
    async def start(self) -> None:
        self.task = asyncio.create_task(asyncio.Event().wait(), name="left behind")


async def test_broken_lives_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "PATIENCE", 0.05)
    await check_lifecycle(Sound)
    with pytest.raises(AttributeError):
        await check_lifecycle(NeedsStart)
    end = threading.Event()
    with pytest.raises(AssertionError, match="left behind"):
        await check_lifecycle(lambda: LeavesThread(end))
    end.set()
    left: list[LeavesTask] = []

    def make() -> LeavesTask:
        left.append(LeavesTask())
        return left[-1]

    with pytest.raises(AssertionError, match="left behind"):
        await check_lifecycle(make)
    left[0].task.cancel()

"""What every component has to survive: start and stop, stop twice, stop without start; and nothing of it is left running."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import closing

from openfuse_collector.component import Component, Settings
from openfuse_collector.testing.loop import PATIENCE, ComponentLoop
from openfuse_collector.testing.machine import Surroundings

LIVES: tuple[dict[str, str], ...] = (
    {"start": "start", "shutdown": "shutdown", "the second shutdown": "shutdown"},
    {"shutdown without start": "shutdown", "the second shutdown without start": "shutdown"},
)
"""Step by step: what it is called in messages -> method."""


def check_lifecycle(make: Callable[[Settings], Component], *, patience: float = PATIENCE) -> None:
    """Raises AssertionError that names the step. `make` gives a new component each time; a step may take `patience` seconds."""
    for steps in LIVES:
        with closing(Surroundings()) as around, ComponentLoop(patience) as loop:
            _live(loop, make, around.settings(), steps)


def _live(
    loop: ComponentLoop, make: Callable[[Settings], Component], settings: Settings, steps: dict[str, str]
) -> None:
    threads, tasks = set(threading.enumerate()), set(loop.tasks())
    component = loop.make(lambda: make(settings))
    assert isinstance(component, Component), f"{type(component).__name__} has no start and shutdown"
    for step, method in steps.items():
        loop.run(step, getattr(component, method))
        if method == "shutdown":
            _until_gone(step, lambda: _threads(threads) + _tasks(loop, tasks), loop.patience)


def _threads(before: set[threading.Thread]) -> list[str]:
    return [f"thread {one.name}" for one in threading.enumerate() if one not in before and not _is_pooled(one)]


def _tasks(loop: ComponentLoop, before: set[asyncio.Task[object]]) -> list[str]:
    return [f"task {task.get_name()}" for task in loop.tasks() if task not in before]


def _is_pooled(thread: threading.Thread) -> bool:
    """Threads of the loop's own pool, and the poller of gRPC, serve everybody and stay."""
    return thread.name.startswith(("asyncio_", "uvloop_")) or "_poll_wrapper" in thread.name or not thread.is_alive()


def _until_gone(step: str, left: Callable[[], list[str]], patience: float) -> None:
    deadline = time.monotonic() + patience
    while found := left():
        assert time.monotonic() < deadline, f"{step} left behind: {', '.join(found)}"
        time.sleep(0.01)

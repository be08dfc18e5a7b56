"""What every component has to survive: start and stop, stop twice, stop without start; and nothing of it is left running."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from openfuse_collector.component import Component

PATIENCE = 60.0
"""Seconds for threads and tasks to come to their end. Far more than is ever needed."""


async def check_lifecycle(make: Callable[[], Component]) -> None:
    """Raises AssertionError that names the step, or whatever the component raises. `make` gives a new component each time."""
    for steps in (("start", "shutdown", "shutdown"), ("shutdown",), ("shutdown", "shutdown")):
        await _live(make, steps)


async def _live(make: Callable[[], Component], steps: tuple[str, ...]) -> None:
    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    component = make()
    assert isinstance(component, Component), f"{type(component).__name__} has no start and shutdown"
    for step in steps:
        await getattr(component, step)()
    await _until_gone(lambda: [t.name for t in threading.enumerate() if t not in threads and not _is_pooled(t)], steps)
    await _until_gone(lambda: [task.get_name() for task in asyncio.all_tasks() - tasks], steps)


def _is_pooled(thread: threading.Thread) -> bool:
    """Threads of the loop's own pool, and the poller of gRPC, serve everybody and stay."""
    return thread.name.startswith(("asyncio_", "uvloop_")) or "_poll_wrapper" in thread.name or not thread.is_alive()


async def _until_gone(left: Callable[[], list[str]], steps: tuple[str, ...]) -> None:
    deadline = time.monotonic() + PATIENCE
    while left():
        assert time.monotonic() < deadline, f"after {', '.join(steps)} there is still: {', '.join(left())}"
        await asyncio.sleep(0.01)

"""Receivers for tests, stopped when the test is over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest


@pytest.fixture
async def start(run_receiver: Callable[..., Awaitable[Any]]) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Call it to start a receiver of the folder's kind: `await start(max_request_body_size=100)`."""
    started: list[Any] = []

    async def run(**options: object) -> Any:
        started.append(await run_receiver(**options))
        return started[-1]

    yield run
    for running in started:
        if running.intake.gate is not None:
            running.intake.gate.set()
        await running.receiver.shutdown()


@pytest.fixture
async def running(start: Callable[..., Awaitable[Any]]) -> Any:
    """A receiver with the default settings."""
    return await start()

"""Receivers for tests, stopped when the test is over."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from langfuse_harness import Running, Start, run_receiver


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Call it to start a receiver: `await start(max_request_body_size=100)`."""
    started: list[Running] = []

    async def run(**options: object) -> Running:
        started.append(await run_receiver(**options))  # type: ignore[arg-type]
        return started[-1]

    yield run
    for running in started:
        if running.intake.gate is not None:
            running.intake.gate.set()
        await running.receiver.shutdown()


@pytest.fixture
async def running(start: Start) -> Running:
    """A receiver with the default settings."""
    return await start()

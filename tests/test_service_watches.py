"""What the service does when something that should go on until it stops has ended."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog import wrap_logger
from structlog.testing import LogCapture

from openfuse_collector.config.service import load
from openfuse_collector.service import Service
from tests.builders import free_address

LIMIT = 60
"""Seconds after which a test that sees nothing happen fails."""

TEMPLATE = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "{address}"}}}}}}}}
connectors: {{genai: {{}}}}
exporters: {{sqlite: {{path: {directory}/store.db}}}}
service:
  journal: {{directory: {directory}/journal}}
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [genai]}}
    events: {{receivers: [genai], exporters: [sqlite]}}
"""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """A service sets the garbage collector of its process."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


class BrokenLog:
    """Has no memory left for a line."""

    def warning(self, kind: object, sentence: str, **fields: object) -> bool:
        raise MemoryError


async def test_a_watch_that_ends_takes_the_service_out_of_rotation(tmp_path: Path) -> None:
    logs = LogCapture()
    config = load([f"yaml:{TEMPLATE.format(address=free_address(), directory=tmp_path)}"])
    service = Service(config, wrap_logger(None, processors=[logs]))

    def unreadable() -> int:
        raise OSError(24, "Too many open files")

    running = asyncio.create_task(service.run())
    async with asyncio.timeout(LIMIT):
        while not service._health.ready:
            assert not running.done(), running
            await asyncio.sleep(0.001)
        service._memory._log, service._memory._read = BrokenLog(), unreadable  # type: ignore[assignment]
        while service._health.ready:
            await asyncio.sleep(0.001)
        [line] = [entry for entry in logs.entries if "restart" in entry["event"]]
        assert line["what"] == "memory limiter"
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0

"""How late the event loop wakes up: the time a new request may have to wait before anyone looks at it."""

from __future__ import annotations

import asyncio
import time

from openfuse_collector.telemetry.metrics import Metrics

INTERVAL = 0.02
BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1, 5)


async def watch_loop(metrics: Metrics) -> None:
    """Sleep and compare, for ever; cancel to stop."""
    stall = metrics.histogram(
        "openfuse_event_loop_stall_seconds",
        "How much later than asked the event loop woke up, sampled 50 times a second.",
        buckets=BUCKETS,
    )
    while True:
        asked = time.perf_counter() + INTERVAL
        await asyncio.sleep(INTERVAL)
        stall.observe(max(0.0, time.perf_counter() - asked))

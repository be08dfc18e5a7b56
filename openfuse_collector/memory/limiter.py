"""Decides whether a request may be taken: resident memory, and what the requests under way will still need, against the limits."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from openfuse_collector.config.types import MIB
from openfuse_collector.errors import OverloadError
from openfuse_collector.memory.allocator import trim
from openfuse_collector.memory.limits import Limits
from openfuse_collector.telemetry.limited import Limited
from openfuse_collector.telemetry.metrics import Metrics
from openfuse_collector.telemetry.process import rss_bytes

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

GROWTH = 3
"""Bytes of memory a byte of a request takes while it is received: the body, its message, the copy for the journal."""

RETRY_AFTER = 2.0
"""Seconds senders are asked to wait."""

RECLAIM_EVERY = 1.0
"""Seconds between two attempts to give memory back: looking for garbage stops everything else for a moment."""


class MemoryLimiter:
    """One per service. `fits`, `hold` and `refuse` on the event loop, `pressed` from anywhere.

    Beyond the soft limit requests are refused, pipelines take one batch at a time and caches are dropped; beyond the hard limit
    garbage is collected too. When no other request is under way one is taken if it fits below the hard limit, and
    whatever its size below the soft one: else a request larger than what is left would be refused for ever.
    """

    def __init__(
        self, limits: Limits | None, metrics: Metrics, log: BoundLogger, rss: Callable[[], int] = rss_bytes
    ) -> None:
        self.limits = limits
        self.rss = rss() if limits else 0
        """Bytes at the last look."""
        self.held = 0
        """Bytes of all requests under way, as they came."""
        self.on_pressure: list[Callable[[], None]] = []
        """Called beyond the soft limit, on a thread of their own: drop what can be made again."""
        self._read = rss
        self._log = Limited(log)
        self._reclaimed_at = 0.0
        self._refused = metrics.counter(
            "openfuse_memory_refused_requests", "Requests refused because memory is short (service::memory_limiter)."
        )
        self._reclaims = metrics.counter("openfuse_memory_reclaims", "Times memory was given back to the system.")
        if limits:
            gauge = metrics.gauge("openfuse_memory_limit_bytes", "Limits of the memory limiter.", ["limit"])
            gauge.labels("soft").set(limits.soft)
            gauge.labels("hard").set(limits.hard)

    @property
    def current(self) -> int:
        """Bytes in use now."""
        return self._read()

    @property
    def pressed(self) -> bool:
        """Whether more memory is in use than the soft limit allows."""
        return self.limits is not None and self.rss > self.limits.soft

    def fits(self, size: int, own: int = 0) -> bool:
        """Whether `size` bytes more may be taken now, by a request that holds `own` bytes already."""
        if self.limits is None:
            return True
        if self.held > own:
            return self.rss + (self.held + size) * GROWTH <= self.limits.soft
        alone = self.limits.soft if size * GROWTH > self.limits.hard - self.rss and not own else self.limits.hard
        return self.rss <= alone

    def hold(self, more: int) -> None:
        """Requests under way take so many bytes more (or less)."""
        self.held += more

    def refuse(self) -> OverloadError:
        """The answer to a request that does not fit, counted."""
        assert self.limits is not None
        self._refused.inc()
        return OverloadError(
            f"memory is short: {self.rss // MIB} MiB in use, {self.held // MIB} MiB of requests under way, "
            f"{self.limits.soft // MIB} MiB allowed (service::memory_limiter)",
            after=RETRY_AFTER,
        )

    async def watch(self, interval: float) -> None:
        """Look at the memory every `interval` seconds, for ever; cancel to stop."""
        while self.limits is not None:
            try:
                await self._look(self.limits)
            except Exception as error:
                # Out of file handles, of threads, of memory: what was short must not be for ever.
                trouble = f"{type(error).__name__}: {error}"
                self._log.warning("trouble", "memory cannot be measured or given back, will try again", error=trouble)
            await asyncio.sleep(interval)

    async def _look(self, limits: Limits) -> None:
        self.rss = self._read()
        if self.pressed and time.monotonic() - self._reclaimed_at >= RECLAIM_EVERY:
            await asyncio.to_thread(self._reclaim, self.rss > limits.hard)
            self._reclaimed_at = time.monotonic()
            self.rss = self._read()
        self._tell(limits)

    def _reclaim(self, hard: bool) -> None:
        for drop in self.on_pressure:
            drop()
        if hard:
            gc.collect()
        trim()
        self._reclaims.inc()

    def _tell(self, limits: Limits) -> None:
        """Senders that come back in step make it go up and down: one line a minute; the receivers log what they refuse."""
        if self.pressed:
            self._log.warning(
                "pressed",
                "memory is short, senders are told to retry",
                rss_mib=self.rss // MIB,
                soft_mib=limits.soft // MIB,
                hard_mib=limits.hard // MIB,
                remedy="raise service::memory_limiter::limit_mib, or lower receivers::otlp::max_in_flight and batch::max_bytes",
            )

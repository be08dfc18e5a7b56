"""The bound on bytes of requests that are being received, decoded or written, over all protocols of a receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from openfuse_collector.errors import OverloadError
from openfuse_collector.memory import MemoryLimiter

RETRY_AFTER = 1.0
"""Seconds senders are asked to wait."""

LAST_SECONDS = 0.5
"""What has begun to arrive when the collector shuts down gets so many seconds: less than anybody waits for a process to end."""


class InFlight:
    """Counts bytes. Used on the event loop only."""

    def __init__(self, limit: int, memory: MemoryLimiter | None = None) -> None:
        self.limit = limit
        self.used = 0
        self.requests = 0
        """Requests that have a share, be it empty."""
        self._memory = memory
        self.on_freed: list[Callable[[], None]] = []
        """Called when a request has given its share back."""

    def check(self, size: int = 1, own: int = 0) -> None:
        """Raises OverloadError when `size` more bytes, of a request that holds `own`, would not fit now or memory is short."""
        if self.used + size > self.limit:
            raise OverloadError(
                f"{self.used} bytes of requests are in flight (max_in_flight {self.limit})", after=RETRY_AFTER
            )
        if self._memory is not None and not self._memory.fits(size, own):
            raise self._memory.refuse()

    def fits(self, size: int) -> bool:
        """Whether `check` would let `size` more bytes in."""
        return self.used + size <= self.limit and (self._memory is None or self._memory.fits(size))

    def take(self, more: int) -> None:
        """So many bytes more, or less, are in flight."""
        self.used += more
        if self._memory is not None:
            self._memory.hold(more)

    async def drain(self, seconds: float) -> None:
        """Wait until no request has a share any more, for so many seconds at most."""
        empty = asyncio.Event()

        def look() -> None:
            if not self.requests:
                empty.set()

        look()
        self.on_freed.append(look)
        with suppress(TimeoutError):
            await asyncio.wait_for(empty.wait(), seconds)
        self.on_freed.remove(look)

    def hold(self) -> Hold:
        """The share of one request, empty at first; give it back by leaving its `with` block."""
        return Hold(self)


class Hold:
    """What one request takes up."""

    __slots__ = ("_of", "_size")

    def __init__(self, of: InFlight) -> None:
        self._of = of
        self._size = 0

    def resize(self, size: int) -> None:
        """The request has `size` bytes now. Raises OverloadError when there is no room for it; the share stays as it was."""
        more = size - self._size
        if more > 0:
            self._of.check(more, self._size)
        self._of.take(more)
        self._size = size

    def grow(self, size: int) -> None:
        """The request has at least `size` bytes. Raises as `resize` does."""
        if size > self._size:
            self.resize(size)

    def __enter__(self) -> Hold:
        self._of.requests += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._of.take(-self._size)
        self._size = 0
        self._of.requests -= 1
        for freed in self._of.on_freed:
            freed()

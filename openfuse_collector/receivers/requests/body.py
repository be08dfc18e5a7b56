"""Reads request bodies: bounded while they arrive and while they are inflated, counted among the bytes in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from threading import Lock

from aiohttp import web

from openfuse_collector.errors import OverloadError, RetryableError
from openfuse_collector.pdata.errors import BadDataError, TooLargeError
from openfuse_collector.pdata.inflate import inflate
from openfuse_collector.receivers.requests.in_flight import LAST_SECONDS, RETRY_AFTER, Hold

INLINE_COMPRESSED = 64 * 1024
INLINE_INFLATED = 1024 * 1024
"""Up to so many bytes bodies are inflated on the event loop (a few milliseconds at most), larger ones in a thread."""

PROMISED = 2.0
"""Seconds for which room is kept for all of a body whose length is announced, so that large ones that come together are not all
begun and all given up. From then on only what has arrived counts: who stalls keeps nobody out."""
_inflating = Lock()


class Arriving:
    """Bodies of one application that are on their way. When it shuts down they get a moment; then senders are told to come again."""

    def __init__(self) -> None:
        self.closing = False
        self._reads: set[asyncio.Timeout] = set()

    @classmethod
    def of(cls, app: web.Application) -> Arriving:
        """Watch the bodies of an application. To be called before it starts."""
        app[ARRIVING] = arriving = cls()
        app.on_shutdown.append(arriving._close)
        return arriving

    @asynccontextmanager
    async def read(self, seconds: float | None) -> AsyncIterator[None]:
        """Read a body within this block. Raises RetryableError after so many `seconds`, OverloadError at shutdown."""
        timeout = asyncio.timeout(seconds)
        try:
            async with timeout:
                self._reads.add(timeout)
                if self.closing:
                    self._hurry(timeout)
                yield
        except TimeoutError as error:
            if self.closing:
                raise OverloadError("the collector is shutting down", after=RETRY_AFTER) from error
            raise RetryableError(f"the body did not arrive within {seconds:g} seconds") from error
        finally:
            self._reads.discard(timeout)

    async def _close(self, app: web.Application) -> None:
        self.closing = True
        for timeout in self._reads:
            if not timeout.expired():
                self._hurry(timeout)

    def _hurry(self, timeout: asyncio.Timeout) -> None:
        last = asyncio.get_running_loop().time() + LAST_SECONDS
        timeout.reschedule(min(last, timeout.when() or last))


ARRIVING = web.AppKey("arriving", Arriving)


async def read_body(request: web.Request, limit: int, hold: Hold, seconds: float | None) -> bytes:
    """The body as sent. It may take so many `seconds`.

    Raises TooLargeError, OverloadError when it outgrows what may be in flight or the application shuts down, BadDataError when the
    transfer is broken, RetryableError when it takes too long.
    """
    if (request.content_length or 0) > limit:
        raise TooLargeError(limit)
    if "Expect" in request.headers:
        await _continue(request)
    arriving = request.app.get(ARRIVING) or Arriving()
    try:
        async with arriving.read(seconds):
            return await _read(request, limit, hold)
    except web.RequestPayloadError as error:
        raise BadDataError(f"the body is broken: {error}") from error


async def inflate_body(body: bytes, coding: str, limit: int, hold: Hold, threads: Executor) -> bytes:
    """The body without its Content-Encoding. Raises BadDataError, TooLargeError, OverloadError."""
    if coding in ("", "identity"):
        return body
    inflated = await _inflate(body, coding, limit, threads)
    hold.resize(len(inflated))
    return inflated


async def _inflate(body: bytes, coding: str, limit: int, threads: Executor) -> bytes:
    if len(body) <= INLINE_COMPRESSED:
        try:
            return inflate(body, coding, min(limit, INLINE_INFLATED))
        except TooLargeError:
            pass  # more than fits here: from the beginning, in a thread
    return await asyncio.get_running_loop().run_in_executor(threads, _inflate_alone, body, coding, limit)


def _inflate_alone(body: bytes, coding: str, limit: int) -> bytes:
    """One at a time: what grows here is in flight, and nobody can count it before it is whole."""
    with _inflating:
        return inflate(body, coding, limit)


async def _read(request: web.Request, limit: int, hold: Hold) -> bytes:
    chunks: list[bytes] = []
    size = 0
    hold.resize(request.content_length or 0)
    arrived = asyncio.get_running_loop().call_later(PROMISED, lambda: hold.resize(size))
    try:
        while chunk := await request.content.readany():
            size += len(chunk)
            if size > limit:
                raise TooLargeError(limit)
            hold.grow(size)
            chunks.append(chunk)
    finally:
        arrived.cancel()
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _continue(request: web.Request) -> None:
    """Tell a client that waits for it to send the body. Any other expectation cannot be met, and need not (RFC 9110, 10.1.1)."""
    if request.headers["Expect"].lower() == "100-continue" and request.can_read_body:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def expect_later(request: web.Request) -> None:
    """For routes: `read_body` sends the 100 itself, after headers were looked at."""

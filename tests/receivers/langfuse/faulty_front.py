"""A server before a collector that spoils the first calls of each kind: refused, cut off, or carried out and never answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

SPOILED = ("/v1/traces", "/ingestion", "/scores", "/media")
"""Ends of the paths that bring data."""

NOT_FORWARDED = {"host", "content-length", "transfer-encoding", "connection", "keep-alive"}


class Front:
    """Passes calls on to `target`, but not before the first `times` of each path have met their fault."""

    def __init__(self, target: str, fault: str, times: int, spared: Collection[str]) -> None:
        self.url = ""
        self.met: Counter[str] = Counter()
        """Path -> calls that were spoiled."""
        self._target = target
        self._fault = FAULTS[fault]
        self._times = times
        self._spared = spared
        self._over = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any call."""
        body = await request.read()
        end = next((end for end in SPOILED if request.path.endswith(end)), None)
        if request.method != "POST" or end is None or end in self._spared or self.met[end] >= self._times:
            return await self.forward(request, body)
        self.met[end] += 1
        return await self._fault(self, request, body)

    async def forward(self, request: web.Request, body: bytes) -> web.Response:
        """What the target says. It sees the name this server was called by, so that its addresses lead here too."""
        headers = {k: v for k, v in request.headers.items() if k.lower() not in NOT_FORWARDED}
        headers["Host"] = request.headers["Host"]
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(request.method, self._target + request.path_qs, data=body, headers=headers) as answer,
        ):
            content = await answer.read()
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in NOT_FORWARDED}
            return web.Response(status=answer.status, body=content, headers=kept)

    async def never(self) -> web.Response:
        """Nothing until the test is over."""
        await self._over.wait()
        return web.Response(status=503)

    def end(self) -> None:
        """Let go of calls that wait."""
        self._over.set()


Fault = Callable[[Front, web.Request, bytes], Awaitable[web.StreamResponse]]


def refused(status: int) -> Fault:
    """The answer of a collector that is full: come back at once."""

    async def answer(front: Front, request: web.Request, body: bytes) -> web.StreamResponse:
        return web.json_response({"message": "full"}, status=status, headers={"Retry-After": "0"})

    return answer


async def cut(front: Front, request: web.Request, body: bytes) -> web.StreamResponse:
    """The connection ends where an answer should have been."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def unanswered(front: Front, request: web.Request, body: bytes) -> web.StreamResponse:
    """Carried out, but the sender waits for the answer until its time is up."""
    await front.forward(request, body)
    return await front.never()


FAULTS: dict[str, Fault] = {"429": refused(429), "503": refused(503), "cut": cut, "unanswered": unanswered}


@asynccontextmanager
async def front_of(target: str, fault: str, times: int, spared: Collection[str] = ()) -> AsyncIterator[Front]:
    """A front on a free port; `spared` are ends of paths that are never spoiled."""
    front = Front(target, fault, times, spared)
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", front.handle)
    runner = web.AppRunner(app, auto_decompress=False, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    front.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield front
    finally:
        front.end()
        await runner.cleanup()

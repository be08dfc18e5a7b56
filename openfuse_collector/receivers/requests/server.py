"""An HTTP server on the running loop: an address, middlewares and routes; bodies are read by the handlers, bounded."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Middleware

from openfuse_collector.config.types import Address
from openfuse_collector.listening import cannot_listen
from openfuse_collector.receivers.requests.body import Arriving

GRACE = 5.0
"""Seconds requests under way get at shutdown."""
KEEP_ALIVE = 3630.0
"""Seconds a connection may be idle: as aiohttp has it, longer than clients and proxies keep theirs."""

_READ_BUFFER = 256 * 1024


class HttpServer:
    """An aiohttp application with an address of its own."""

    def __init__(
        self,
        endpoint: Address,
        routes: Iterable[web.AbstractRouteDef],
        middlewares: Iterable[Middleware] = (),
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        keep_alive: float = KEEP_ALIVE,
    ) -> None:
        """`tls` makes the context when the server starts, and may raise CollectorError."""
        self.endpoint = endpoint
        self._tls = tls
        self._keep_alive = keep_alive
        self._app = web.Application(middlewares=tuple(middlewares))
        self._app.add_routes(routes)
        Arriving.of(self._app)
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port it listens on, also when the configuration left the choice to the system."""
        assert self._runner is not None
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Listen. Raises CollectorError when the address cannot be had."""
        context = None if self._tls is None else self._tls()
        self._runner = web.AppRunner(
            self._app,
            access_log=None,
            auto_decompress=False,  # it would inflate without a bound
            read_bufsize=_READ_BUFFER,
            keepalive_timeout=self._keep_alive,
            shutdown_timeout=GRACE,
        )
        await self._runner.setup()
        endpoint = self.endpoint
        try:
            await web.TCPSite(self._runner, endpoint.host, endpoint.port, ssl_context=context).start()
        except OSError as error:
            await self.stop()
            raise cannot_listen(endpoint, error) from error

    async def stop(self) -> None:
        """Stop listening, let requests under way finish. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

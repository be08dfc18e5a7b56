"""The HTTP server of the receiver: an address, TLS, CORS, and whatever routes it is given."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Middleware

from openfuse_collector.listening import cannot_listen
from openfuse_collector.receivers.otlp.body import Arriving
from openfuse_collector.receivers.otlp.config import HttpConfig
from openfuse_collector.receivers.otlp.cors import cors_middleware
from openfuse_collector.receivers.otlp.routes import status_bodies
from openfuse_collector.receivers.otlp.tls import ssl_context

GRACE = 5.0
"""Seconds requests under way get at shutdown."""

_READ_BUFFER = 256 * 1024


class HttpServer:
    """An aiohttp application on the running loop."""

    def __init__(self, config: HttpConfig, routes: Iterable[web.AbstractRouteDef]) -> None:
        self._config = config
        middlewares: list[Middleware] = [cors_middleware(config.cors)] if config.cors else []
        self._app = web.Application(middlewares=[*middlewares, status_bodies])
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
        config = self._config
        tls = ssl_context(config.tls) if config.tls else None
        self._runner = web.AppRunner(
            self._app,
            access_log=None,
            auto_decompress=False,  # it would inflate without a bound
            read_bufsize=_READ_BUFFER,
            keepalive_timeout=config.idle_timeout,
            shutdown_timeout=GRACE,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, config.endpoint.host, config.endpoint.port, ssl_context=tls).start()
        except OSError as error:
            raise cannot_listen(config.endpoint, error) from error

    async def stop(self) -> None:
        """Stop listening, let requests under way finish."""
        if self._runner is not None:
            await self._runner.cleanup()

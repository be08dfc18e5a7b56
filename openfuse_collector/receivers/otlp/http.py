"""OTLP/HTTP as a server of its own: an address, TLS, CORS, and whatever routes it is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Middleware

from openfuse_collector.receivers.otlp.config import HttpConfig
from openfuse_collector.receivers.otlp.cors import cors_middleware
from openfuse_collector.receivers.otlp.routes import status_bodies
from openfuse_collector.receivers.otlp.tls import ssl_context
from openfuse_collector.receivers.requests.server import HttpServer


def http_server(
    config: HttpConfig, routes: Iterable[web.AbstractRouteDef], guests: Sequence[web.RouteDef] = ()
) -> HttpServer:
    """The server of a configuration, not started yet; `guests` are routes of other receivers, with CORS of their own."""
    middlewares: list[Middleware] = [cors_middleware(config.cors, guests)] if config.cors else []
    return HttpServer(
        config.endpoint,
        [*routes, *guests],
        [*middlewares, status_bodies],
        tls=partial(ssl_context, config.tls) if config.tls else None,
        keep_alive=config.idle_timeout,
    )

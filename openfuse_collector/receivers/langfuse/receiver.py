"""The `langfuse` receiver: the API, and a server of its own where the configuration wants one."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from openfuse_collector.component import Intake, Settings
from openfuse_collector.errors import CollectorError
from openfuse_collector.listening import tell_listening
from openfuse_collector.receivers.langfuse import METRICS
from openfuse_collector.receivers.langfuse.answers import reply
from openfuse_collector.receivers.langfuse.api import LangfuseApi
from openfuse_collector.receivers.langfuse.config import LangfuseConfig
from openfuse_collector.receivers.langfuse.routes import langfuse_routes
from openfuse_collector.receivers.requests.server import GRACE, HttpServer

DRAIN = 2.0
"""Seconds appends whose client has left get at shutdown."""


class LangfuseReceiver:
    """One configured receiver. Where it has no endpoint, it is a guest on the port of OTLP/HTTP."""

    def __init__(self, settings: Settings, config: LangfuseConfig, intake: Intake) -> None:
        self._settings = settings
        self._api = LangfuseApi(settings, config, intake)
        self._server: HttpServer | None = None
        if config.endpoint is None:
            settings.http_port.offer(self.routes())
        else:
            self._server = HttpServer(config.endpoint, self.routes(), [_unknown_paths])
        name = "openfuse_receiver_in_flight_bytes"
        gauge = settings.metrics.gauge(name, METRICS[name], ("receiver",))
        gauge.labels(str(settings.id)).set_function(lambda: self._api.in_flight.used)

    def routes(self) -> list[web.RouteDef]:
        """The paths of the API, for any aiohttp application made with `auto_decompress=False`."""
        return langfuse_routes(self._api)

    @property
    def port(self) -> int:
        """The port of the receiver's own server, also when the configuration left the choice to the system."""
        assert self._server is not None
        return self._server.port

    async def start(self) -> None:
        """Listen, where there is an endpoint. Raises CollectorError when the address cannot be had."""
        if self._server is None:
            return
        try:
            await self._server.start()
        except CollectorError as error:
            raise CollectorError(f"receivers::{self._settings.id}: {error}") from error
        tell_listening(self._settings.log, "http", self._server.endpoint)

    async def shutdown(self) -> None:
        """Stop listening, let requests under way finish within a few seconds."""
        self._api.stopping = True
        if self._server is not None:
            await self._server.stop()
        # A guest's calls are ended, after GRACE, by the server they came through.
        await self._api.in_flight.drain(GRACE + DRAIN)
        await self._api.appends.drain(DRAIN)
        self._api.threads.shutdown(wait=False)


@web.middleware
async def _unknown_paths(request: web.Request, handler: Handler) -> web.StreamResponse:
    """SDKs expect JSON, also where there is nothing."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        body = {"error": "LangfuseNotFoundError", "message": f"There is nothing at {request.path}"}
        return reply(body, HTTPStatus.NOT_FOUND)

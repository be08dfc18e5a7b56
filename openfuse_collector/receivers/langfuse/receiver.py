"""The `langfuse` receiver: the API, and a server of its own where the configuration wants one."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from openfuse_collector.component import Intake, Settings
from openfuse_collector.config.types import Address
from openfuse_collector.errors import CollectorError
from openfuse_collector.listening import cannot_listen
from openfuse_collector.receivers.langfuse import METRICS
from openfuse_collector.receivers.langfuse.answers import reply
from openfuse_collector.receivers.langfuse.api import LangfuseApi
from openfuse_collector.receivers.langfuse.config import LangfuseConfig
from openfuse_collector.receivers.langfuse.routes import langfuse_routes
from openfuse_collector.receivers.otlp.body import Arriving

GRACE = 5.0
"""Seconds requests under way get at shutdown."""
DRAIN = 2.0
"""Seconds appends whose client has left get at shutdown."""
_READ_BUFFER = 256 * 1024


class LangfuseReceiver:
    """One configured receiver. Where it has no endpoint, it is a guest on the port of OTLP/HTTP."""

    def __init__(self, settings: Settings, config: LangfuseConfig, intake: Intake) -> None:
        self._settings = settings
        self._endpoint = config.endpoint
        self._api = LangfuseApi(settings, config, intake)
        self._runner: web.AppRunner | None = None
        if config.endpoint is None:
            settings.http_port.offer(self.routes())
        name = "openfuse_receiver_in_flight_bytes"
        gauge = settings.metrics.gauge(name, METRICS[name], ("receiver",))
        gauge.labels(str(settings.id)).set_function(lambda: self._api.in_flight.used)

    def routes(self) -> list[web.RouteDef]:
        """The paths of the API, for any aiohttp application made with `auto_decompress=False`."""
        return langfuse_routes(self._api)

    @property
    def port(self) -> int:
        """The port of the receiver's own server, also when the configuration left the choice to the system."""
        assert self._runner is not None
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Listen, where there is an endpoint. Raises CollectorError when the address cannot be had."""
        if self._endpoint is not None:
            await self._listen(self._endpoint)

    async def shutdown(self) -> None:
        """Stop listening, let requests under way finish within a few seconds."""
        self._api.stopping = True
        if self._runner is not None:
            await self._runner.cleanup()
        await self._api.keeper.drain(DRAIN)
        self._api.threads.shutdown(wait=False)

    async def _listen(self, endpoint: Address) -> None:
        app = web.Application(middlewares=[_unknown_paths])
        app.add_routes(self.routes())
        Arriving.of(app)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # it would inflate without a bound
            read_bufsize=_READ_BUFFER,
            shutdown_timeout=GRACE,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, endpoint.host, endpoint.port).start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise CollectorError(f"receivers::{self._settings.id}: {cannot_listen(endpoint, error)}") from error
        self._settings.log.info("listening", transport="http", endpoint=str(endpoint))


@web.middleware
async def _unknown_paths(request: web.Request, handler: Handler) -> web.StreamResponse:
    """SDKs expect JSON, also where there is nothing."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        body = {"error": "LangfuseNotFoundError", "message": f"There is nothing at {request.path}"}
        return reply(body, HTTPStatus.NOT_FOUND)

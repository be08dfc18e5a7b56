"""The `otlp` receiver: up to two servers over one way into the journal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from openfuse_collector.component import Intake, Settings
from openfuse_collector.config.types import Address
from openfuse_collector.errors import CollectorError
from openfuse_collector.listening import tell_listening
from openfuse_collector.receivers.otlp import METRICS
from openfuse_collector.receivers.otlp.config import OtlpConfig
from openfuse_collector.receivers.otlp.ingest import Ingest, Shared

if TYPE_CHECKING:
    from openfuse_collector.receivers.otlp.grpc import GrpcServer
    from openfuse_collector.receivers.requests.server import HttpServer


DRAIN = 2.0
"""Seconds requests whose client has left get at shutdown to reach the journal."""


class OtlpReceiver:
    """One configured receiver. Lives on the event loop it is started on."""

    def __init__(self, settings: Settings, config: OtlpConfig, intake: Intake) -> None:
        self._settings = settings
        self._config = config
        self._shared = Shared(settings, intake, config.max_in_flight)
        self._servers: dict[str, GrpcServer | HttpServer] = {}
        gauge = settings.metrics.gauge(
            "openfuse_receiver_in_flight_bytes", METRICS["openfuse_receiver_in_flight_bytes"], ("receiver",)
        )
        gauge.labels(str(settings.id)).set_function(lambda: self._shared.in_flight.used)

    @property
    def ports(self) -> dict[str, int]:
        """Protocol -> port, of the servers that are running."""
        return {protocol: server.port for protocol, server in self._servers.items()}

    async def start(self) -> None:
        """Listen on every configured protocol. Raises CollectorError when one address cannot be had."""
        for protocol, (server, endpoint) in self._make().items():
            try:
                await server.start()
            except CollectorError as error:
                await server.stop()
                raise CollectorError(f"receivers::{self._settings.id}::protocols::{protocol}: {error}") from error
            self._servers[protocol] = server
            tell_listening(self._settings.log, protocol, endpoint)

    async def shutdown(self) -> None:
        """Stop listening, let requests under way finish within a few seconds."""
        servers, self._servers = self._servers, {}
        await asyncio.gather(*(server.stop() for server in servers.values()))
        await self._shared.drain(DRAIN)

    def _make(self) -> dict[str, tuple[GrpcServer | HttpServer, Address]]:
        """The servers of the configured protocols. Their libraries are imported only now: they are what makes a start slow."""
        made: dict[str, tuple[GrpcServer | HttpServer, Address]] = {}
        protocols = self._config.protocols
        if protocols.grpc is not None:
            from openfuse_collector.receivers.otlp.grpc import GrpcServer

            made["grpc"] = GrpcServer(protocols.grpc, Ingest(self._shared, "grpc")), protocols.grpc.endpoint
        if protocols.http is not None:
            from openfuse_collector.receivers.otlp.http import http_server
            from openfuse_collector.receivers.otlp.routes import otlp_routes

            routes = otlp_routes(Ingest(self._shared, "http"), protocols.http)
            guests = self._settings.http_port.take()
            made["http"] = http_server(protocols.http, routes, guests), protocols.http.endpoint
        return made

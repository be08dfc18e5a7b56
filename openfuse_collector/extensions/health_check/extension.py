"""Answers 200 while the collector takes data and 503 before that and during shutdown."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from aiohttp import web

from openfuse_collector.component import Settings
from openfuse_collector.errors import CollectorError
from openfuse_collector.extensions.health_check.config import HealthCheckConfig


class HealthCheck:
    """A small HTTP server on the event loop: an answer also proves that the loop is alive."""

    def __init__(self, settings: Settings, config: HealthCheckConfig) -> None:
        self._settings = settings
        self._config = config
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises CollectorError when the address cannot be had."""
        app = web.Application()
        app.router.add_get(self._config.path, self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        endpoint = self._config.endpoint
        try:
            await web.TCPSite(self._runner, endpoint.host, endpoint.port).start()
        except OSError as error:
            raise CollectorError(
                f"extensions::{self._settings.id}: cannot listen on {endpoint}: {error.strerror}"
            ) from error

    async def shutdown(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        health = self._settings.health
        status = 200 if health.ready else 503
        if self._config.response_body:
            return web.Response(text=self._config.response_body, status=status)
        body = {
            "status": "Server available" if health.ready else "Server not available",
            "upSince": datetime.fromtimestamp(health.since, UTC).isoformat(),
            "uptime": f"{time.time() - health.since:.3f}s",
        }
        return web.json_response(body, status=status)

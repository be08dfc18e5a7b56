"""Answers 200 while the collector takes data, 503 before that, during shutdown and while the journal refuses; tells its state."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from aiohttp import web

from openfuse_collector.component import Settings
from openfuse_collector.errors import CollectorError
from openfuse_collector.extensions.health_check.config import HealthCheckConfig
from openfuse_collector.listening import cannot_listen

GRACE = 0.5
"""Seconds a question under way gets at shutdown, and a body nobody asked for: the answer takes none."""


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
        if self._config.status_path:
            app.router.add_get(self._config.status_path, self._status)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE, lingering_time=GRACE)
        await self._runner.setup()
        endpoint = self._config.endpoint
        try:
            await web.TCPSite(self._runner, endpoint.host, endpoint.port).start()
        except OSError as error:
            raise CollectorError(f"extensions::{self._settings.id}: {cannot_listen(endpoint, error)}") from error

    async def shutdown(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        health, reason = self._settings.health, self._reason()
        well = health.ready and reason is None
        status = 200 if well else 503
        if self._config.response_body:
            return web.Response(text=self._config.response_body, status=status)
        body = {
            "status": "Server available" if well else "Server not available",
            "upSince": datetime.fromtimestamp(health.since, UTC).isoformat(),
            "uptime": f"{time.time() - health.since:.3f}s",
            **({"reason": reason} if reason else {}),
        }
        return web.json_response(body, status=status)

    async def _status(self, request: web.Request) -> web.Response:
        """200 whatever the state: it is for people and dashboards, the health path is for load balancers."""
        return web.json_response(self._settings.health.status())

    def _reason(self) -> str | None:
        """Why nothing is taken, once that has lasted longer than `grace`."""
        trouble = self._settings.health.trouble()
        if trouble is None or time.time() - trouble[1] < self._config.grace:
            return None
        return trouble[0]

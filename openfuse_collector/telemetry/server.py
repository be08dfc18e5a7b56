"""Serves `/metrics` from a thread of its own, so that a scrape works even when the event loop is busy."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server

from openfuse_collector.config.types import Address
from openfuse_collector.telemetry.metrics import Metrics
from openfuse_collector.telemetry.process import ProcessFigures


def serve_metrics(metrics: Metrics, address: Address) -> Callable[[], None]:
    """Start serving and return what stops it. Raises OSError when the address cannot be had."""
    metrics.registry.register(ProcessFigures())
    server: WSGIServer
    thread: Thread
    server, thread = start_http_server(address.port, addr=address.host, registry=metrics.registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(5)

    return stop

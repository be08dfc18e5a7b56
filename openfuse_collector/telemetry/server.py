"""Serves `/metrics` from threads of its own, so that a scrape works even when the event loop is busy."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

from openfuse_collector.config.types import Address
from openfuse_collector.telemetry.metrics import Metrics
from openfuse_collector.telemetry.process import ProcessFigures

MOST_CONNECTIONS = 32
"""Each has a thread; one more is closed at once."""
PATIENCE = 10.0
"""Seconds a client may say nothing, or take nothing."""


def serve_metrics(metrics: Metrics, address: Address) -> Callable[[], None]:
    """Start serving and return what stops it. Raises OSError when the address cannot be had."""
    metrics.registry.register(ProcessFigures())
    server = _Server(address)
    server.set_app(make_wsgi_app(metrics.registry))
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(5)

    return stop


class _Handler(WSGIRequestHandler):
    """One request of one connection, not logged."""

    timeout = PATIENCE

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread per connection, and no more connections than there may be."""

    daemon_threads = True

    def __init__(self, address: Address) -> None:
        infos = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, _, _, _, where = infos[0]
        self._free = BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__((str(where[0]), address.port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """On a thread, or not at all."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The whole connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves, or says nothing, is nobody's concern: load balancers look for a port in this way."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

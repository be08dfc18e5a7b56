"""The collector's telemetry of itself."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

import pytest
import structlog

from openfuse_collector.config.types import Address
from openfuse_collector.telemetry import server
from openfuse_collector.telemetry.logs import configure_logs
from openfuse_collector.telemetry.loop import watch_loop
from openfuse_collector.telemetry.metrics import Metrics
from openfuse_collector.telemetry.server import MOST_CONNECTIONS, serve_metrics
from tests.builders import free_address, metric
from tests.collector_process import wait_until

LIMIT = 60.0
"""Seconds after which a test that sees nothing happen fails."""


def test_metrics_are_served_until_stopped() -> None:
    metrics, address = Metrics(), free_address()
    metrics.counter("openfuse_things", "Things.", ["kind"]).labels("good").inc(3)
    stop = serve_metrics(metrics, address)
    text = urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode()
    stop()
    assert 'openfuse_things_total{kind="good"} 3.0' in text
    assert "otelcol_process_memory_rss" in text
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://{address}/metrics", timeout=1)


def test_clients_that_break_off_leave_no_trace_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """As load balancers do that look whether a port is open."""
    metrics, address = Metrics(), free_address()
    stop = serve_metrics(metrics, address)
    before = threading.active_count()
    for sent in (b"", b"GET /metrics HTTP/1.1\r\n"):
        with socket.create_connection((address.host, address.port)) as client:
            client.sendall(sent)
            wait_until(lambda: threading.active_count() > before, lambda: "nobody takes the connection", LIMIT)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close resets
        wait_until(lambda: threading.active_count() == before, lambda: "the connection is not given up", LIMIT)
    stop()
    assert capfd.readouterr().err == ""


def test_a_client_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._Handler, "timeout", 0.01)
    address = free_address()
    stop = serve_metrics(Metrics(), address)
    with socket.create_connection((address.host, address.port), timeout=LIMIT) as client:
        assert client.recv(1) == b""
    stop()


def test_no_more_connections_are_held_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._Handler, "timeout", LIMIT)
    metrics, address = Metrics(), free_address()
    stop = serve_metrics(metrics, address)
    before = threading.active_count()
    with ExitStack() as held:
        for _ in range(2 * MOST_CONNECTIONS):
            last = held.enter_context(socket.create_connection((address.host, address.port), timeout=LIMIT))
        assert last.recv(1) == b""  # closed at once
        assert threading.active_count() - before == MOST_CONNECTIONS
    wait_until(lambda: threading.active_count() == before, lambda: "connections are not given up", LIMIT)
    assert b"otelcol_process" in urllib.request.urlopen(f"http://{address}/metrics", timeout=LIMIT).read()
    stop()


def test_one_name_is_one_metric() -> None:
    metrics = Metrics()
    assert metrics.counter("a", "A.") is metrics.counter("a", "A.")


def test_one_name_is_one_metric_whoever_asks_first() -> None:
    """Exporters make theirs on their own threads, when the first batch is through."""
    metrics, together = Metrics(), Barrier(8)

    def asked(_: int) -> list[int]:
        together.wait()
        return [id(metrics.counter(f"a{number}", "A.")) for number in range(1000)]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(asked, range(8)))
    finally:
        sys.setswitchinterval(before)
    assert all(answer == answers[0] for answer in answers)


def test_a_busy_address_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError):
            serve_metrics(Metrics(), Address(f"127.0.0.1:{taken.getsockname()[1]}"))


async def test_a_blocked_loop_is_seen() -> None:
    metrics = Metrics()
    watch = asyncio.create_task(watch_loop(metrics))
    await asyncio.sleep(0)
    time.sleep(0.3)
    while not metric(metrics, "openfuse_event_loop_stall_seconds_count"):
        await asyncio.sleep(0.005)
    watch.cancel()
    assert metric(metrics, "openfuse_event_loop_stall_seconds_sum") > 0.2


@pytest.fixture
def structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("structlog_as_it_was")
def test_json_logs_are_one_object_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    log = configure_logs("info", "json")
    log.debug("hidden")
    log.info("shown", spans=3)
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "shown"
    assert json.loads(line)["spans"] == 3

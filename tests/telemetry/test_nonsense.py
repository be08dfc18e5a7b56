"""Requests that cannot be parsed: one line a minute and kind, with a guess at what the sender has wrong."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import grpc
import pytest
from aiohttp.http_exceptions import BadHttpMessage, BadStatusLine

from openfuse_collector.telemetry.limited import EVERY
from openfuse_collector.telemetry.nonsense import NoNonsense
from tests.collector_process import CollectorProcess

GRPC = "Pause on PRI/Upgrade:\n\n  b'\\x00\\x00'"


def record(error: Exception | None) -> logging.LogRecord:
    given = (type(error), error, None) if error else None
    return logging.LogRecord("aiohttp.server", logging.ERROR, "", 1, "Error handling %s", ("it",), given)  # type: ignore[arg-type]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_line_of_a_kind_per_minute() -> None:
    clock = Clock()
    nonsense = NoNonsense(clock=clock)
    first, second = record(BadHttpMessage(GRPC)), record(BadHttpMessage(GRPC))
    assert (nonsense.filter(first), nonsense.filter(second)) == (True, False)
    assert "give the sender the gRPC endpoint" in first.getMessage()
    assert (first.levelno, first.exc_info) == (logging.WARNING, None)
    other = record(BadStatusLine("HTTP/9.9"))
    assert nonsense.filter(other), "another kind"
    assert "HTTP/9.9" in other.getMessage()
    clock.now = EVERY
    later = record(BadHttpMessage(GRPC))
    assert nonsense.filter(later)
    assert later.getMessage().endswith("(and 1 more like this since the last line)")


def test_clients_that_left_are_told_in_one_line() -> None:
    nonsense = NoNonsense()
    first, second = record(ConnectionResetError("Connection lost")), record(ConnectionResetError("Cannot write"))
    assert (nonsense.filter(first), nonsense.filter(second)) == (True, False)
    assert first.getMessage() == "Error handling it: the client left before it was answered"
    assert (first.levelno, first.exc_info) == (logging.WARNING, None)
    ours = record(ConnectionRefusedError("a store"))
    ours.name = "urllib3"
    assert nonsense.filter(ours) and ours.exc_info


@pytest.mark.parametrize("error", [None, ValueError("a bug")])
def test_everything_else_is_left_as_it_is(error: Exception | None) -> None:
    nonsense = NoNonsense()
    for _ in range(3):
        one = record(error)
        assert nonsense.filter(one)
        assert (one.getMessage(), one.levelno) == ("Error handling it", logging.ERROR)
        assert (one.exc_info is None) is (error is None)


def test_what_is_no_message_but_looks_like_a_percent_sign_is_written() -> None:
    one = record(BadHttpMessage("100% wrong"))
    assert NoNonsense().filter(one)
    assert "100% wrong" in one.getMessage()


def test_grpc_on_the_http_port_of_a_collector(start_collector: Callable[..., CollectorProcess]) -> None:
    collector = start_collector()
    for _ in range(3):
        with grpc.insecure_channel(f"localhost:{collector.http_port}") as channel:
            call = channel.unary_unary("/any.Service/Export", None, None)
            with pytest.raises(grpc.RpcError):
                call(b"", timeout=60)
    assert collector.stop() == 0
    assert collector.log.count("gRPC on an HTTP port") == 1, collector.log


@pytest.mark.parametrize("path", ["/v1/traces", "/api/public/ingestion"])
def test_clients_that_leave_a_collector_in_the_middle_of_a_body(
    start_collector: Callable[..., CollectorProcess], path: str
) -> None:
    collector = start_collector()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
    for _ in range(3):
        with socket.create_connection(("localhost", collector.http_port), timeout=60) as client:
            client.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 100 "), "its body is being read"
            client.sendall(b"{")
    assert collector.stop() == 0
    assert collector.log.count("the client left before it was answered") == 1, collector.log
    assert "Traceback" not in collector.log, collector.log

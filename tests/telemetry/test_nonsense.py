"""Requests that cannot be parsed: one line a minute and kind, with a guess at what the sender has wrong."""

from __future__ import annotations

import logging
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

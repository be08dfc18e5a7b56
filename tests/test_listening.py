"""Addresses that cannot be listened on: the sentence names the address, the cause and what helps."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import pytest
import structlog

from openfuse_collector.config.types import Address
from openfuse_collector.listening import cannot_listen, probe, tell_listening


@pytest.fixture
def busy() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Address(f"127.0.0.1:{server.getsockname()[1]}")


def test_a_busy_port_says_so_once(busy: Address) -> None:
    asyncio_says = OSError(errno.EADDRINUSE, f"error while attempting to bind on address ('127.0.0.1', {busy.port})")
    expected = (
        f"cannot listen on {busy}: {os.strerror(errno.EADDRINUSE)}; "
        "stop what listens there, another collector perhaps, or choose another port"
    )
    assert str(cannot_listen(busy, asyncio_says)) == expected
    assert str(cannot_listen(busy, None)) == expected, "gRPC gives no reason: it is found out"


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("192.0.2.1:4317", "choose an address of this machine; 0.0.0.0 is all of them"),  # RFC 5737: nobody's
        ("no-such-host.invalid:4317", "choose a host name or address of this machine"),  # RFC 6761: never resolves
    ],
)
def test_addresses_of_others(address: str, remedy: str) -> None:
    sentence = str(cannot_listen(Address(address), None))
    assert sentence.startswith(f"cannot listen on {address}: ")
    assert sentence.endswith(f"; {remedy}")


def test_a_cause_without_a_remedy_is_told_all_the_same() -> None:
    error = OSError(errno.EMFILE, "whatever")
    assert str(cannot_listen(Address("localhost:1"), error)) == (
        f"cannot listen on localhost:1: {os.strerror(errno.EMFILE)}"
    )


def test_an_address_that_is_free(busy: Address) -> None:
    assert isinstance(probe(busy), OSError)
    assert probe(Address("127.0.0.1:0")) is None
    assert "start again" in str(cannot_listen(Address("127.0.0.1:0"), None))


@pytest.mark.parametrize(("address", "warned"), [("0.0.0.0:4318", True), (":4318", True), ("127.0.0.1:4318", False)])
def test_an_open_door_is_warned_of(address: str, warned: bool) -> None:
    with structlog.testing.capture_logs() as lines:
        tell_listening(structlog.get_logger(), "http", Address(address))
    assert [line["log_level"] for line in lines] == ["info", *(["warning"] if warned else [])]

"""Clients that behave badly, by accident or not: many, slow, half-closed, gone before the answer."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from tests.collector_process import CollectorProcess, wait_until
from tests.faults.fault_kit import PATIENCE, Client, Request, Rows, check, post, wait_stored

Start = Callable[..., CollectorProcess]
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"


def head(length: int) -> bytes:
    """The head of an OTLP/HTTP request."""
    lines = (
        "POST /v1/traces HTTP/1.1",
        "Host: collector",
        "Content-Type: application/x-protobuf",
        f"Content-Length: {length}",
    )
    return "\r\n".join((*lines, "", "")).encode()


@contextmanager
def connections(port: int, count: int, first: bytes = b"") -> Iterator[list[socket.socket]]:
    """That many open connections, on each of which `first` was sent."""
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)))
            made[-1].sendall(first)
        yield made


@pytest.mark.parametrize("count", [500, pytest.param(4000, marks=pytest.mark.long)])
def test_thousands_of_connections(count: int, start_collector: Start, requests: list[Request], clean: Rows) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * count + 200:
        pytest.skip(f"SKIPPED: {count} connections need more open files than the limit of {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * count + 200), hard))
    collector = start_collector()
    client = Client(collector)
    with connections(collector.http_port, count // 2), connections(collector.grpc_port, count // 2, HTTP2_PREFACE):
        client.send(requests)
    assert not client.unanswered
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)


def test_slow_loris_bodies(start_collector: Start, requests: list[Request], clean: Rows) -> None:
    """Half-sent requests hold up nobody else, and are told to come back after a while."""
    collector = start_collector(sets={"receivers.otlp.protocols.http.read_timeout": "2s"})
    client = Client(collector)
    body = requests[0].body
    with connections(collector.http_port, 200, head(len(body)) + body[: len(body) // 2]) as slow:
        client.send(requests)
        assert not client.unanswered
        answers = [connection.recv(4096) for connection in slow]
    assert all(answer == b"" or b" 503 " in answer.splitlines()[0] for answer in answers)
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)


def test_clients_that_leave_before_the_answer(start_collector: Start, requests: list[Request], clean: Rows) -> None:
    """What they sent may be stored or not; a resend makes it once either way."""
    collector = start_collector()
    for request in requests:
        with connections(collector.http_port, 1, head(len(request.body)) + request.body):
            pass
    client = Client(collector)
    client.send(requests)
    assert not client.unanswered
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)


def test_grpc_streams_that_are_cut(start_collector: Start, requests: list[Request], clean: Rows) -> None:
    """Calls cancelled under way, and connections half closed in the middle of a frame."""
    collector = start_collector()
    with grpc.insecure_channel(f"127.0.0.1:{collector.grpc_port}") as channel:
        export = TraceServiceStub(channel).Export
        for request in requests:
            export.future(ExportTraceServiceRequest.FromString(request.body)).cancel()
    with connections(collector.grpc_port, 50, HTTP2_PREFACE + b"\0\xff\xff\0\0") as cut:
        for connection in cut:
            connection.shutdown(socket.SHUT_WR)
        with grpc.insecure_channel(f"127.0.0.1:{collector.grpc_port}") as channel:
            for request in requests:
                TraceServiceStub(channel).Export(ExportTraceServiceRequest.FromString(request.body), timeout=60)
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)


def test_nonsense_on_the_ports(start_collector: Start, requests: list[Request]) -> None:
    collector = start_collector()
    for port in (collector.http_port, collector.grpc_port):
        for nonsense in (
            b"\0" * 1000,
            b"GET / HTTP/9.9\r\n\r\n",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc",
            b"POST " + b"x" * 100_000,
        ):
            with connections(port, 1, nonsense):
                pass
    wait_until(lambda: post(collector.http_port, requests[0].body) == 200, lambda: collector.log, PATIENCE)
    assert "Traceback" not in collector.log
    assert collector.stop() == 0

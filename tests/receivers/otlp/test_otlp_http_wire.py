"""HTTP/1.1 as it comes over the wire: keep-alive, chunks, Expect, early ends; and browsers."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from google.rpc.code_pb2 import Code
from otlp_harness import ANYWHERE, COMPRESS, JSON, PROTOBUF, Running, Start, as_json, export, read_answer, send_http

from openfuse_collector.receivers.otlp.config import CorsConfig, HttpConfig

LIMIT = 30
"""Seconds after which a test that hears nothing fails."""


class Raw(NamedTuple):
    """A connection to write bytes to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(LIMIT):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        return int(lines[0].split()[1]), {key: value for key, _, value in (line.partition(": ") for line in lines[1:])}

    async def answer(self) -> tuple[int, bytes, dict[str, str]]:
        status, headers = await self.head()
        async with asyncio.timeout(LIMIT):
            return status, await self.reader.readexactly(int(headers["Content-Length"])), headers


async def connect(running: Running) -> Raw:
    return Raw(*await asyncio.open_connection("127.0.0.1", running.receiver.ports["http"]))


def head(*lines: str, kind: str = PROTOBUF) -> bytes:
    return "\r\n".join(["POST /v1/traces HTTP/1.1", "Host: x", f"Content-Type: {kind}", *lines, "", ""]).encode()


async def test_a_number_past_every_double_costs_nobody_the_request(running: Running) -> None:
    absurd = [{"key": "k", "value": {"intValue": "9" * 400}}]
    spans = [
        {"traceId": "1" * 32, "spanId": f"{number:016x}", "name": "n", "attributes": absurd if number == 1 else []}
        for number in (1, 2)
    ]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    answer = await send_http(f"{running.http}/v1/traces", body, {"Content-Type": JSON})
    assert answer.http == 200
    assert [kept.items for kept in running.intake.kept] == [2]


async def test_keep_alive_serves_request_after_request(running: Running) -> None:
    raw = await connect(running)
    for number in range(1, 6):
        body = export(number).SerializeToString()
        raw.writer.write(head(f"Content-Length: {len(body)}") + body)
        assert (await raw.answer())[0] == 200
    bad = b"\xff"
    raw.writer.write(head("Content-Length: 1") + bad)
    assert (await raw.answer())[0] == 400
    body = export().SerializeToString()
    raw.writer.write(head(f"Content-Length: {len(body)}") + body)
    assert (await raw.answer())[0] == 200
    raw.writer.close()
    assert [kept.items for kept in running.intake.kept] == [1, 2, 3, 4, 5, 3]


async def test_pipelined_requests_are_answered_in_order(running: Running) -> None:
    raw = await connect(running)
    bodies = [export(1).SerializeToString(), b"\xff", export(2).SerializeToString()]
    raw.writer.write(b"".join(head(f"Content-Length: {len(body)}") + body for body in bodies))
    assert [(await raw.answer())[0] for _ in bodies] == [200, 400, 200]
    raw.writer.close()


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize("coding", COMPRESS)
async def test_chunked_bodies(kind: str, coding: str, running: Running) -> None:
    content_encoding, compress = COMPRESS[coding]
    request = export(spans=20, padding=500)
    body = compress(as_json(request) if kind == JSON else request.SerializeToString())

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 97):
            yield body[start : start + 97]

    headers = {"Content-Type": kind, **({"Content-Encoding": content_encoding} if content_encoding else {})}
    assert (await send_http(running.http + "/v1/traces", chunks(), headers)).ok
    assert running.intake.kept[0].data == request


async def test_a_chunked_body_over_the_limit(start: Start) -> None:
    running = await start(http=HttpConfig(ANYWHERE, max_request_body_size=1000))  # type: ignore[arg-type]

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield bytes(300)

    answer = await send_http(running.http + "/v1/traces", chunks(), {"Content-Type": PROTOBUF})
    assert (answer.http, answer.code) == (413, Code.RESOURCE_EXHAUSTED)


async def test_a_broken_chunk_is_a_bad_request(running: Running) -> None:
    raw = await connect(running)
    raw.writer.write(head("Transfer-Encoding: chunked") + b"5\r\nhello\r\nZZ\r\n")
    assert (await raw.head())[0] == 400
    raw.writer.close()
    assert running.intake.kept == []


async def test_a_client_that_waits_for_100_continue(running: Running) -> None:
    raw = await connect(running)
    body = export().SerializeToString()
    for _ in range(2):
        raw.writer.write(head(f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert (await raw.head())[0] == 100
        raw.writer.write(body)
        assert (await raw.answer())[0] == 200
    raw.writer.close()


async def test_nobody_is_told_to_continue_with_what_will_be_refused(start: Start) -> None:
    running = await start(http=HttpConfig(ANYWHERE, max_request_body_size=1000))  # type: ignore[arg-type]
    raw = await connect(running)
    raw.writer.write(head("Content-Length: 1001", "Expect: 100-continue", kind=JSON))
    status, body, headers = await raw.answer()
    assert read_answer(status, body, headers).code == Code.RESOURCE_EXHAUSTED and status == 413
    raw.writer.close()


async def test_a_client_that_leaves_within_a_body_leaves_nothing_behind(running: Running) -> None:
    raw = await connect(running)
    raw.writer.write(head("Content-Length: 100") + b"half")
    await raw.writer.drain()
    raw.writer.close()
    await raw.writer.wait_closed()
    assert (await send_http(running.http + "/v1/traces", b"", {"Content-Type": PROTOBUF})).ok
    assert running.intake.kept == []


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_large_bodies_go_through_threads(kind: str, running: Running) -> None:
    request = export(spans=40, padding=100_000)
    body = as_json(request) if kind == JSON else request.SerializeToString()
    headers = {"Content-Type": kind}
    assert (await send_http(running.http + "/v1/traces", body, headers)).ok
    headers["Content-Encoding"] = "gzip"
    assert (await send_http(running.http + "/v1/traces", gzip.compress(body, 1), headers)).ok
    assert [kept.data for kept in running.intake.kept] == [request, request]


ORIGINS = CorsConfig(
    allowed_origins=("https://app.example.com", "https://*.dev.example.com"),
    allowed_headers=("Authorization",),
    exposed_headers=("X-Seen",),
    max_age=600,
)


@pytest.mark.parametrize(
    ("origin", "wanted", "allowed"),
    [
        ("https://app.example.com", "content-type", True),
        ("https://app.example.com", "Content-Type, authorization, x-requested-with", True),
        ("https://app.example.com", "", True),
        ("https://pr-12.dev.example.com", "content-type", True),
        ("https://APP.example.com", "content-type", True),
        ("https://app.example.com", "x-secret", False),
        ("https://app.example.com.evil.org", "content-type", False),
        ("https://evil.org", "content-type", False),
        ("http://app.example.com", "content-type", False),
    ],
)
async def test_preflight(origin: str, wanted: str, allowed: bool, start: Start) -> None:
    running = await start(http=HttpConfig(ANYWHERE, cors=ORIGINS))
    raw = await connect(running)
    lines = ["OPTIONS /v1/traces HTTP/1.1", "Host: x", f"Origin: {origin}", "Access-Control-Request-Method: POST"]
    lines += [f"Access-Control-Request-Headers: {wanted}"] if wanted else []
    raw.writer.write("\r\n".join([*lines, "", ""]).encode())
    status, headers = await raw.head()
    raw.writer.close()
    assert status == 204 and headers["Vary"] == "Origin"
    assert headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
    if allowed:
        assert headers["Access-Control-Allow-Methods"] == "POST" and headers["Access-Control-Max-Age"] == "600"
        assert headers["Access-Control-Allow-Credentials"] == "true"


async def test_answers_to_browsers_carry_cors_headers_errors_too(start: Start) -> None:
    running = await start(http=HttpConfig(ANYWHERE, cors=ORIGINS))
    headers = {"Content-Type": JSON, "Origin": "https://app.example.com"}
    for path, body, http in (("/v1/traces", b"{}", 200), ("/v1/traces", b"{", 400), ("/nothing", b"", 404)):
        answer = await send_http(running.http + path, body, headers)
        assert answer.http == http
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
        assert answer.headers["Access-Control-Expose-Headers"] == "X-Seen"
    other = await send_http(running.http + "/v1/traces", b"{}", {**headers, "Origin": "https://evil.org"})
    assert other.ok and "Access-Control-Allow-Origin" not in other.headers


async def test_without_cors_a_preflight_is_just_a_wrong_method(running: Running) -> None:
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    answer = await send_http(running.http + "/v1/traces", b"", headers, "OPTIONS")
    assert answer.http == 405 and "Access-Control-Allow-Origin" not in answer.headers

"""OTLP/HTTP and the Langfuse API on one port: each keeps its own rules, and they stop together."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import NamedTuple

import aiohttp
import pytest

from openfuse_collector.config.types import Address
from openfuse_collector.journal.record import decode_origin, encode_origin
from openfuse_collector.receivers.langfuse import FACTORY as LANGFUSE
from openfuse_collector.receivers.langfuse.config import LangfuseConfig
from openfuse_collector.receivers.langfuse.receiver import LangfuseReceiver
from openfuse_collector.receivers.otlp import FACTORY as OTLP
from openfuse_collector.receivers.otlp.config import CorsConfig, HttpConfig, OtlpConfig, Protocols
from openfuse_collector.receivers.otlp.receiver import OtlpReceiver
from openfuse_collector.receivers.requests.body import INLINE_INFLATED, _inflating
from openfuse_collector.signals import Origin, Signal
from tests.builders import settings

APP, OTHER = "https://app.example.com", "https://shop.example.org"
CORS = CorsConfig(allowed_origins=(APP,))

LIMIT = 30
"""Seconds after which a test that hears nothing fails."""


class Intake:
    """Takes everything, and counts it."""

    signals = frozenset(Signal)

    def __init__(self) -> None:
        self.items = 0
        self.origins: list[Origin] = []

    async def accept(self, origin: Origin, payload: bytes, data: object, items: int) -> None:
        self.items += items
        self.origins.append(origin)


class Both(NamedTuple):
    """The two receivers behind one port."""

    otlp: OtlpReceiver
    langfuse: LangfuseReceiver
    intake: Intake

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.otlp.ports['http']}"


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    """Both receivers; OTLP lets pages of APP send, the Langfuse API those of every origin, which is its default."""
    host, intake = settings("otlp"), Intake()
    guest = replace(settings("langfuse", host.metrics), http_port=host.http_port)
    langfuse = LANGFUSE.create(guest, LangfuseConfig(), intake)
    otlp = OTLP.create(host, OtlpConfig(Protocols(http=HttpConfig(Address("127.0.0.1:0"), cors=CORS))), intake)
    await langfuse.start()
    await otlp.start()
    yield Both(otlp, langfuse, intake)
    await otlp.shutdown()
    await langfuse.shutdown()


LANGFUSE_PATHS = ["/api/public/ingestion", "/api/public/scores", "/api/public/prompts/anything"]
OTLP_PATHS = ["/v1/traces", "/api/public/otel/v1/traces", "/nothing"]


@pytest.mark.parametrize("origin", [APP, OTHER])
@pytest.mark.parametrize("path", LANGFUSE_PATHS + OTLP_PATHS)
async def test_preflights_are_answered_by_the_rules_of_the_path(path: str, origin: str, both: Both) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with (
        aiohttp.ClientSession() as session,
        session.options(both.url + path, headers=asked | {"Access-Control-Request-Headers": "content-type"}) as answer,
    ):
        headers = answer.headers
    assert answer.status == 204
    allowed = path in LANGFUSE_PATHS or origin == APP
    assert headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
    if allowed:
        assert headers["Access-Control-Allow-Headers"] == "content-type"
        assert ("Access-Control-Allow-Credentials" in headers) == (path in OTLP_PATHS)


async def test_a_browser_may_send_what_langfuse_lets_it_send(both: Both) -> None:
    """Credentials travel in `Authorization`, which OTLP's rules do not list."""
    asked = {"Origin": APP, "Access-Control-Request-Method": "POST"}
    wanted = "authorization,content-type"
    async with (
        aiohttp.ClientSession() as session,
        session.options(
            both.url + "/api/public/ingestion", headers=asked | {"Access-Control-Request-Headers": wanted}
        ) as answer,
    ):
        assert answer.headers["Access-Control-Allow-Headers"] == wanted
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("origin", [APP, OTHER])
@pytest.mark.parametrize("path", LANGFUSE_PATHS + OTLP_PATHS)
async def test_answers_carry_the_headers_of_their_path(path: str, origin: str, both: Both) -> None:
    headers = {"Origin": origin, "Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session, session.post(both.url + path, data=b"{}", headers=headers) as answer:
        allowed = path in LANGFUSE_PATHS or origin == APP
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
        credentials = "Access-Control-Allow-Credentials" in answer.headers
        assert credentials == (path in OTLP_PATHS and origin == APP)


SPAN = {"traceId": "1" * 32, "spanId": "1" * 16}
EXPORT = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}).encode()
BATCH = json.dumps(
    {"batch": [{"id": "e", "type": "trace-create", "timestamp": "2026-01-01T00:00:00Z", "body": {"id": "t"}}]}
).encode()
INGESTION = "/api/public/ingestion"


class RawAnswer(NamedTuple):
    """What came back over a connection of its own."""

    status: int
    kind: str
    body: bytes


async def post(both: Both, path: str, body: bytes, *headers: bytes) -> RawAnswer:
    """POST with header lines as they are: clients of HTTP refuse to send those that are not ASCII."""
    reader, writer = await asyncio.open_connection("127.0.0.1", both.otlp.ports["http"])
    lines = [f"POST {path} HTTP/1.1".encode(), b"Host: x", b"Content-Length: %d" % len(body), b"Connection: close"]
    writer.write(b"\r\n".join([*lines, *headers, b"", body]))
    async with asyncio.timeout(LIMIT):
        head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    [kind] = [line.partition(b": ")[2] for line in head.split(b"\r\n") if line.startswith(b"Content-Type: ")]
    return RawAnswer(int(head.split()[1]), kind.decode(), rest)


@pytest.mark.parametrize("header", [b"Authorization: Bearer M\xfcller", b"x-langfuse-sdk-name: caf\xe9"], ids=repr)
@pytest.mark.parametrize(("path", "body"), [("/v1/traces", EXPORT), (INGESTION, BATCH)])
async def test_headers_that_are_not_utf8_lose_no_data(header: bytes, path: str, body: bytes, both: Both) -> None:
    kind = b"Content-Type: application/json"
    secret = b"" if b"Bearer" in header or path == "/v1/traces" else b"Authorization: Basic cGs6c2s="
    answer = await post(both, path, body, kind, header, *filter(None, [secret]))
    assert answer.status in (200, 207) and both.intake.items == 1
    [origin] = both.intake.origins
    assert "�" in origin.public_key + origin.sdk_name
    assert decode_origin(encode_origin(origin)) == origin  # the first thing the journal does with it


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/traces", (b"Content-Type: text/\xff",), 415),
        ("/v1/traces", (b"Content-Type: application/json", b"Content-Encoding: \xff"), 400),
        (INGESTION, (b"Content-Type: application/json", b"Content-Encoding: \xff"), 400),
        ("/nothing", (b"Content-Type: text/\xff",), 404),
    ],
)
async def test_mistakes_that_are_not_utf8_are_named_like_others(
    path: str, headers: tuple[bytes, ...], status: int, both: Both, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await post(both, path, EXPORT, *headers)
    assert (answer.status, answer.kind) == (status, "application/json")
    assert json.loads(answer.body)["message"]
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_call_that_is_inflated_in_its_thread_is_stored_at_shutdown(both: Both) -> None:
    """Receivers stop side by side: the guest has nothing of its own to wait for, the port still finishes its calls."""
    event = {"type": "trace-create", "timestamp": "2026-01-01T00:00:00Z", "body": {"id": "t", "input": "x" * 50_000}}
    batch = json.dumps({"batch": [{**event, "id": f"e{number}"} for number in range(40)]}).encode()
    assert len(batch) > INLINE_INFLATED
    headers = (b"Content-Type: application/json", b"Content-Encoding: gzip")
    with _inflating:  # whoever inflates waits here
        call = asyncio.create_task(post(both, INGESTION, gzip.compress(batch, 1), *headers))
        async with asyncio.timeout(LIMIT):
            while not both.langfuse._api.threads._threads:
                await asyncio.sleep(0)
        langfuse = asyncio.create_task(both.langfuse.shutdown())
        otlp = asyncio.create_task(both.otlp.shutdown())
        async with asyncio.timeout(LIMIT):
            while both.otlp.ports or not both.langfuse._api.stopping:
                await asyncio.sleep(0)
        assert not langfuse.done()
    assert (await call).status == 207 and both.intake.items == 40
    await asyncio.gather(langfuse, otlp)


@pytest.mark.parametrize("path", [INGESTION, "/api/public/scores"])
async def test_a_call_that_begins_when_the_guest_has_stopped_comes_again(path: str, both: Both) -> None:
    await both.langfuse.shutdown()
    answer = await post(both, path, BATCH, b"Content-Type: application/json")
    assert answer.status == 429 and b"shutting down" in answer.body and both.intake.items == 0
    assert (await post(both, "/v1/traces", EXPORT, b"Content-Type: application/json")).status == 200

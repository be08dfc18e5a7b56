"""OTLP/HTTP and the Langfuse API on one port: each keeps its own rules, and they stop together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import NamedTuple

import aiohttp
import pytest

from openfuse_collector.config.types import Address
from openfuse_collector.receivers.langfuse import FACTORY as LANGFUSE
from openfuse_collector.receivers.langfuse.config import LangfuseConfig
from openfuse_collector.receivers.langfuse.receiver import LangfuseReceiver
from openfuse_collector.receivers.otlp import FACTORY as OTLP
from openfuse_collector.receivers.otlp.config import CorsConfig, HttpConfig, OtlpConfig, Protocols
from openfuse_collector.receivers.otlp.receiver import OtlpReceiver
from openfuse_collector.signals import Origin, Signal
from tests.builders import settings

APP, OTHER = "https://app.example.com", "https://shop.example.org"
CORS = CorsConfig(allowed_origins=(APP,))


class Intake:
    """Takes everything, and counts it."""

    signals = frozenset(Signal)

    def __init__(self) -> None:
        self.items = 0

    async def accept(self, origin: Origin, payload: bytes, data: object, items: int) -> None:
        self.items += items


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

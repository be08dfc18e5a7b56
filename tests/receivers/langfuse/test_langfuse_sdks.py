"""Unmodified Langfuse SDKs and the receiver alone: what they say of themselves, back-pressure, browsers, prompts that are not here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from langfuse_harness import Running, Start
from sdk_peers import run_node, run_python

from openfuse_collector.config.types import Secret
from openfuse_collector.errors import OverloadError
from openfuse_collector.events.event import Event
from openfuse_collector.extensions.api_keys.config import ApiKeysConfig, KeyConfig, ProjectConfig
from openfuse_collector.extensions.api_keys.extension import ApiKeys
from openfuse_collector.receivers.langfuse.config import MediaConfig
from tests.builders import settings

KEYS = (ProjectConfig("shop", "The shop", (KeyConfig("pk-lf-test", Secret("sk-lf-test")),)),)


@pytest.fixture
async def running(start: Start, tmp_path: Path) -> Running:
    """A receiver that knows the SDKs' key and takes media."""
    keys = ApiKeys(settings("api_keys"), ApiKeysConfig(KEYS, failure_delay=0))
    return await start(authenticator=keys, media=MediaConfig(tmp_path / "media"))


def refuse_first(count: int) -> Callable[[], None]:
    """An intake that is full for the first `count` calls."""
    left = count

    def before() -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise OverloadError("full", after=0.01)

    return before


def merged(events: list[Event]) -> dict[tuple[str, str], dict[str, Any]]:
    """(entity type, id) -> what all events of the entity say, the last word on each key."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for event in events:
        assert event.entity.project_id == "shop"
        said = found.setdefault((event.entity.type, event.entity.id), {})
        said.update((key, value) for key, value in event.body.items() if value is not None)
    return found


EVERYTHING = {
    ("trace", "trace-1"), ("observation", "span-1"), ("observation", "generation-1"), ("observation", "generation-2"),
    ("observation", "event-1"), ("score", "score-1"), ("score", "score-2"),
}  # fmt: skip


def check_everything(running: Running) -> dict[tuple[str, str], dict[str, Any]]:
    """What the scripts that say everything have in common."""
    entities = merged(running.intake.events)
    assert entities.keys() >= EVERYTHING
    trace = entities["trace", "trace-1"]
    assert (trace["name"], trace["userId"], trace["sessionId"], trace["output"]) == ("chat", "u", "s", {"a": 1})
    assert trace["tags"] == ["b", "a"] and trace["public"] is True
    span = entities["observation", "span-1"]
    assert (span["traceId"], span["input"], span["output"], span["metadata"]) == (
        "trace-1",
        "in",
        "out",
        {"k": [1, None]},
    )
    assert span["endTime"] >= span["startTime"]
    generation = entities["observation", "generation-1"]
    assert generation["parentObservationId"] == "span-1" and float(generation["modelParameters"]["temperature"]) == 0.5
    assert entities["observation", "generation-2"]["usage"] | {"total": None} == {
        "input": 5, "output": 6, "total": None, "unit": "TOKENS",
    }  # fmt: skip
    assert entities["observation", "event-1"]["level"] == "WARNING"
    assert entities["score", "score-1"]["value"] == 0.9 and entities["score", "score-2"]["value"] == "good"
    assert running.metric("openfuse_receiver_rejected_events") == 0
    return entities


async def test_python_2(running: Running) -> None:
    told = await run_python("python_v2.py", running.url, "2.60.10")
    assert told["version"].startswith("2.") and told["auth"] is True
    entities = check_everything(running)
    assert entities["trace", "trace-1"]["input"] == {"q": "é 😀"}
    assert entities["observation", "generation-1"]["usage"]["totalCost"] == 0.5
    assert entities["score", "score-3"]["dataType"] == "BOOLEAN"
    origin = running.intake.kept[0].origin
    assert (origin.public_key, origin.sdk_name, origin.sdk_version) == ("pk-lf-test", "python", "2.60.10")


async def test_python_2_loses_nothing_under_back_pressure(running: Running) -> None:
    running.intake.before = refuse_first(2)
    await run_python("python_v2.py", running.url, "2.60.10")
    check_everything(running)
    assert running.metric("otelcol_receiver_requests", transport="http", outcome="refused") == 2


@pytest.mark.node
async def test_javascript_3(running: Running) -> None:
    assert (await run_node("javascript_v3.cjs", running.url))["errors"] == []
    entities = check_everything(running)
    assert entities["trace", "trace-1"]["input"] == {"half": "cut \ufffd here"}
    assert entities["observation", "generation-1"]["output"] == {"text": "done 😀"}
    assert entities["observation", "generation-1"]["usageDetails"] == {"input": 3, "output": 4}
    assert running.intake.kept[0].origin.sdk_version == "3.39.2"


@pytest.mark.node
async def test_javascript_3_loses_nothing_under_back_pressure(running: Running) -> None:
    running.intake.before = refuse_first(2)
    assert (await run_node("javascript_v3.cjs", running.url))["errors"] == []
    check_everything(running)
    assert running.metric("otelcol_receiver_requests", transport="http", outcome="refused") == 2


@pytest.mark.node
async def test_javascript_3_in_a_browser_has_the_public_key_alone(running: Running) -> None:
    assert (await run_node("javascript_v3.cjs", running.url, "browser"))["errors"] == []
    [event] = running.intake.events
    assert (event.entity, event.body["value"]) == (("shop", "score", "score-1"), 1)


class Otlp:
    """Takes spans beside the receiver's own routes, as OTLP/HTTP does on a shared port: here only their number matters."""

    def __init__(self) -> None:
        self.requests = 0

    async def handle(self, request: web.Request) -> web.Response:
        await request.read()
        self.requests += 1
        return web.Response(body=b"", content_type="application/x-protobuf")


@pytest.mark.parametrize("version", ["3.8.1", None], ids=["3", "installed"])
async def test_python_of_the_otel_age(running: Running, version: str | None) -> None:
    """Spans by OTLP to another route of the same application; scores, media and auth_check here."""
    otlp = Otlp()
    app = web.Application()
    app.add_routes([web.post("/api/public/otel/v1/traces", otlp.handle), *running.receiver.routes()])
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        told = await run_python("python_otel.py", f"http://127.0.0.1:{runner.addresses[0][1]}", version)
    finally:
        await runner.cleanup()
    assert told["auth"] is True and otlp.requests > 0
    assert told["prompt"] == "Weather in {{city}}?"  # its fallback, after a 404
    assert told["version"].partition(".")[0] == (version or told["version"]).partition(".")[0]
    entities = merged(running.intake.events)
    assert entities.keys() == {("score", "score-1"), ("score", "score-2"), ("score", "score-3")}
    assert entities["score", "score-1"]["traceId"] == told["trace_id"]
    assert entities["score", "score-2"]["observationId"] == told["span_id"]
    assert entities["score", "score-3"]["sessionId"] == "s"
    media = running.receiver._api.config.media
    assert media is not None
    files = [path for path in (await asyncio.to_thread(list, media.directory.rglob("*"))) if len(path.name) == 22]
    assert [path.read_bytes() for path in files] == [b"\x89PNG not really"]

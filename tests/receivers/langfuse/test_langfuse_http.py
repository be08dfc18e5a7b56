"""The API over HTTP: answers word for word, bounds, back-pressure, credentials, what is kept and counted."""

from __future__ import annotations

import asyncio
import gzip
import json
from io import BytesIO
from typing import Any

import pytest
import zstandard
from langfuse_harness import NOW, Running, Start, basic, envelope
from structlog.testing import capture_logs

from openfuse_collector import __version__
from openfuse_collector.config.types import Secret, Size
from openfuse_collector.errors import OverloadError, PermanentError, RetryableError
from openfuse_collector.extensions.api_keys.config import ApiKeysConfig, KeyConfig, ProjectConfig
from openfuse_collector.extensions.api_keys.extension import ApiKeys
from openfuse_collector.pdata.dense import MOST_CONTAINERS
from openfuse_collector.signals import Signal
from tests.builders import settings

TRACE = envelope("trace-create", {"id": "t", "name": "n"})
SCORE = {"id": "s", "name": "n", "traceId": "t", "value": 1}
API = "/api/public"
KEYS = ApiKeysConfig(
    (ProjectConfig("shop", "The shop", (KeyConfig("pk-lf-shop", Secret("sk-lf-shop")),)),), failure_delay=0
)


@pytest.fixture
async def guarded(start: Start) -> Running:
    """A receiver that knows one key."""
    return await start(authenticator=ApiKeys(settings("api_keys"), KEYS))


async def test_a_batch_is_answered_when_it_is_kept(running: Running) -> None:
    headers = {"x-langfuse-sdk-name": "python", "x_langfuse_sdk_version": "2.60.10", "authorization": basic("pk", "sk")}
    answer = await running.call("POST", f"{API}/ingestion", {"batch": [TRACE, 5], "metadata": {"n": 1}}, **headers)
    assert answer.status == 207 and answer.headers["Content-Type"] == "application/json"
    assert answer.body["successes"] == [{"id": "e1", "status": 201}]
    assert [error["id"] for error in answer.body["errors"]] == ["unknown"]
    [kept] = running.intake.kept
    assert kept.items == 1 and kept.data[0].ingested_at == kept.origin.received_at // 1_000_000
    origin = kept.origin
    assert (origin.signal, origin.receiver, origin.project_id) == (Signal.EVENTS, "langfuse", "default")
    assert (origin.public_key, origin.sdk_name, origin.sdk_version) == ("pk", "python", "2.60.10")
    assert running.metric("openfuse_receiver_accepted_events") == 1
    assert running.metric("openfuse_receiver_rejected_events") == 1
    assert running.metric("otelcol_receiver_requests", transport="http", outcome="success") == 1


async def test_what_is_left_out_of_a_call_counts_once_however_often_it_comes(start: Start) -> None:
    running = await start(sampling={"default": 0.0})
    refusals = iter([OverloadError("full")] * 3)

    def before() -> None:
        for error in refusals:
            raise error

    running.intake.before = before
    score = {"id": "s", "type": "score-create", "timestamp": NOW, "body": {"name": "n", "value": 1, "sessionId": "s"}}
    for status in (429, 429, 429, 207):
        assert (await running.ingest(TRACE, 5, score)).status == status
    for what in ("rejected", "sampled_out", "accepted"):
        assert running.metric(f"openfuse_receiver_{what}_events") == 1, what


async def test_an_id_as_long_as_a_body_stays_out_of_the_log(running: Running) -> None:
    with capture_logs() as lines:
        answer = await running.ingest({"id": "x" * 500_000, "type": "trace-create"})
    assert len(answer.body["errors"][0]["id"]) == 500_000
    [line] = [line for line in lines if line["event"] == "events rejected"]
    assert 1000 < len(str(line)) < 4000


async def test_what_would_become_many_times_its_size(running: Running) -> None:
    """Text may hold as many brackets as it likes."""
    wrapped = b'{"batch":[{"id":"e1","type":"trace-create","timestamp":"%b","body":{"id":"t","input":%b}}]}'
    lists = b"[" + b",".join([b"[]"] * MOST_CONTAINERS) + b"]"
    answer = await running.call("POST", f"{API}/ingestion", BytesIO(wrapped % (NOW.encode(), lists)))
    assert answer.status == 400 and "more than 2,000,000 JSON objects and lists" in answer.body["errors"][0]
    assert running.intake.kept == []
    answer = await running.call("POST", f"{API}/ingestion", BytesIO(wrapped % (NOW.encode(), b'"%b"' % lists)))
    assert answer.body["successes"] == [{"id": "e1", "status": 201}]


async def test_an_empty_batch_keeps_nothing(running: Running) -> None:
    answer = await running.ingest()
    assert (answer.status, answer.body) == (207, {"successes": [], "errors": []})
    assert running.intake.kept == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{}", "Invalid input: expected array, received undefined"),
        (b'{"batch": {}}', "Invalid input: expected array, received object"),
        (b"[]", "Invalid input: expected object, received array"),
        (b'{"batch": [', "the body is not valid JSON"),
        (b"", "the body is not valid JSON"),
        (b'{"batch": [' + b"5," * 10_000 + b"5]}", "10001 events in one request, at most 10000 are taken"),
        (b'{"batch": [' + b"[" * 5000, "the body is not valid JSON"),
    ],
)
async def test_a_body_that_is_no_batch(running: Running, body: bytes, problem: str) -> None:
    answer = await running.call("POST", f"{API}/ingestion", body)
    assert answer.status == 400 and answer.body["message"] == "Invalid request data"
    [sentence] = answer.body["errors"]
    assert sentence.startswith(problem)
    assert running.metric("otelcol_receiver_requests", transport="http", outcome="failure") == 1


async def test_text_javascript_may_write(running: Running) -> None:
    """Lone surrogates, NUL, a number beyond a double, bytes that are no UTF-8: kept, repaired where it must be."""
    body = (
        b'{"batch": [{"id": "e", "type": "trace-create", "timestamp": "%s", "body": {"id": "t", "input": '
        % NOW.encode()
    )
    body += b'["\\ud800", "\\u0000", 1e400, "\xff", "\\ud83d\\ude00"]}}]}'
    assert (await running.call("POST", f"{API}/ingestion", body)).status == 207
    [event] = running.intake.events
    assert event.body["input"][0] == "\ufffd" and event.body["input"][3:] == ["\ufffd", "😀"]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "7" * 5000, "-" + "7" * 5000])
async def test_a_number_beyond_a_double_is_stored_as_null(running: Running, number: str) -> None:
    batch = [TRACE, envelope("trace-create", {"id": "u", "input": [1, "HERE"]}, "e2")]
    body = json.dumps({"batch": batch}).replace('"HERE"', number).encode()
    answer = await running.call("POST", f"{API}/ingestion", body)
    assert answer.status == 207 and not answer.body["errors"]
    assert [event.body.get("input") for event in running.intake.events] == [None, [1, None]]


@pytest.mark.parametrize("depth", [600, 990, 5000, 100_000])
@pytest.mark.parametrize("extra", ["1", '"\\ud800"'], ids=["plain", "lone surrogate"])
async def test_values_nested_without_end_are_kept(running: Running, depth: int, extra: str) -> None:
    """The deep part as text, whatever else there is as it came."""
    deep = '{"a":' * depth + extra + "}" * depth
    body = f'{{"batch": [{{"id": "e", "type": "trace-create", "timestamp": "{NOW}", "body": '
    body += f'{{"id": "t", "metadata": {{"plain": [1], "deep": {deep}}}}}}}]}}'
    answer = await running.call("POST", f"{API}/ingestion", body.encode())
    assert answer.status == 207 and not answer.body["errors"]
    [event] = running.intake.events
    assert event.body["metadata"]["plain"] == [1]
    value, levels = event.body["metadata"]["deep"], 0
    while isinstance(value, dict):
        value, levels = value["a"], levels + 1
    assert value.startswith('{"a":{"a":') and value.count("{") == depth - levels


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)],
    ids=["gzip", "zstd"],
)
async def test_compressed_bodies(running: Running, coding: str, compress: Any) -> None:
    answer = await running.call(
        "POST", f"{API}/ingestion", compress(json.dumps({"batch": [TRACE]}).encode()), content_encoding=coding
    )
    assert answer.status == 207 and len(running.intake.events) == 1


async def test_bounds_hold_before_and_while_inflating(start: Start) -> None:
    running = await start(max_request_body_size=Size(1000), max_in_flight=Size(1000))
    large = {"batch": [envelope("trace-create", {"id": "t", "input": "x" * 2000})]}
    plain = await running.call("POST", f"{API}/ingestion", large)
    packed = await running.call(
        "POST", f"{API}/ingestion", gzip.compress(json.dumps(large).encode()), content_encoding="gzip"
    )
    for answer in (plain, packed):
        assert answer.status == 413 and answer.body["message"] == "Request body is larger than 1000 bytes"
    broken = await running.call("POST", f"{API}/ingestion", b"no gzip", content_encoding="gzip")
    unknown = await running.call("POST", f"{API}/ingestion", b"{}", content_encoding="br")
    assert (broken.status, unknown.status) == (400, 400)


async def test_large_bodies_are_validated_off_the_loop(running: Running) -> None:
    events = [envelope("trace-create", {"id": f"t{n}", "input": "x" * 10_000}, f"e{n}") for n in range(60)]
    answer = await running.ingest(*events)
    assert len(answer.body["successes"]) == 60 == len(running.intake.events)
    assert running.receiver._api.threads._threads


async def test_small_bodies_are_not_worth_a_thread(running: Running) -> None:
    await running.ingest(TRACE)
    assert not running.receiver._api.threads._threads


@pytest.mark.parametrize("error", [OverloadError("the journal is full", after=2.2), RetryableError("not now")])
async def test_back_pressure(running: Running, error: Exception) -> None:
    def refuse() -> None:
        raise error

    running.intake.before = refuse
    for path, body in ((f"{API}/ingestion", {"batch": [TRACE]}), (f"{API}/scores", SCORE), (f"{API}/scores", [SCORE])):
        answer = await running.call("POST", path, body)
        assert answer.status == 429
        assert answer.headers["Retry-After"] == ("3" if isinstance(error, OverloadError) else "1")
        assert answer.body["message"] == str(error) and answer.body["code"] == "rate_limited"
    assert running.metric("openfuse_receiver_refused_events") == 3
    assert running.metric("openfuse_receiver_accepted_events") == 0


async def test_too_much_in_flight_is_back_pressure(start: Start) -> None:
    running = await start(max_request_body_size=Size(2000), max_in_flight=Size(2000))
    running.intake.gate = asyncio.Event()
    big = {"batch": [envelope("trace-create", {"id": "t", "input": "x" * 1500})]}
    waiting = asyncio.create_task(running.call("POST", f"{API}/ingestion", big))
    async with asyncio.timeout(60):
        while True:  # until the first call holds its bytes
            answer = await running.call("POST", f"{API}/ingestion", {"batch": [5] * 400})
            if answer.status == 429:
                break
    assert "in flight" in answer.body["message"]
    reader, writer = await asyncio.open_connection("127.0.0.1", running.receiver.port)
    writer.write(b"POST /api/public/ingestion HTTP/1.1\r\nHost: x\r\nContent-Length: 1500\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 429")  # without waiting for the body
    writer.close()
    running.intake.gate.set()
    assert (await waiting).status == 207


@pytest.mark.parametrize("error", [ZeroDivisionError("secret detail"), PermanentError("cannot")])
async def test_an_error_of_ours_says_nothing_it_should_not(running: Running, error: Exception) -> None:
    def fail() -> None:
        raise error

    running.intake.before = fail
    answer = await running.ingest(TRACE)
    assert answer.status == (500 if isinstance(error, ZeroDivisionError) else 400)
    assert "secret detail" not in json.dumps(answer.body)
    assert running.metric("openfuse_receiver_failed_events") == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "ingestion"), ("PUT", "ingestion"), ("PATCH", "traces"), ("PATCH", "events"), ("POST", "projects"), ("DELETE", "scores")],
)  # fmt: skip
async def test_wrong_methods(running: Running, method: str, path: str) -> None:
    answer = await running.call(method, f"{API}/{path}")
    assert answer.status == 405
    assert answer.body == {"error": "MethodNotAllowedError", "message": "Method not allowed"}


@pytest.mark.parametrize(
    "path", ["v2/prompts/weather?label=production", "v2/prompts", "v2/datasets", "dataset-items?x=1"]
)
async def test_what_is_not_served_says_so(running: Running, path: str) -> None:
    answer = await running.call("GET", f"{API}/{path}")
    assert answer.status == 404 and "not served by this collector" in answer.body["message"]


async def test_unknown_paths_are_json_too(running: Running) -> None:
    answer = await running.call("GET", "/nothing")
    assert (answer.status, answer.body["message"]) == (404, "There is nothing at /nothing")


async def test_health_and_readiness(running: Running) -> None:
    ok = {"status": "OK", "version": __version__}
    assert (await running.call("GET", f"{API}/health?failIfNoRecentEvents=true")).body == ok
    ready = await running.call("GET", f"{API}/ready")
    assert (ready.status, ready.body) == (200, ok)
    running.receiver._settings.health.set(ready=False)
    assert (await running.call("GET", f"{API}/ready")).status == 503
    running.receiver._api.stopping = True
    stopping = await running.call("GET", f"{API}/ready")
    assert (stopping.status, stopping.body["status"]) == (500, "SIGTERM / SIGINT received, shutting down")


NO_HOST = " Confirm that you've configured the correct host."
REFUSED = {
    "": "No authorization header",
    "Digest abc": "Invalid authorization header",
    "Basic !!!": "Invalid authorization header",
    basic("pk-lf-shop", ""): "Invalid authorization header",
    basic("pk-lf-shop", "wrong"): "Invalid credentials." + NO_HOST,
    basic("pk-lf-else", "sk-lf-shop"): "Invalid credentials." + NO_HOST,
    "Bearer pk-lf-else": "Invalid public key." + NO_HOST,
}


@pytest.mark.parametrize(("header", "message"), REFUSED.items(), ids=REFUSED.values())
async def test_bad_credentials(guarded: Running, header: str, message: str) -> None:
    headers = {"authorization": header} if header else {}
    for method, path in (("POST", "ingestion"), ("POST", "scores"), ("GET", "projects"), ("POST", "traces")):
        answer = await guarded.call(
            method, f"{API}/{path}", {"batch": [TRACE]} if method == "POST" else None, **headers
        )
        assert answer.status == 401
        assert answer.body == {"error": "UnauthorizedError", "message": message}
    assert guarded.intake.kept == []


async def test_the_project_is_that_of_the_key(guarded: Running) -> None:
    header = basic("pk-lf-shop", "sk-lf-shop")
    await guarded.ingest(TRACE, authorization=header)
    [kept] = guarded.intake.kept
    assert (kept.origin.project_id, kept.origin.public_key) == ("shop", "pk-lf-shop")
    assert kept.data[0].entity == ("shop", "trace", "t")
    projects = await guarded.call("GET", f"{API}/projects", authorization=header)
    [project] = projects.body["data"]
    assert (project["id"], project["name"], project["metadata"]) == ("shop", "The shop", {})
    assert {"id", "name"} == project["organization"].keys()


async def test_a_public_key_alone_adds_scores(guarded: Running) -> None:
    bearer = "Bearer pk-lf-shop"
    answer = await guarded.ingest(TRACE, envelope("score-create", SCORE, "e2"), authorization=bearer)
    assert [success["id"] for success in answer.body["successes"]] == ["e2"]
    assert answer.body["errors"][0]["error"] == "Access Scope Denied"
    assert (await guarded.call("POST", f"{API}/scores", SCORE, authorization=bearer)).status == 200
    for method, path in (("POST", "traces"), ("PATCH", "spans")):
        answer = await guarded.call(method, f"{API}/{path}", {}, authorization=bearer)
        assert (answer.status, answer.body) == (
            403, {"message": "Access denied - insufficient permissions for this endpoint"},
        )  # fmt: skip
    assert (await guarded.call("GET", f"{API}/projects", authorization=bearer)).status == 403


async def test_web_pages_may_send(running: Running) -> None:
    asked = {"origin": "https://app.example.com", "access-control-request-headers": "authorization, content-type"}
    preflight = await running.call("OPTIONS", f"{API}/ingestion", **asked)
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert preflight.headers["Access-Control-Allow-Methods"] == "POST"
    answer = await running.call("POST", f"{API}/ingestion", b"{}", origin="https://app.example.com")
    assert answer.status == 400 and answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"


async def test_web_pages_that_may_not(start: Start) -> None:
    running = await start(cors_allowed_origins=("https://*.example.com",))
    for origin, allowed in (("https://A.example.com", True), ("https://a.example.org", False), ("null", False)):
        answer = await running.call("OPTIONS", f"{API}/scores", origin=origin)
        assert ("Access-Control-Allow-Origin" in answer.headers) == allowed


async def test_sampling_is_per_project(start: Start) -> None:
    running = await start(sampling={"default": 0.0})
    answer = await running.ingest(TRACE)
    assert answer.body["successes"] == [{"id": "e1", "status": 201}]
    assert running.intake.kept == []
    assert running.metric("openfuse_receiver_sampled_out_events") == 1


async def test_shutdown_waits_for_what_is_under_way(start: Start) -> None:
    running = await start()
    running.intake.gate = asyncio.Event()
    call = asyncio.create_task(running.ingest(TRACE))
    async with asyncio.timeout(60):
        while not len(running.receiver._api.appends):
            await asyncio.sleep(0)
    stopping = asyncio.create_task(running.receiver.shutdown())
    running.intake.gate.set()
    assert (await call).status == 207
    await stopping
    assert len(running.intake.events) == 1

"""What senders are told when data cannot be taken now, or ever, and that nothing is lost or counted twice over it."""

from __future__ import annotations

import asyncio
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import grpc.aio
import pytest
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from otlp_harness import (
    ANYWHERE,
    EXPORT,
    PLAIN_WAYS,
    PROTOBUF,
    WAYS,
    Answer,
    Running,
    Start,
    Way,
    export,
    send_http,
    spans_of,
)

from openfuse_collector.auth import Identity
from openfuse_collector.config.types import Duration, Secret
from openfuse_collector.errors import OverloadError, PermanentError
from openfuse_collector.extensions.api_keys.config import ApiKeysConfig, KeyConfig, ProjectConfig
from openfuse_collector.extensions.api_keys.extension import ApiKeys
from openfuse_collector.pdata import otlp_protobuf
from openfuse_collector.pdata.utf8 import repair
from openfuse_collector.receivers.otlp import ingest
from openfuse_collector.receivers.otlp.config import GrpcConfig, HttpConfig
from tests.builders import settings

every_way = pytest.mark.parametrize("way", WAYS, ids=str)
every_encoding = pytest.mark.parametrize("way", PLAIN_WAYS, ids=str)


def raising(error: BaseException) -> Callable[[], None]:
    def raise_() -> None:
        raise error

    return raise_


def retry_delay(answer: Answer) -> float | None:
    """Seconds the sender is asked to wait, as its protocol says it."""
    if answer.http is not None:
        value = answer.headers.get("Retry-After")
        return None if value is None else float(value)
    details: Any = answer.headers.get("grpc-status-details-bin")
    info = RetryInfo()
    found = [detail for detail in Status.FromString(details or b"").details if detail.Unpack(info)]
    return info.retry_delay.ToTimedelta().total_seconds() if found else None


async def test_what_is_left_out_of_a_request_counts_once_however_often_it_comes(running: Running) -> None:
    sent = export(spans=3)
    sent.resource_spans[0].scope_spans[0].spans[1].trace_id = b""
    running.intake.before = raising(OverloadError("the journal is full"))
    for _ in range(3):
        assert not (await PLAIN_WAYS[0].send(running, sent)).ok
    assert running.metric("openfuse_receiver_rejected_spans", PLAIN_WAYS[0].transport) == 0
    running.intake.before = lambda: None
    assert (await PLAIN_WAYS[0].send(running, sent)).rejected == 1
    assert running.metric("openfuse_receiver_rejected_spans", PLAIN_WAYS[0].transport) == 1
    assert running.metric("otelcol_receiver_accepted_spans", PLAIN_WAYS[0].transport) == 2


@every_way
async def test_a_full_journal_asks_to_come_back_later(way: Way, running: Running) -> None:
    running.intake.before = raising(OverloadError("the journal is full", after=2))
    answer = await way.send(running, export(spans=3))
    assert (answer.http, answer.code) == (503 if way.transport == "http" else None, Code.UNAVAILABLE)
    assert retry_delay(answer) == 2 and "the journal is full" in answer.message
    running.intake.before = lambda: None
    assert (await way.send(running, export(spans=3))).ok
    assert running.counted(way.transport) == {
        "otelcol_receiver_refused_spans_total": 3,
        "otelcol_receiver_accepted_spans_total": 3,
        "otelcol_receiver_requests_total/refused": 1,
        "otelcol_receiver_requests_total/success": 1,
    }


@every_way
async def test_a_bug_is_internal_and_never_unknown(way: Way, running: Running) -> None:
    running.intake.before = raising(ZeroDivisionError("secret detail"))
    answer = await way.send(running, export(spans=3))
    assert (answer.http, answer.code) == (500 if way.transport == "http" else None, Code.INTERNAL)
    assert "secret" not in answer.message and retry_delay(answer) is None
    assert running.counted(way.transport) == {
        "otelcol_receiver_failed_spans_total": 3,
        "otelcol_receiver_requests_total/failure": 1,
    }


@every_encoding
async def test_a_request_that_can_never_be_kept_is_refused_for_good(way: Way, running: Running) -> None:
    running.intake.before = raising(PermanentError("larger than the journal"))
    answer = await way.send(running, export())
    assert answer.code == Code.INVALID_ARGUMENT and retry_delay(answer) is None


@every_encoding
async def test_a_bug_before_the_body_is_read_is_internal_too(way: Way, start: Start) -> None:
    class Broken:
        def authenticate(self, headers: Mapping[str, str]) -> Identity:
            raise KeyError("headers")

    running = await start(authenticator=Broken())
    assert (await way.send(running, export())).code == Code.INTERNAL
    assert running.intake.kept == []


def basic(public: str, secret: str) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(f"{public}:{secret}".encode()).decode()}


@every_encoding
async def test_keys_are_checked_before_the_body_is_decoded(way: Way, start: Start) -> None:
    project = ProjectConfig("project-1", keys=(KeyConfig("pk-1", Secret("sk-1")),))
    keys = ApiKeys(settings("api_keys"), ApiKeysConfig(projects=(project,), failure_delay=Duration(0)))
    running = await start(authenticator=keys)
    for headers in ({}, basic("pk-1", "wrong")):
        assert (await way.send_body(running, b"not even OTLP", headers=headers)).code == Code.UNAUTHENTICATED
    assert (await way.send(running, export(), headers={"authorization": "Bearer pk-1"})).code == Code.PERMISSION_DENIED
    assert running.intake.kept == []
    assert (await way.send(running, export(), headers=basic("pk-1", "sk-1"))).ok
    origin = running.intake.kept[0].origin
    assert (origin.project_id, origin.public_key) == ("project-1", "pk-1")


@every_encoding
async def test_without_keys_everyone_is_the_default_project(way: Way, running: Running) -> None:
    assert (await way.send(running, export(), headers=basic("pk-any", "sk-any"))).ok
    origin = running.intake.kept[0].origin
    assert (origin.project_id, origin.public_key) == ("default", "pk-any")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def test_a_deadline_shorter_than_the_wait_is_retryable_and_stored_once(running: Running) -> None:
    gate = running.intake.gate = asyncio.Event()
    async with grpc.aio.insecure_channel(running.grpc) as channel:
        call = channel.unary_unary(EXPORT)(export(spans=2).SerializeToString(), timeout=0.5)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert running.intake.waiting == 1
    gate.set()  # the journal comes round after the client has left: what is kept is counted, once
    await until(lambda: bool(running.counted("grpc").get("otelcol_receiver_accepted_spans_total")))
    assert running.counted("grpc")["otelcol_receiver_accepted_spans_total"] == 2
    assert len(running.intake.kept) == 1


@every_encoding
async def test_nobody_waits_longer_than_an_sdk_does(
    way: Way, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "PATIENCE", 0.05)
    running.intake.gate = asyncio.Event()
    answer = await way.send(running, export())
    assert answer.code == Code.UNAVAILABLE and retry_delay(answer) is not None
    assert running.intake.waiting == 1


async def test_bytes_in_flight_are_bounded_over_both_protocols(start: Start) -> None:
    body = export(spans=1, padding=600_000).SerializeToString()
    running = await start(
        http=HttpConfig(ANYWHERE, max_request_body_size=1_000_000),  # type: ignore[arg-type]
        grpc=GrpcConfig(ANYWHERE, max_recv_msg_size_mib=1),
        max_in_flight=1_100_000,
    )
    gate = running.intake.gate = asyncio.Event()
    first = asyncio.create_task(Way("grpc", "proto", "gzip").send_body(running, body))
    await until(lambda: running.intake.waiting == 1)
    for way in WAYS:
        refused = await way.send_body(
            running, body if way.encoding == "proto" else way.body(export(1, padding=600_000))
        )
        assert refused.code == Code.UNAVAILABLE and retry_delay(refused) == 1, way
    assert running.intake.waiting == 1
    small = asyncio.create_task(PLAIN_WAYS[0].send(running, export()))  # there is room for this one
    await until(lambda: running.intake.waiting == 2)
    gate.set()
    assert (await first).ok and (await small).ok
    for way in WAYS:
        assert (await way.send(running, export(1, padding=600_000))).ok
    assert running.metrics.registry.get_sample_value("openfuse_receiver_in_flight_bytes", {"receiver": "otlp"}) == 0


async def test_a_refused_upload_is_not_read(start: Start) -> None:
    """The answer comes on the headers alone: no byte of the body is ever sent."""
    running = await start(http=HttpConfig(ANYWHERE, max_request_body_size=1000))  # type: ignore[arg-type]
    reader, writer = await asyncio.open_connection("127.0.0.1", running.receiver.ports["http"])
    writer.write(
        f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: 1001\r\n\r\n".encode()
    )
    async with asyncio.timeout(30):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


@pytest.mark.parametrize("path", ["/v1/traces", "/api/public/otel/v1/metrics"])
async def test_what_is_too_large_is_refused_for_good_even_when_nothing_fits_now(start: Start, path: str) -> None:
    """A length beyond both limits never becomes acceptable: 503 would bring the sender back for ever."""
    running = await start(http=HttpConfig(ANYWHERE, max_request_body_size=1000), max_in_flight=1000)  # type: ignore[arg-type]
    answer = await send_http(running.http + path, bytes(1001), {"Content-Type": PROTOBUF})
    assert (answer.http, answer.code) == (413, Code.RESOURCE_EXHAUSTED) and retry_delay(answer) is None


async def test_a_body_that_does_not_arrive_gives_its_room_back(start: Start) -> None:
    from openfuse_collector.config.types import Duration

    running = await start(http=HttpConfig(ANYWHERE, read_timeout=Duration(0.05)))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.receiver.ports["http"])
    writer.write(
        f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: 100\r\n\r\nhalf".encode()
    )
    async with asyncio.timeout(30):
        assert (await reader.readline()).startswith(b"HTTP/1.1 503")
    writer.close()
    assert running.metrics.registry.get_sample_value("openfuse_receiver_in_flight_bytes", {"receiver": "otlp"}) == 0


@pytest.mark.parametrize("way", [way for way in PLAIN_WAYS if way.encoding == "proto"], ids=str)
async def test_repair_does_not_hold_up_the_event_loop(
    way: Way, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests of any size: what a parser refuses is walked in a thread, and the loop runs on meanwhile."""
    threads = []
    monkeypatch.setattr(otlp_protobuf, "repair", lambda *a: threads.append(threading.current_thread()) or repair(*a))
    body = export().SerializeToString().replace(b"span 2", b"span \xff")
    assert (await way.send_body(running, body)).ok
    assert [span.name for span in spans_of(running.intake.kept[0].data)] == ["span 1", "span \ufffd", "span 3"]
    assert running.metric("openfuse_receiver_repaired_strings", way.transport) == 1
    assert len(threads) == 1 and threads[0] is not threading.current_thread()


CLIENTS, REQUESTS = 8, 1000


async def test_eight_clients_send_a_thousand_requests_each_over_http(running: Running) -> None:
    async def client(number: int) -> None:
        async with aiohttp.ClientSession() as session:
            for request in range(REQUESTS):
                body = export(1, trace=number * REQUESTS + request + 1).SerializeToString()
                headers = {"Content-Type": PROTOBUF}
                async with session.post(running.http + "/v1/traces", data=body, headers=headers) as answer:
                    assert answer.status == 200

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    sent_is_stored(running, "http")


async def test_eight_clients_send_a_thousand_requests_each_over_grpc(running: Running) -> None:
    async def client(number: int) -> None:
        async with grpc.aio.insecure_channel(running.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(EXPORT)
            for request in range(REQUESTS):
                assert await call(export(1, trace=number * REQUESTS + request + 1).SerializeToString()) == b""

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    sent_is_stored(running, "grpc")


def sent_is_stored(running: Running, transport: str) -> None:
    ids = running.intake.span_ids
    assert len(ids) == len(set(ids)) == CLIENTS * REQUESTS
    assert running.counted(transport) == {
        "otelcol_receiver_accepted_spans_total": CLIENTS * REQUESTS,
        "otelcol_receiver_requests_total/success": CLIENTS * REQUESTS,
    }


@every_way
async def test_a_flapping_journal_loses_nothing_that_was_acknowledged(way: Way, running: Running) -> None:
    """Every second call is refused; a sender that retries gets everything in, once for each acknowledgement."""
    calls = 0

    def flap() -> None:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise OverloadError("flapping", after=0)

    running.intake.before = flap
    for trace in range(1, 6):
        while not (await way.send(running, export(2, trace=trace))).ok:
            pass
    assert calls == 10
    assert [len(spans_of(kept.data)) for kept in running.intake.kept] == [2] * 5
    counted = running.counted(way.transport)
    assert counted["otelcol_receiver_accepted_spans_total"] == counted["otelcol_receiver_refused_spans_total"] == 10


@every_way
async def test_the_same_request_twice_gives_the_same_payload(way: Way, running: Running) -> None:
    """Ids of events come from the content, so that a resend is no new data; here the content must not change."""
    for _ in range(2):
        assert (await way.send(running, export())).ok
    first, second = running.intake.kept
    assert first.payload == second.payload and first.data == second.data


async def test_refusals_over_http_keep_the_connection_usable(running: Running) -> None:
    running.intake.before = raising(OverloadError("full"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        for expected in (503, 503, 200):
            if expected == 200:
                running.intake.before = lambda: None
            body, headers = export().SerializeToString(), {"Content-Type": PROTOBUF}
            async with session.post(running.http + "/v1/traces", data=body, headers=headers) as answer:
                assert answer.status == expected
    assert (await send_http(running.http + "/v1/traces", b"", {"Content-Type": PROTOBUF})).ok

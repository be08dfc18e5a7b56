"""A store that cannot write: senders are told to come back in time, stock exporters lose nothing, memory keeps its limit.

The store is held up for real: another connection holds the write lock of its SQLite file.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import urllib.request
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.builders import RECEIVED_AT
from tests.collector_process import CollectorProcess, wait_until
from tests.faults.fault_kit import TALLY
from tests.node_peer import RunNode, node
from tests.store_lock import locked

__all__ = ["node"]

Start = Callable[..., CollectorProcess]
SDK_PATIENCE = 10.0
"""Seconds an SDK waits for an answer by default. An answer that comes later is one too late: this is the promise itself."""
TEXT = "x" * 200_000
SMALL = {"exporters.sqlite.busy_timeout": "50ms", "service.pipelines.traces.max_backlog": "1MiB"}
REFUSED = "otelcol_receiver_refused_spans_total"


def request(number: int, text: str = TEXT) -> ExportTraceServiceRequest:
    made = ExportTraceServiceRequest()
    span = made.resource_spans.add().scope_spans.add().spans.add(name="chat", start_time_unix_nano=RECEIVED_AT + number)
    span.trace_id, span.span_id = number.to_bytes(16, "big"), number.to_bytes(8, "big")
    span.attributes.add(key="gen_ai.request.model").value.string_value = "gpt-4o-mini"
    span.attributes.add(key="input.value").value.string_value = text
    return made


def post(collector: CollectorProcess, number: int, text: str = TEXT) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer, which comes within the patience of an SDK."""
    connection = http.client.HTTPConnection("127.0.0.1", collector.http_port, timeout=SDK_PATIENCE)
    try:
        body = request(number, text).SerializeToString()
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, dict(answer.getheaders())
    finally:
        connection.close()


def fill(collector: CollectorProcess) -> int:
    """Send until the collector refuses even small requests; how many it took."""
    numbers = itertools.count(1)
    for text in (TEXT, TEXT[:2000]):
        while (answer := post(collector, number := next(numbers), text))[0] == 200:
            assert number < 1000, "nothing was refused"
        assert answer[0] == 503 and int(answer[1]["Retry-After"]) >= 1
    return number - 2


def look(collector: CollectorProcess, path: str) -> tuple[int, Any]:
    """Status and JSON of the health endpoint."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{collector.health_port}{path}", timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def spans(count: int, name: str) -> list[ReadableSpan]:
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("peer")
    for number in range(count):
        with tracer.start_as_current_span(f"{name} {number}", attributes={"gen_ai.request.model": "gpt-4o"}):
            pass
    return list(memory.get_finished_spans())


def stored(collector: CollectorProcess, name: str = "%") -> int:
    found = collector.query("SELECT count(*) AS n FROM observations WHERE name LIKE ?", name)
    return int(found[0]["n"]) if found else 0


EXPORTERS: dict[str, Callable[[CollectorProcess], SpanExporter]] = {
    "grpc": lambda c: GrpcExporter(endpoint=c.grpc_endpoint, insecure=True, timeout=60),
    "http": lambda c: HttpExporter(endpoint=f"{c.http_endpoint}/v1/traces", timeout=60),
}


@pytest.mark.parametrize("protocol", EXPORTERS)
async def test_the_stock_python_exporter_loses_nothing(protocol: str, start_collector: Start) -> None:
    collector = start_collector(sets=SMALL)
    exporter = EXPORTERS[protocol](collector)
    with locked(collector.store):
        taken = await asyncio.to_thread(fill, collector)
        refused = collector.metric(REFUSED, transport=protocol)
        export = asyncio.create_task(asyncio.to_thread(exporter.export, spans(50, "peer")))
        await asyncio.to_thread(refused_more, collector, refused, protocol)
    assert await export is SpanExportResult.SUCCESS
    await asyncio.to_thread(exporter.shutdown)
    settle(collector, taken + 50)
    assert stored(collector, "peer %") == 50


def settle(collector: CollectorProcess, acknowledged: int) -> None:
    """Until everything acknowledged is stored; once, and nothing else is."""
    wait_until(
        lambda: stored(collector) >= acknowledged,
        lambda: f"{stored(collector)} of {acknowledged} stored:\n{collector.log}",
        60,
    )
    refused = collector.metric("otelcol_receiver_requests_total", outcome="refused")
    assert collector.stop() == 0
    found = stored(collector)
    TALLY.update(
        {
            "process starts": collector.starts,
            "spans acknowledged": acknowledged,
            "requests sent again": int(refused),
            "rows compared": found,
            "lost": max(0, acknowledged - found),
            "doubled": max(0, found - acknowledged),
        }
    )
    assert found == acknowledged


def refused_more(collector: CollectorProcess, before: float, transport: str) -> None:
    wait_until(
        lambda: collector.metric(REFUSED, transport=transport) > before, lambda: f"no refusal:\n{collector.log}", 60
    )


@pytest.mark.node
async def test_the_stock_node_exporter_loses_nothing(node: RunNode, start_collector: Start) -> None:
    collector = start_collector(sets=SMALL)
    with locked(collector.store):
        taken = await asyncio.to_thread(fill, collector)
        before = collector.metric(REFUSED, transport="http")
        sending = asyncio.create_task(node("send_traces.cjs", f"{collector.http_endpoint}/v1/traces", "50"))
        await asyncio.to_thread(refused_more, collector, before, "http")
    assert (await sending)["failed"] is None
    settle(collector, taken + 50)


def test_grpc_is_told_when_to_come_back(start_collector: Start) -> None:
    collector = start_collector(sets=SMALL)
    with locked(collector.store), grpc.insecure_channel(f"127.0.0.1:{collector.grpc_port}") as channel:
        fill(collector)
        with pytest.raises(grpc.RpcError) as refused:
            TraceServiceStub(channel).Export(request(9999), timeout=SDK_PATIENCE)
        error: Any = refused.value
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        details = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"]).details
        info = RetryInfo()
        assert details[0].Unpack(info) and info.retry_delay.ToTimedelta().total_seconds() > 0


def test_a_full_journal_shows_and_is_logged_once(start_collector: Start) -> None:
    """Health turns to 503 with the reason, the state names pipeline, exporter and lag, and all is well again afterwards."""
    journal = {"service.journal.segment_size": "1MiB", "service.journal.max_size": "4MiB"}
    collector = start_collector(
        sets={**journal, "exporters.sqlite.busy_timeout": "50ms", "extensions.health_check.grace": "0s"}
    )
    assert look(collector, "/status")[1]["state"] == "ok"
    with locked(collector.store):
        taken = fill(collector)
        wait_until(lambda: look(collector, "/")[0] == 503, lambda: collector.log, 60)
        assert "max_size" in look(collector, "/")[1]["reason"]
        wait_until(
            lambda: look(collector, "/status")[1]["exporters"]["sqlite"]["attempts"] > 0, lambda: collector.log, 60
        )
        state = look(collector, "/status")[1]
        assert state["state"] == "refusing" and state["refuses"] == ["journal: max_size"]
        assert state["journal"]["refuses"] == "max_size" and state["journal"]["bytes"] <= state["journal"]["max_size"]
        assert state["exporters"]["sqlite"]["state"] == "retrying"
        assert "locked" in state["exporters"]["sqlite"]["last_error"]["error"]
        traces = state["pipelines"]["traces"]
        assert traces["lag_bytes"] > 0 and traces["lag_seconds"] > 0 and traces["oldest_unprocessed"]
        assert traces["queued_items"] == taken == collector.metric("openfuse_pipeline_queued_items", pipeline="traces")
        assert state["memory"]["rss"] > 0
        for number in range(20):
            assert post(collector, 5000 + number)[0] == 503
    wait_until(lambda: look(collector, "/")[0] == 200, lambda: collector.log, 60)
    wait_until(lambda: stored(collector) == taken, lambda: f"{stored(collector)} of {taken}", 60)
    wait_until(lambda: look(collector, "/status")[1]["state"] == "ok", lambda: str(look(collector, "/status")), 60)
    lines = [line for line in collector.log.splitlines() if "requests refused by the journal" in line]
    assert len(lines) == 1 and "max_size" in lines[0] and "remedy" in lines[0]


def test_memory_keeps_its_limit_and_nothing_is_lost(start_collector: Start) -> None:
    """More than the limit is sent while the store stands still, then while it works off what waited."""
    collector = start_collector(
        sets={"service.memory_limiter.limit_mib": "300", "exporters.sqlite.busy_timeout": "50ms"}
    )
    text = "y" * (8 << 20)
    limit = collector.metric("openfuse_memory_limit_bytes", limit="hard")
    assert limit == 300 << 20

    def within() -> bool:
        rss = collector.metric("otelcol_process_memory_rss")
        TALLY["peak MiB"] = max(TALLY["peak MiB"], round(rss) >> 20)
        return rss <= limit + len(text)

    def send(number: int) -> None:
        while post(collector, number, text)[0] != 200:
            assert within()

    with locked(collector.store):
        for number in range(1, 25):
            send(number)
            assert within()
    while stored(collector) < 24:
        assert within()
    settle(collector, 24)

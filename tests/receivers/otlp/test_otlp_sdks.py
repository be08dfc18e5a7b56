"""Stock exporters as senders: OpenTelemetry for Python over gRPC and HTTP, OpenTelemetry for JavaScript over HTTP/JSON."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otlp_harness import Running, spans_of

from openfuse_collector.errors import OverloadError
from tests.node_peer import RunNode, node

__all__ = ["node"]

EXPORTERS: dict[str, Callable[[Running], SpanExporter]] = {
    "grpc": lambda running: GrpcExporter(endpoint=running.grpc, insecure=True, timeout=30),
    "grpc-gzip": lambda running: GrpcExporter(
        endpoint=running.grpc, insecure=True, timeout=30, compression=grpc.Compression.Gzip
    ),
    "http": lambda running: HttpExporter(endpoint=running.http + "/v1/traces", timeout=30),
    "http-gzip": lambda running: HttpExporter(
        endpoint=running.http + "/api/public/otel/v1/traces", timeout=30, compression=Compression.Gzip
    ),
}
every_exporter = pytest.mark.parametrize("name", EXPORTERS)


def python_spans(count: int) -> Sequence[ReadableSpan]:
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "python-peer"}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("python-peer", "1.0")
    with tracer.start_as_current_span("root"):
        for number in range(count - 1):
            with tracer.start_as_current_span(
                f"span {number}", attributes={"text": "café", "list": ["a", "b"]}
            ) as span:
                span.add_event("event", {"key": "value"})
    return memory.get_finished_spans()


async def send(exporter: SpanExporter, spans: Sequence[ReadableSpan]) -> SpanExportResult:
    try:
        return await asyncio.to_thread(exporter.export, spans)
    finally:
        await asyncio.to_thread(exporter.shutdown)


def refuse_first(count: int, after: float) -> Callable[[], None]:
    """An intake that is full for the first `count` requests."""
    left = count

    def before() -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise OverloadError("full", after=after)

    return before


@every_exporter
async def test_python_spans_arrive_as_they_were(name: str, running: Running) -> None:
    spans = python_spans(20)
    assert await send(EXPORTERS[name](running), spans) is SpanExportResult.SUCCESS
    [kept] = running.intake.kept
    assert [span.name for span in spans_of(kept.data)] == [span.name for span in spans]
    first = spans_of(kept.data)[0]
    assert first.attributes[0].value.string_value == "café" and first.events[0].name == "event"
    assert kept.data.resource_spans[0].resource.attributes[-1].value.string_value == "python-peer"


@every_exporter
async def test_python_exporters_come_back_after_overload(name: str, running: Running) -> None:
    running.intake.before = refuse_first(1, after=0.01)
    spans = python_spans(5)
    assert await send(EXPORTERS[name](running), spans) is SpanExportResult.SUCCESS
    assert len(running.intake.span_ids) == 5
    counted = running.counted(name.partition("-")[0])
    assert counted["otelcol_receiver_requests_total/refused"] == counted["otelcol_receiver_requests_total/success"] == 1


async def test_the_grpc_exporter_follows_our_retry_delay(running: Running) -> None:
    """Without it the exporter would wait a second, then two, then four: five refusals would outlast its timeout."""
    running.intake.before = refuse_first(5, after=0.001)
    exporter = GrpcExporter(endpoint=running.grpc, insecure=True, timeout=10)
    assert await send(exporter, python_spans(2)) is SpanExportResult.SUCCESS


@every_exporter
async def test_python_exporters_do_not_repeat_what_failed_for_good(name: str, running: Running) -> None:
    calls: list[None] = []

    def before() -> None:
        calls.append(None)
        raise ZeroDivisionError

    running.intake.before = before
    assert await send(EXPORTERS[name](running), python_spans(2)) is SpanExportResult.FAILURE
    assert len(calls) == 1


@pytest.mark.node
@pytest.mark.parametrize("compression", ["", "gzip"])
async def test_node_spans_arrive_as_they_were(compression: str, running: Running, node: RunNode) -> None:
    assert await node("send_traces.cjs", running.http + "/v1/traces", "20", compression) == {"sent": 20, "failed": None}
    [kept] = running.intake.kept
    spans = spans_of(kept.data)
    assert [span.name for span in spans] == [f"span {number}" for number in range(20)]
    assert {len(span.trace_id) for span in spans} == {16} and spans[0].kind == 3 and spans[0].status.code == 2
    values: dict[str, Any] = {pair.key: pair.value for pair in spans[7].attributes}
    assert values["number"].int_value == 7
    assert values["huge"].double_value == 1e21
    assert values["notANumber"].WhichOneof("value") is None or math.isnan(values["notANumber"].double_value)
    assert values["text"].string_value == "café 😀"
    assert values["half"].string_value == "cut \ufffd here"
    assert [item.string_value for item in values["mixed"].array_value.values] == ["a", "", "b"]
    assert (values["fraction"].double_value, values["yes"].bool_value) == (0.5, True)


@pytest.mark.node
async def test_the_node_exporter_comes_back_after_overload(running: Running, node: RunNode) -> None:
    running.intake.before = refuse_first(2, after=0.01)
    assert await node("send_traces.cjs", running.http + "/v1/traces", "5") == {"sent": 5, "failed": None}
    assert len(running.intake.span_ids) == 5
    counted = running.counted("http")
    assert counted["otelcol_receiver_requests_total/refused"] == 2
    assert counted["otelcol_receiver_accepted_spans_total"] == 5


@pytest.mark.node
async def test_the_node_exporter_is_told_of_bad_data(running: Running, node: RunNode) -> None:
    answer = await node("send_traces.cjs", running.http + "/v1/metrics", "1")
    assert "404" in answer["failed"] or "Not Found" in answer["failed"]

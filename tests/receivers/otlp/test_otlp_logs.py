"""Logs over both transports: stock exporters of OpenTelemetry for Python, partial success, wrong places, metrics of Langfuse SDKs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from google.rpc.code_pb2 import Code
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from otlp_harness import ANYWHERE, JSON, PROTOBUF, Running, Start, export, send_grpc, send_http

from openfuse_collector.errors import OverloadError
from openfuse_collector.receivers.otlp.config import HttpConfig
from openfuse_collector.signals import Signal

METHOD = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
LANGFUSE = "/api/public/otel"

EXPORTERS: dict[str, Callable[[Running], Any]] = {
    "grpc": lambda running: GrpcExporter(endpoint=running.grpc, insecure=True, timeout=30),
    "http": lambda running: HttpExporter(endpoint=running.http + "/v1/logs", timeout=30),
    "http-gzip": lambda running: HttpExporter(
        endpoint=f"{running.http}{LANGFUSE}/v1/logs", timeout=30, compression=Compression.Gzip
    ),
}
every_exporter = pytest.mark.parametrize("name", EXPORTERS)


def python_records(count: int) -> Sequence[Any]:
    """Records written within a span."""
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=Resource.create({"service.name": "python-peer"}))
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    logger = provider.get_logger("python-peer", "1.0")
    with TracerProvider().get_tracer("python-peer").start_as_current_span("chat"):
        for number in range(count):
            logger.emit(
                event_name="gen_ai.user.message",
                body={"content": f"café {number}", "parts": [{"deep": True}, None]},
                severity_number=SeverityNumber.INFO,
                attributes={"gen_ai.system": "openai"},
            )
    return memory.get_finished_logs()


async def send(exporter: Any, records: Sequence[Any]) -> Any:
    try:
        return await asyncio.to_thread(exporter.export, records)
    finally:
        await asyncio.to_thread(exporter.shutdown)


def records_of(request: ExportLogsServiceRequest) -> list[Any]:
    return [record for group in request.resource_logs for scope in group.scope_logs for record in scope.log_records]


def logs_export(*ids: tuple[bytes, bytes]) -> ExportLogsServiceRequest:
    """One record per pair of trace and span id."""
    made = ExportLogsServiceRequest()
    scope = made.resource_logs.add().scope_logs.add()
    for trace_id, span_id in ids:
        record = scope.log_records.add(time_unix_nano=1_795_000_000_000_000_000, event_name="gen_ai.choice")
        record.trace_id, record.span_id = trace_id, span_id
        record.body.string_value = "hello"
    return made


GOOD, NONE, BAD = (b"\x01" * 16, b"\x02" * 8), (b"", b""), (b"\x01" * 15, b"\x02" * 8)


@every_exporter
async def test_python_records_arrive_as_they_were(name: str, running: Running) -> None:
    assert await send(EXPORTERS[name](running), python_records(20)) is LogRecordExportResult.SUCCESS
    [kept] = running.intake.kept
    assert (kept.origin.signal, kept.items) == (Signal.LOGS, 20)
    assert ExportLogsServiceRequest.FromString(kept.payload) == kept.data
    records = records_of(kept.data)
    assert [record.body.kvlist_value.values[0].value.string_value for record in records] == [
        f"café {number}" for number in range(20)
    ]
    assert {(record.event_name, len(record.trace_id), len(record.span_id)) for record in records} == {
        ("gen_ai.user.message", 16, 8)
    }
    transport = name.partition("-")[0]
    assert running.counted(transport) == {
        "otelcol_receiver_accepted_log_records_total": 20,
        "otelcol_receiver_requests_total/success": 1,
    }


@every_exporter
async def test_python_exporters_come_back_after_overload(name: str, running: Running) -> None:
    refusals = iter([OverloadError("full", after=0.01)])

    def before() -> None:
        for error in refusals:
            raise error

    running.intake.before = before
    assert await send(EXPORTERS[name](running), python_records(3)) is LogRecordExportResult.SUCCESS
    transport = name.partition("-")[0]
    assert running.metric("otelcol_receiver_refused_log_records", transport) == 3
    assert running.metric("otelcol_receiver_accepted_log_records", transport) == 3
    assert running.metric("otelcol_receiver_refused_spans", transport) == 0


@pytest.mark.parametrize("way", ["grpc", PROTOBUF, JSON])
async def test_records_with_broken_ids_are_rejected_alone(way: str, running: Running) -> None:
    sent = logs_export(GOOD, BAD, NONE)
    if way == "grpc":
        answer = await send_grpc(running.grpc, sent.SerializeToString(), method=METHOD)
        rejected = answer.rejected
    else:
        body = as_json(sent) if way == JSON else sent.SerializeToString()
        answer = await send_http(running.http + "/v1/logs", body, {"Content-Type": way})
        partial = json.loads(answer.body)["partialSuccess"] if way == JSON else None
        response = ExportLogsServiceResponse.FromString(answer.body) if partial is None else None
        rejected = int(partial["rejectedLogRecords"]) if partial else response.partial_success.rejected_log_records
    assert answer.ok and rejected == 1
    assert answer.message == "1 of 3 log records rejected: trace_id is not 16 bytes"
    assert [record.trace_id for record in records_of(running.intake.kept[0].data)] == [GOOD[0], b""]
    transport = "grpc" if way == "grpc" else "http"
    assert running.metric("openfuse_receiver_rejected_log_records", transport) == 1


def as_json(request: ExportLogsServiceRequest) -> bytes:
    """In OTLP/JSON, where ids are hex."""
    records = [
        {
            "timeUnixNano": str(record.time_unix_nano),
            "eventName": record.event_name,
            "traceId": record.trace_id.hex(),
            "spanId": record.span_id.hex(),
            "body": {"stringValue": record.body.string_value},
        }
        for record in records_of(request)
    ]
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_an_empty_export_counts_nowhere(kind: str, running: Running) -> None:
    assert (await send_http(running.http + "/v1/logs", b"", {"Content-Type": kind})).ok
    assert running.intake.kept == [] and running.counted("http") == {}


async def test_traces_sent_to_logs_get_a_hint(running: Running) -> None:
    body = export().SerializeToString()
    over_grpc = await send_grpc(running.grpc, body, method=METHOD)
    over_http = await send_http(running.http + "/v1/logs", body, {"Content-Type": PROTOBUF})
    in_json = await send_http(running.http + "/v1/logs", b'{"resourceSpans": []}', {"Content-Type": JSON})
    for answer in (over_grpc, over_http, in_json):
        assert answer.code == Code.INVALID_ARGUMENT
        assert "traces export sent to the logs path" in answer.message


async def test_another_path_can_be_configured(start: Start) -> None:
    running = await start(http=HttpConfig(ANYWHERE, logs_url_path="in/logs"))
    headers, body = {"Content-Type": PROTOBUF}, logs_export(GOOD).SerializeToString()
    assert (await send_http(running.http + "/in/logs", body, headers)).ok
    assert (await send_http(running.http + "/v1/logs", body, headers)).http == 404


@pytest.mark.parametrize(("taken", "other"), [(Signal.TRACES, "logs"), (Signal.LOGS, "traces")])
async def test_a_signal_without_a_pipeline_is_refused(taken: Signal, other: str, start: Start) -> None:
    running = await start(signals=frozenset({taken}))
    service = {"logs": METHOD, "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export"}[other]
    over_grpc = await send_grpc(running.grpc, b"", method=service)
    over_http = await send_http(f"{running.http}/v1/{other}", b"", {"Content-Type": PROTOBUF})
    assert (over_grpc.code, over_http.http) == (Code.UNIMPLEMENTED, 404)
    for answer in (over_grpc, over_http):
        assert answer.message == f"{other} are not taken: no {other} pipeline names this receiver, {taken} are"


@pytest.mark.parametrize(("kind", "empty"), [(PROTOBUF, b""), (JSON, b"{}")])
async def test_metrics_of_langfuse_sdks_are_let_go(kind: str, empty: bytes, running: Running) -> None:
    answer = await send_http(f"{running.http}{LANGFUSE}/v1/metrics", b"x" * 100, {"Content-Type": kind})
    assert (answer.http, answer.body) == (200, empty)
    assert running.counted("http") == {"openfuse_receiver_discarded_metrics_requests_total": 1}
    assert running.intake.kept == []

"""The checklist for OTLP servers (success, types, malformed and oversized bodies, single bad spans), over every way to send."""

from __future__ import annotations

import gzip

import pytest
from google.rpc.code_pb2 import Code
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_harness import (
    ANYWHERE,
    EXPORT,
    GRPC_WAYS,
    HTTP_WAYS,
    JSON,
    PLAIN_WAYS,
    PROTOBUF,
    WAYS,
    Running,
    Start,
    Way,
    export,
    send_grpc,
    send_http,
    spans_of,
)

from openfuse_collector.receivers.otlp.config import GrpcConfig, HttpConfig
from openfuse_collector.signals import Signal

every_way = pytest.mark.parametrize("way", WAYS, ids=str)
every_encoding = pytest.mark.parametrize("way", PLAIN_WAYS, ids=str)
MIB = 1024 * 1024


@every_way
async def test_an_export_is_kept_and_counted(way: Way, running: Running) -> None:
    sent = export(spans=3)
    answer = await way.send(running, sent)
    assert answer.ok and not answer.partial
    [kept] = running.intake.kept
    assert kept.data == sent and kept.items == 3
    assert ExportTraceServiceRequest.FromString(kept.payload) == sent
    assert (kept.origin.signal, kept.origin.receiver) == (Signal.TRACES, "otlp")
    assert running.counted(way.transport) == {
        "otelcol_receiver_accepted_spans_total": 3,
        "otelcol_receiver_requests_total/success": 1,
    }


@pytest.mark.parametrize("way", [way for way in WAYS if way.encoding == "proto"], ids=str)
async def test_protobuf_is_kept_byte_for_byte(way: Way, running: Running) -> None:
    body = export().SerializeToString() + b"\xfa\x07\x03new"  # a field nobody knows yet
    assert (await way.send_body(running, body)).ok
    assert running.intake.kept[0].payload == body


@every_way
async def test_an_empty_body_is_success_and_not_counted(way: Way, running: Running) -> None:
    answer = await way.send_body(running, b"")
    assert answer.ok and not answer.partial
    assert running.intake.kept == [] and running.counted(way.transport) == {}


@every_way
@pytest.mark.parametrize("scopes", [0, 1])
async def test_an_export_without_spans_is_success_and_not_counted(way: Way, scopes: int, running: Running) -> None:
    empty = ExportTraceServiceRequest()
    resource = empty.resource_spans.add()
    for _ in range(scopes):
        resource.scope_spans.add()
    answer = await way.send(running, empty)
    assert answer.ok and not answer.partial
    assert running.intake.kept == [] and running.counted(way.transport) == {}


async def test_success_without_remarks_has_the_smallest_body(running: Running) -> None:
    for kind, body in ((PROTOBUF, b""), (JSON, b"{}")):
        assert (await send_http(running.http + "/v1/traces", b"", {"Content-Type": kind})).body == body


@pytest.mark.parametrize("kind", [PROTOBUF, JSON, "application/protobuf"])
@pytest.mark.parametrize("parameter", ["", "; charset=utf-8", ";charset=UTF-8", " ; x=y"])
async def test_the_answer_has_the_type_of_the_request(kind: str, parameter: str, running: Running) -> None:
    url = running.http + "/v1/traces"
    answer = await send_http(url, b"", {"Content-Type": kind.title() + parameter})
    assert answer.ok and answer.headers["Content-Type"] == kind


@pytest.mark.parametrize("path", ["/v1/traces", "/api/public/otel/v1/traces"])
async def test_both_paths_take_traces(path: str, running: Running) -> None:
    assert (await send_http(running.http + path, export().SerializeToString(), {"Content-Type": PROTOBUF})).ok
    assert len(running.intake.kept) == 1


async def test_another_path_can_be_configured(start: Start) -> None:
    running = await start(http=HttpConfig(ANYWHERE, traces_url_path="otlp/in"))
    headers = {"Content-Type": PROTOBUF}
    assert (await send_http(running.http + "/otlp/in", export().SerializeToString(), headers)).ok
    assert (await send_http(running.http + "/v1/traces", b"", headers)).http == 404


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize(
    ("method", "path", "http", "code", "hint"),
    [
        ("GET", "/v1/traces", 405, Code.UNIMPLEMENTED, "POST"),
        ("PUT", "/v1/traces", 405, Code.UNIMPLEMENTED, "POST"),
        ("POST", "/v2/nothing", 404, Code.NOT_FOUND, "/v2/nothing"),
        ("POST", "/", 404, Code.NOT_FOUND, "/v1/traces"),
        ("POST", "/v1/metrics", 404, Code.NOT_FOUND, "metrics"),
    ],
)
async def test_what_is_no_export_gets_a_status(
    kind: str, method: str, path: str, http: int, code: int, hint: str, running: Running
) -> None:
    answer = await send_http(running.http + path, b"", {"Content-Type": kind}, method)
    assert (answer.http, answer.code) == (http, code)
    assert answer.headers["Content-Type"] == kind and hint in answer.message


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded"])
async def test_other_types_are_unsupported(kind: str, running: Running) -> None:
    answer = await send_http(running.http + "/v1/traces", b"hello", {"Content-Type": kind} if kind else {})
    assert (answer.http, answer.code) == (415, Code.INVALID_ARGUMENT)
    assert "application/x-protobuf" in answer.message


@every_way
async def test_malformed_bodies_are_bad_requests(way: Way, running: Running) -> None:
    whole = way.body(export(spans=5))
    for body in (whole[:-1], whole[: len(whole) // 2], b"\xff" + whole, b"hello"):
        answer = await way.send_body(running, body)
        assert (answer.http, answer.code) == (400 if way.transport == "http" else None, Code.INVALID_ARGUMENT), body
    assert running.intake.kept == []
    assert running.counted(way.transport) == {"otelcol_receiver_requests_total/failure": 4}


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize("coding", ["gzip", "zstd", "deflate"])
async def test_broken_compression_is_a_bad_request(kind: str, coding: str, running: Running) -> None:
    headers = {"Content-Type": kind, "Content-Encoding": coding}
    answer = await send_http(running.http + "/v1/traces", b"this is not compressed", headers)
    assert (answer.http, answer.code) == (400, Code.INVALID_ARGUMENT) and coding in answer.message


async def test_an_unknown_coding_is_a_bad_request_that_lists_the_known(running: Running) -> None:
    headers = {"Content-Type": PROTOBUF, "Content-Encoding": "br"}
    answer = await send_http(running.http + "/v1/traces", b"x", headers)
    assert answer.http == 400 and "deflate, gzip, zstd" in answer.message


def limited(way: Way) -> dict[str, object]:
    if way.transport == "grpc":
        return {"grpc": GrpcConfig(ANYWHERE, max_recv_msg_size_mib=1)}
    return {"http": HttpConfig(ANYWHERE, max_request_body_size=MIB)}  # type: ignore[arg-type]


def export_of(way: Way, size: int) -> bytes:
    """An export whose body has exactly so many bytes."""
    request = export(spans=1, padding=size // 2)
    text = spans_of(request)[0].attributes[0].value
    text.string_value += "x" * (size - len(way.body(request)))
    assert len(way.body(request)) in (size, size + 1)  # JSON and the one length prefix that may grow by a byte
    text.string_value = text.string_value[: len(text.string_value) - (len(way.body(request)) - size)]
    assert len(way.body(request)) == size
    return way.body(request)


@every_way
async def test_one_byte_over_the_limit_is_too_large(way: Way, start: Start) -> None:
    running = await start(**limited(way))
    answer = await way.send_body(running, export_of(way, MIB + 1))
    assert answer.code == Code.RESOURCE_EXHAUSTED and answer.http in (413, None)
    assert "Retry-After" not in answer.headers and "grpc-status-details-bin" not in answer.headers
    assert running.intake.kept == []
    assert (await way.send_body(running, export_of(way, MIB))).ok
    assert len(running.intake.kept) == 1


@every_way
async def test_one_bad_span_does_not_take_its_neighbours_along(way: Way, running: Running) -> None:
    sent = export(spans=100)
    spans_of(sent)[41].span_id = bytes(8)
    answer = await way.send(running, sent)
    assert answer.ok and answer.rejected == 1
    assert answer.message == "1 of 100 spans rejected: span_id is all zeros"
    [kept] = running.intake.kept
    assert kept.items == len(spans_of(kept.data)) == 99
    assert ExportTraceServiceRequest.FromString(kept.payload) == kept.data
    assert running.counted(way.transport) == {
        "otelcol_receiver_accepted_spans_total": 99,
        "openfuse_receiver_rejected_spans_total": 1,
        "otelcol_receiver_requests_total/success": 1,
    }


@every_encoding
async def test_when_every_span_is_bad_it_is_still_a_partial_success(way: Way, running: Running) -> None:
    sent = export(spans=4)
    for span in spans_of(sent):
        span.trace_id = b"short"
    answer = await way.send(running, sent)
    assert answer.ok and answer.rejected == 4
    assert answer.message == "4 of 4 spans rejected: trace_id is not 16 bytes"
    assert running.intake.kept == []


def logs_export(records: int = 3, text: str = "hello") -> ExportLogsServiceRequest:
    made = ExportLogsServiceRequest()
    scope = made.resource_logs.add().scope_logs.add()
    for number in range(records):
        record = scope.log_records.add(time_unix_nano=1_795_000_000_000_000_000 + number, severity_number=9)
        record.body.string_value = text
        record.trace_id, record.span_id = b"\x0a" * 16, b"\x0b" * 8
    return made


def metrics_export() -> ExportMetricsServiceRequest:
    made = ExportMetricsServiceRequest()
    metric = made.resource_metrics.add().scope_metrics.add().metrics.add(name="gen_ai.client.token.usage", unit="1")
    metric.gauge.data_points.add(as_int=1, time_unix_nano=1_795_000_000_000_000_000)
    return made


@pytest.mark.parametrize("way", [way for way in WAYS if way.encoding == "proto"], ids=str)
async def test_other_signals_on_the_traces_path_get_a_hint(way: Way, running: Running) -> None:
    bare = logs_export()
    for record in bare.resource_logs[0].scope_logs[0].log_records:
        record.ClearField("trace_id")
    for signal, body in (
        ("logs", logs_export()),
        ("logs", logs_export(text="ü" * 200)),
        ("logs", bare),
        ("metrics", metrics_export()),
    ):
        answer = await way.send_body(running, body.SerializeToString())
        assert answer.code == Code.INVALID_ARGUMENT and f"{signal} export sent to the traces path" in answer.message
    assert running.intake.kept == []


@pytest.mark.parametrize("way", [way for way in HTTP_WAYS if way.encoding == "json"], ids=str)
@pytest.mark.parametrize("signal", ["logs", "metrics"])
async def test_other_signals_in_json_get_a_hint(way: Way, signal: str, running: Running) -> None:
    answer = await way.send_body(running, b'{"resource%s": [{}]}' % signal.title().encode())
    assert answer.http == 400 and f"{signal} export sent to the traces path" in answer.message


async def test_metrics_are_unimplemented_with_a_reason(running: Running) -> None:
    signal, method = "metrics", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
    answer = await send_grpc(running.grpc, b"", method=method)
    assert answer.code == Code.UNIMPLEMENTED and signal in answer.message


async def test_a_call_without_a_message_is_bad_data(running: Running) -> None:
    import grpc.aio

    async with grpc.aio.insecure_channel(running.grpc) as channel:
        call = channel.stream_unary(EXPORT)()
        await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@every_way
async def test_the_sdk_is_noted(way: Way, running: Running) -> None:
    await way.send(running, export(), headers={"x-langfuse-sdk-name": "python", "x-langfuse-sdk-version": "5.0.4"})
    await way.send(running, export(), headers={"x_langfuse_sdk_name": "javascript", "x_langfuse_sdk_version": "4"})
    await way.send(running, export())
    origins = [kept.origin for kept in running.intake.kept]
    assert [(origin.sdk_name, origin.sdk_version) for origin in origins] == [
        ("python", "5.0.4"),
        ("javascript", "4"),
        ("unknown", "unknown"),
    ]
    assert all((origin.project_id, origin.public_key) == ("default", "") for origin in origins)


@pytest.mark.parametrize("way", GRPC_WAYS + HTTP_WAYS, ids=str)
async def test_invalid_utf8_is_repaired(way: Way, running: Running) -> None:
    body = way.body(export()).replace(b"span 2", b"sp\xff\xfe 2")
    assert (await way.send_body(running, body)).ok
    [kept] = running.intake.kept
    assert [span.name for span in spans_of(kept.data)] == ["span 1", "sp\ufffd\ufffd 2", "span 3"]
    assert ExportTraceServiceRequest.FromString(kept.payload) == kept.data
    assert running.metric("openfuse_receiver_repaired_strings", way.transport) >= 1


async def test_gzip_of_several_members_is_one_body(running: Running) -> None:
    body = export().SerializeToString()
    members = gzip.compress(body[:40]) + gzip.compress(body[40:])
    headers = {"Content-Type": PROTOBUF, "Content-Encoding": "gzip"}
    assert (await send_http(running.http + "/v1/traces", members, headers)).ok
    assert running.intake.kept[0].payload == body

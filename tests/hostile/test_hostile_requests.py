"""Requests made to do harm, sent to a real collector: each is refused or stored, so are its neighbours, and memory stays bounded."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import socket
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from openfuse_collector.pdata.wire import framed
from tests.builders import RECEIVED_AT
from tests.collector_process import CollectorProcess, wait_until

MIB = 1024 * 1024
LARGEST = 8 * MIB
IN_FLIGHT = 64 * MIB
INFLATED = int(os.environ.get("OPENFUSE_BOMB_MIB", "64")) * MIB
"""What a bomb would become. `make hostile` sends larger ones."""
SETS = {
    "receivers.otlp.max_in_flight": "64MiB",
    "receivers.otlp.protocols.http.max_request_body_size": "8MiB",
    "receivers.otlp.protocols.grpc.max_recv_msg_size_mib": "8",
    "connectors.genai.max_attribute_value_bytes": "1MiB",
    "service.telemetry.logs.encoding": "json",
}
PROTOBUF, JSON = "application/x-protobuf", "application/json"
INGESTION = "/api/public/ingestion"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorProcess]:
    """One collector for all tests: what one does to it, the next one meets."""
    process = CollectorProcess(tmp_path_factory.mktemp("hostile"), SETS).start()
    try:
        yield process
        assert process.stop() == 0, process.log
        assert "Traceback" not in process.log
    finally:
        process.kill()


def post(
    collector: CollectorProcess, path: str, body: bytes, type: str = PROTOBUF, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", collector.http_port, timeout=120)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request("POST", path, body, {"Content-Type": type, "Authorization": "Basic cGs6c2s=", **named})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def one_span(name: str = "span", number: int = 1, **attributes: Any) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name=name)
    span.trace_id, span.span_id = number.to_bytes(16, "big"), number.to_bytes(8, "big")
    span.start_time_unix_nano, span.end_time_unix_nano = RECEIVED_AT, RECEIVED_AT + 5
    for key, value in attributes.items():
        span.attributes.add(key=key).value.CopyFrom(
            value if isinstance(value, AnyValue) else AnyValue(string_value=value)
        )
    return request


_numbers = iter(range(1000, 10_000_000))


def is_well(collector: CollectorProcess) -> None:
    """It stores what comes next."""
    number = next(_numbers)
    assert post(collector, "/v1/traces", one_span("neighbour", number).SerializeToString())[0] == 200
    collector.wait_for_rows("SELECT id FROM observations WHERE id = ?", f"{number:016x}")


def peak(collector: CollectorProcess) -> int:
    """Highest resident memory since the last `forget_peak`, bytes."""
    return memory(collector, "VmHWM")


def memory(collector: CollectorProcess, field: str) -> int:
    status = Path(f"/proc/{collector.pid}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field))


def forget_peak(collector: CollectorProcess) -> None:
    Path(f"/proc/{collector.pid}/clear_refs").write_text("5")


def _zstd(megabytes: int, sized: bool) -> bytes:
    made = zstandard.ZstdCompressor(level=19).compressobj(size=megabytes * MIB if sized else -1)
    chunk = bytes(MIB)
    return b"".join(made.compress(chunk) for _ in range(megabytes)) + made.flush()


def _zlib(megabytes: int, wbits: int) -> bytes:
    made = zlib.compressobj(9, zlib.DEFLATED, wbits)
    chunk = bytes(MIB)
    return b"".join(made.compress(chunk) for _ in range(megabytes)) + made.flush()


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip": ("gzip", lambda: _zlib(INFLATED // MIB, 31)),
    "gzip in gzip": ("gzip", lambda: gzip.compress(_zlib(INFLATED // MIB, 31))),
    "deflate": ("deflate", lambda: _zlib(INFLATED // MIB, 15)),
    "bare deflate": ("deflate", lambda: _zlib(INFLATED // MIB, -15)),
    "zstd with its size": ("zstd", lambda: _zstd(INFLATED // MIB, True)),
    "zstd without": ("zstd", lambda: _zstd(INFLATED // MIB, False)),
}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("path, type", [("/v1/traces", PROTOBUF), ("/v1/logs", JSON), (INGESTION, JSON)])
@pytest.mark.parametrize("name", BOMBS)
def test_decompression_bombs(hostile: CollectorProcess, name: str, path: str, type: str) -> None:
    """A thousand to one, eight at a time: never more than may be in flight above what it was."""
    coding, make = BOMBS[name]
    bomb = _made.get(name) or _made.setdefault(name, make())
    assert name == "gzip in gzip" or INFLATED / len(bomb) > 1000
    is_well(hostile)
    forget_peak(hostile)
    before = memory(hostile, "VmRSS")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(hostile, path, bomb, type, Content_Encoding=coding)[0], range(8)))
    grown = peak(hostile) - before
    refused = {400} if name == "gzip in gzip" else {413, 400, 503, 429}
    assert set(answers) <= refused, answers
    assert grown <= IN_FLIGHT, f"{grown / MIB:.0f} MiB more"
    is_well(hostile)


_made: dict[str, bytes] = {}


@pytest.mark.parametrize("path, type", [("/v1/traces", PROTOBUF), (INGESTION, JSON)])
def test_a_body_in_empty_pieces(hostile: CollectorProcess, path: str, type: str) -> None:
    status, answer = post(hostile, path, gzip.compress(b"") * 100_000, type, Content_Encoding="gzip")
    assert (status, b"more than 10,000 pieces" in answer) == (400, True), answer
    is_well(hostile)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from /proc")
def test_what_would_become_many_times_its_size(hostile: CollectorProcess) -> None:
    """Four million empty spans, whose messages would take 600 MiB, eight times at a time."""
    body = gzip.compress(nested(b"\x12\x00" * (LARGEST // 2 - 8)))
    is_well(hostile)
    forget_peak(hostile)
    before = memory(hostile, "VmRSS")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(hostile, "/v1/traces", body, Content_Encoding="gzip")[0], range(8)))
    assert set(answers) <= {413, 503}
    assert peak(hostile) - before <= 2 * IN_FLIGHT
    is_well(hostile)


def test_a_bomb_over_grpc(hostile: CollectorProcess) -> None:
    forget_peak(hostile)
    before = memory(hostile, "VmRSS")
    bomb = bytes(64 * MIB)
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(
        f"127.0.0.1:{hostile.grpc_port}", options=options, compression=grpc.Compression.Gzip
    ) as channel:
        call = channel.unary_unary(
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            request_serializer=lambda body: body,
            response_deserializer=ExportTraceServiceResponse.FromString,
        )
        for _ in range(4):
            with pytest.raises(grpc.RpcError) as caught:
                call(bomb, timeout=120)
            assert caught.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT)
    assert peak(hostile) - before <= IN_FLIGHT
    is_well(hostile)


def deep_json(levels: int) -> bytes:
    value = '{"arrayValue":{"values":[' * levels + '{"intValue":"1"}' + "]}}" * levels
    span = {"traceId": f"{7:032x}", "spanId": f"{7:016x}", "name": "deep", "attributes": [{"key": "deep", "value": 0}]}
    times = {"startTimeUnixNano": str(RECEIVED_AT), "endTimeUnixNano": str(RECEIVED_AT)}
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [{**span, **times}]}]}]}
    return json.dumps(request).replace('"value": 0', f'"value": {value}').encode()


def envelope(body: str, id: str = "e-1") -> bytes:
    head = {"id": id, "type": "span-create", "timestamp": "2026-11-21T06:00:00Z", "body": 0}
    return json.dumps({"batch": [head]}).replace('"body": 0', f'"body": {body}').encode()


def value(text: str, id: str) -> bytes:
    """An event with one value in its metadata."""
    return envelope(f'{{"id":"{id}","metadata":{{"v":{text}}}}}')


SPAN = framed(1, (99).to_bytes(16, "big")) + framed(2, (99).to_bytes(8, "big"))


def nested(items: bytes) -> bytes:
    """An export of one scope."""
    return framed(1, framed(2, items))


def numbers_beyond() -> bytes:
    request = json.loads(deep_json(0).decode())
    span = request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["attributes"] = [
        {"key": "nan", "value": {"doubleValue": "NaN"}},
        {"key": "infinite", "value": {"doubleValue": "-Infinity"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": str(2**63 - 1)}},
    ]
    return json.dumps(request).encode()


HOSTILE: dict[str, tuple[str, str, Callable[[], bytes], set[int]]] = {
    "JSON nested 40 deep": ("/v1/traces", JSON, lambda: deep_json(40), {200}),
    "JSON nested 100,000 deep": ("/v1/traces", JSON, lambda: deep_json(100_000), {400, 200}),
    "brackets": ("/v1/traces", JSON, lambda: b"[" * 4_000_000, {413}),
    "two million empty lists": (INGESTION, JSON, lambda: envelope('{"id":"l","input":[' + "[]," * 2_000_000 + "[]]}"), {400}),
    "ingestion nested 100,000 deep": (INGESTION, JSON, lambda: envelope('{"id":"d","input":' + "[" * 100_000 + "]" * 100_000 + "}"), {207}),
    "ingestion nested 500 deep": (INGESTION, JSON, lambda: envelope('{"id":"d5","input":' + "[" * 500 + "]" * 500 + "}"), {207}),
    "a key of 4 MiB": (INGESTION, JSON, lambda: envelope(f'{{"id":"k","metadata":{{"{"k" * 4 * MIB}":1}}}}'), {207}),
    "an attribute key of 4 MiB": ("/v1/traces", PROTOBUF, lambda: one_span("key", 11, **{"k" * 4 * MIB: "v"}).SerializeToString(), {200}),
    "200,000 attributes": (
        "/v1/traces", PROTOBUF, lambda: one_span("many", 12, **{f"key.{n}": "v" for n in range(200_000)}).SerializeToString(), {200}
    ),
    "invalid UTF-8 in protobuf": (
        "/v1/traces", PROTOBUF, lambda: one_span("utf8", 13, key="letters").SerializeToString().replace(b"letters", b"let\xff\xc3rs"), {200}
    ),
    "invalid UTF-8 in JSON": (INGESTION, JSON, lambda: envelope('{"id":"u","name":"XX"}').replace(b"XX", b"\xff\xc3"), {207}),
    "half a surrogate pair": (INGESTION, JSON, lambda: envelope('{"id":"\\ud800s","name":"\\udfff"}', "e-2"), {207}),
    "NaN and infinity": ("/v1/traces", JSON, numbers_beyond, {200}),
    "a bare NaN": (INGESTION, JSON, lambda: value("NaN", "n"), {207, 400}),
    "an integer of 2^64": (INGESTION, JSON, lambda: value(str(2**64), "i"), {207}),
    "an integer of 10,000 digits": (INGESTION, JSON, lambda: value("9" * 10_000, "i2"), {207, 400}),
    "a number of 1e999": (INGESTION, JSON, lambda: value("1e999", "i3"), {207, 400}),
    "one attribute of 7 MiB": (
        "/v1/traces", PROTOBUF, lambda: one_span("long", 14, **{"gen_ai.prompt": "x" * 7 * MIB}).SerializeToString(), {200}
    ),
    "four million empty spans": ("/v1/traces", PROTOBUF, lambda: nested(b"\x12\x00" * (LARGEST // 2 - 8)), {413}),
    "half a million empty resources": ("/v1/traces", PROTOBUF, lambda: b"\x0a\x00" * 500_000, {413}),
    "two million empty JSON spans": (
        "/v1/logs", JSON, lambda: b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + b"{}," * 2_000_000 + b"{}]}]}]}", {413}
    ),
    "a million empty attributes": (
        "/v1/traces", PROTOBUF, lambda: nested(framed(2, SPAN + b"\x4a\x00" * 1_000_000)), {200}
    ),
    "no protobuf at all": ("/v1/traces", PROTOBUF, lambda: b"\xff" * 1000, {400}),
    "an empty path of media": ("/api/public/media/../../../etc/passwd", JSON, lambda: b"{}", {404, 405, 400}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies(hostile: CollectorProcess, name: str) -> None:
    path, type, make, expected = HOSTILE[name]
    status, answer = post(hostile, path, make(), type)
    assert status in expected, answer[:500]
    is_well(hostile)


def test_a_long_attribute_is_cut_and_reported(hostile: CollectorProcess) -> None:
    name = "cut here"
    body = one_span(name, 15, **{"langfuse.observation.input": "x" * 7 * MIB}).SerializeToString()
    assert post(hostile, "/v1/traces", body)[0] == 200
    (row,) = hostile.wait_for_rows("SELECT input, metadata FROM observations WHERE name = ?", name)
    assert row["input"].endswith(f"… [truncated: {MIB} of {7 * MIB} bytes kept]")
    assert "openfuse.truncated" in row["metadata"]
    assert hostile.metric("openfuse_connector_truncated_values_total", connector="genai") >= 1
    assert "attribute values cut" in hostile.log


def many_spans(name: str, first: int, count: int, **attributes: Any) -> ExportTraceServiceRequest:
    """Spans numbered from `first`, of one resource."""
    made = one_span(name, first, **attributes)
    for number in range(first + 1, first + count):
        (alone,) = one_span(name, number, **attributes).resource_spans
        made.resource_spans[0].scope_spans[0].spans.extend(alone.scope_spans[0].spans)
    return made


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from /proc")
def test_metadata_of_nothing_but_brackets(hostile: CollectorProcess) -> None:
    """As JSON it becomes a hundred times its size: 45 MB took three gigabytes and several minutes."""
    name = "span of brackets"
    made = many_spans(name, 40_000, 2, **{"langfuse.trace.metadata": "[" + ",".join(["[]"] * 1_200_000) + "]"})
    is_well(hostile)
    forget_peak(hostile)
    before = memory(hostile, "VmRSS")
    assert post(hostile, "/v1/traces", made.SerializeToString())[0] == 200
    hostile.wait_for_rows("SELECT id FROM observations WHERE name = ?", name, at_least=2)
    assert peak(hostile) - before <= 128 * MIB


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from /proc")
def test_lists_of_holes(hostile: CollectorProcess) -> None:
    """Ten thousand nulls for each of two attributes of 1,000 spans, 125 KiB, took 420 MiB."""
    spans, name = 1000, "span of holes"
    sides = {"gen_ai.prompt.10000.content": "asked", "gen_ai.completion.10000.content": "said"}
    is_well(hostile)
    forget_peak(hostile)
    before = memory(hostile, "VmRSS")
    assert post(hostile, "/v1/traces", many_spans(name, 30_000, spans, **sides).SerializeToString())[0] == 200
    rows = hostile.wait_for_rows("SELECT input, output FROM observations WHERE name = ?", name, at_least=spans)
    assert peak(hostile) - before <= 64 * MIB
    shown = Counter((row["input"], row["output"]) for row in rows)
    assert shown['[{"content":"asked"}]', '[{"content":"said"}]'] == spans - 1


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from /proc")
def test_a_large_resource_is_not_stored_as_often_as_there_are_spans(hostile: CollectorProcess) -> None:
    """A mebibyte beside 400 spans took 870 MiB."""
    spans, name = 400, "span of a large resource"
    made = many_spans(name, 20_000, spans)
    spoken_of = made.resource_spans[0]
    spoken_of.resource.attributes.add(key="service.name").value.string_value = "shop"
    spoken_of.resource.attributes.add(key="process.command_line").value.string_value = "x" * MIB
    is_well(hostile)
    forget_peak(hostile)
    before = memory(hostile, "VmRSS")
    assert post(hostile, "/v1/traces", made.SerializeToString())[0] == 200
    rows = hostile.wait_for_rows("SELECT metadata FROM observations WHERE name = ?", name, at_least=spans)
    assert peak(hostile) - before <= 64 * MIB
    assert all(len(row["metadata"]) < 1000 and "shop" in row["metadata"] for row in rows)
    is_well(hostile)


def raw(collector: CollectorProcess, request: bytes) -> bytes:
    """What comes back for bytes that no client library would send, until the server closes."""
    with socket.create_connection(("127.0.0.1", collector.http_port), timeout=60) as connection:
        try:
            connection.sendall(request)
        except OSError:  # it may have hung up on us already
            pass
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
        return answer


def test_headers_of_a_mebibyte(hostile: CollectorProcess) -> None:
    forget_peak(hostile)
    before = memory(hostile, "VmRSS")
    for header in (b"X-Long: " + b"x" * MIB, b"\r\n".join(b"X-%d: y" % n for n in range(100_000))):
        answer = raw(hostile, b"POST /v1/traces HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n")
        assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400", b"HTTP/1.1 431")), answer[:200]
    assert peak(hostile) - before <= IN_FLIGHT
    is_well(hostile)


def test_metadata_of_a_mebibyte_over_grpc(hostile: CollectorProcess) -> None:
    options = [("grpc.max_metadata_size", 64 * MIB), ("grpc.absolute_max_metadata_size", 64 * MIB)]
    with grpc.insecure_channel(f"127.0.0.1:{hostile.grpc_port}", options=options) as channel:
        call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        with pytest.raises(grpc.RpcError):
            call(one_span().SerializeToString(), metadata=[("x-long", "x" * MIB)], timeout=60)
    is_well(hostile)


END = "Content-Length: 2\r\nConnection: close\r\n\r\n{}"
PATHS = (
    *(
        "/../../etc/passwd",
        "/v1/traces/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/v1//traces",
    ),
    *("/api/public/media/upload/..%2f..%2f..%2fetc%2fpasswd", "/api/public/media/%00", "/api/public/media/a%0d%0aX:y"),
    *(
        "/api/public/media/" + "a" * 5000,
        "/api/public/media/..\\..\\x",
        "*",
        "/%ff%fe",
        "/\u202e".encode().decode("latin-1"),
    ),
)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "PATCH", "DELETE"])
def test_paths_lead_nowhere(hostile: CollectorProcess, method: str) -> None:
    for path in PATHS:
        request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic cGs6c2s=\r\n{END}"
        answer = raw(hostile, request.encode("latin-1"))
        assert answer.startswith(b"HTTP/1."), (path, answer[:300])
        status = int(answer.split(b" ", 2)[1])
        assert 400 <= status < 500, (path, answer[:300])
        assert b"root:" not in answer
        assert b"\r\nX:y" not in answer
    is_well(hostile)


def test_media_ids_cannot_leave_their_directory(hostile: CollectorProcess) -> None:
    body = {"traceId": "../../t", "contentType": "image/png\r\nX-Evil: 1", "contentLength": 1, "field": "input"}
    for hash in ("../../../../tmp/evil", "A" * 43 + "=", "/" * 43 + "="):
        status, answer = post(hostile, "/api/public/media", json.dumps({**body, "sha256Hash": hash}).encode(), JSON)
        assert status in (200, 201, 400, 404, 413), answer
        assert b"\r\nX-Evil" not in answer
    assert list(hostile.directory.parent.rglob("*evil*")) == []
    is_well(hostile)


@pytest.mark.parametrize("encoding", ["json", "console"])
def test_line_breaks_and_escapes_do_not_reach_the_log(tmp_path: Path, encoding: str) -> None:
    """Whatever a sender can get into a line of log stays inside that line, and drives no terminal."""
    evil = "evil\r\n2026-11-21T00:00:00Z [info     ] forged line\x1b[2J\x9b31m\u202e"
    sets = {**SETS, "service.telemetry.logs.encoding": encoding, "service.telemetry.logs.level": "debug"}
    collector = CollectorProcess(tmp_path / encoding, sets).start()
    try:
        long = one_span(evil, 21, **{"gen_ai.prompt" + evil: "x" * 2 * MIB})
        assert post(collector, "/v1/traces", long.SerializeToString())[0] == 200
        for name in ("User-Agent", "X-Langfuse-Sdk-Name", "Content-Type", "Content-Encoding", "Authorization"):
            headers = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\n{name}: a\x1b[31mb\x9b31m\r\n{END}"
            raw(collector, headers.encode("latin-1"))
        post(
            collector, INGESTION, json.dumps({"batch": [{"id": evil, "type": evil, "timestamp": evil}]}).encode(), JSON
        )
        broken = one_span(evil, 22)
        broken.resource_spans[0].scope_spans[0].spans[0].span_id = b"short"
        post(collector, "/v1/traces", broken.SerializeToString())
        wait_until(lambda: "attribute values cut" in collector.log, lambda: collector.log, 60)
        assert collector.stop() == 0
        log = collector.log_file.read_bytes().decode()
    finally:
        collector.kill()
    lines = log.splitlines()
    assert all(line.isprintable() for line in lines), [line for line in lines if not line.isprintable()][:3]
    assert not any(line.startswith("2026-11-21T00:00:00Z [info     ] forged") for line in lines)
    assert "forged line" in log, "the test has to get something into the log"

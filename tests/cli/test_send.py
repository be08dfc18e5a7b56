"""`openfuse-collector send` against servers that take, refuse, reject in part and ask for patience, over HTTP and gRPC."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from openfuse_collector.cli.replay import Encoding, as_protobuf, json_mapping, read_request
from openfuse_collector.cli.send import send
from openfuse_collector.cli.transport import Fate, Outcome, send_until_answered
from openfuse_collector.cli.views.counted import counted
from tests.collector_process import CollectorProcess

TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"


def request_of(*names: str) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for name in names:
        span = spans.add(name=name, trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN), kind=3)
        span.parent_span_id = bytes.fromhex(PARENT)
        span.start_time_unix_nano = 1_795_262_400_123_456_789
        span.attributes.add(key="gen_ai.request.model").value.string_value = "gpt-4o-mini"
        span.links.add(trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(PARENT))
    return request


@dataclass
class Peer:
    """An OTLP/HTTP server that answers from a script, then 200; it keeps what it was sent."""

    url: str = ""
    script: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.calls.append((self.path, dict(self.headers), body))
            status, headers, answer = made.script.pop(0) if made.script else (200, {}, b"")
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with serving(Handler) as url:
        made.url = url
        yield made


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A directory as the replay expects it: two requests among files that are none."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "001.traces.pb").write_bytes(request_of("one", "two").SerializeToString())
    (tmp_path / "deep" / "er" / "002.traces.json").write_text(json.dumps(json_mapping(request_of("three"))))
    (tmp_path / "deep" / "001.headers.json").write_text('{"path": "/v1/traces"}')
    (tmp_path / "deep" / "003.logs.pb").write_bytes(b"\0")
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(send, [str(argument) for argument in arguments])


def test_a_directory_is_sent_byte_for_byte_each_file_in_its_encoding(peer: Peer, kept: Path) -> None:
    sent = run(kept, "--endpoint", peer.url, "--header", "Authorization=Basic a=b")
    assert (sent.exit_code, sent.stdout) == (0, "2 requests taken, 0 refused; 3 spans taken, 0 rejected\n")
    first, second = peer.calls
    assert [call[0] for call in peer.calls] == ["/v1/traces"] * 2
    assert first[1]["Authorization"] == "Basic a=b"
    assert [call[1]["Content-Type"] for call in peer.calls] == ["application/x-protobuf", "application/json"]
    assert first[2] == (kept / "deep" / "001.traces.pb").read_bytes()
    assert second[2] == (kept / "deep" / "er" / "002.traces.json").read_bytes()


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("", "/v1/traces"),
        ("/", "/v1/traces"),
        ("/api/public/otel", "/api/public/otel/v1/traces"),
        ("/x/v1/traces", "/x/v1/traces"),
    ],
)
def test_the_path_of_the_endpoint_comes_first(peer: Peer, kept: Path, endpoint: str, path: str) -> None:
    run(kept / "deep" / "001.traces.pb", "--endpoint", peer.url + endpoint)
    assert [call[0] for call in peer.calls] == [path]


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_a_protocol_converts_what_is_kept_in_the_other_one(peer: Peer, kept: Path, protocol: str) -> None:
    assert run(kept, "--endpoint", peer.url, "--protocol", protocol).exit_code == 0
    media = {"http/protobuf": "application/x-protobuf", "http/json": "application/json"}[protocol]
    assert [call[1]["Content-Type"] for call in peer.calls] == [media] * 2
    for (_, _, body), original in zip(peer.calls, (request_of("one", "two"), request_of("three")), strict=True):
        if protocol == "http/protobuf":
            assert ExportTraceServiceRequest.FromString(body) == original
        else:
            assert json.loads(body) == json_mapping(original)


def test_ids_are_hex_and_enums_numbers_in_json() -> None:
    (span,) = json_mapping(request_of("one"))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["spanId"], span["parentSpanId"]) == (TRACE, SPAN, PARENT)
    assert (span["kind"], span["startTimeUnixNano"]) == (3, "1795262400123456789")
    assert span["links"] == [{"traceId": TRACE, "spanId": PARENT}]


def test_both_encodings_of_a_file_are_one_request(kept: Path) -> None:
    both = [read_request(kept / "deep" / "er" / "002.traces.json")]
    path = kept / "three.pb"
    path.write_bytes(request_of("three").SerializeToString())
    both.append(read_request(path))
    assert [request.spans for request in both] == [1, 1]
    assert len({as_protobuf(request) for request in both}) == 1


def test_repeat_sends_everything_again(peer: Peer, kept: Path) -> None:
    assert "6 requests taken" in run(kept, "--endpoint", peer.url, "--repeat", "3").stdout
    assert len(peer.calls) == 6


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_retryable_status_is_tried_again_when_the_server_says(peer: Peer, kept: Path, status: int) -> None:
    peer.script = [(status, {"Retry-After": "0"}, b"busy")] * 2
    sent = run(kept / "deep" / "001.traces.pb", "--endpoint", peer.url)
    assert (sent.exit_code, len(peer.calls)) == (0, 3)
    assert f"{status}" in sent.stderr and "again in 0.0s" in sent.stderr


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500])
def test_a_refused_request_fails_the_run_but_not_its_neighbours(peer: Peer, kept: Path, status: int) -> None:
    peer.script = [(status, {}, b"not like this")]
    sent = run(kept, "--endpoint", peer.url)
    assert (sent.exit_code, sent.stdout) == (1, "1 request taken, 1 refused; 1 span taken, 0 rejected\n")
    assert "001.traces.pb: refused" in sent.stderr and "not like this" in sent.stderr


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("application/x-protobuf", Status(code=3, message="what is wrong with it").SerializeToString()),
        ("application/json", b'{"code":3,"message":"what is wrong with it"}'),
        ("application/x-protobuf", b"what is wrong with it"),
        ("text/plain", b"what is wrong with it"),
    ],
)
def test_a_refusal_says_what_the_status_in_its_body_says(peer: Peer, kept: Path, kind: str, answer: bytes) -> None:
    peer.script = [(400, {"Content-Type": kind}, answer)]
    sent = run(kept / "deep" / "001.traces.pb", "--endpoint", peer.url)
    assert sent.stderr.endswith("refused: 400 Bad Request: what is wrong with it\n")


@pytest.mark.parametrize("encoding", ["pb", "json"])
def test_rejected_spans_are_counted_and_fail_the_run(peer: Peer, kept: Path, encoding: str) -> None:
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 1
    partial.partial_success.error_message = "span_id is not 8 bytes"
    answers = {
        "pb": partial.SerializeToString(),
        "json": b'{"partialSuccess":{"rejectedSpans":"1","errorMessage":"span_id is not 8 bytes"}}',
    }
    peer.script = [(200, {}, answers[encoding])]
    sent = run(*kept.rglob(f"*.traces.{encoding}"), "--endpoint", peer.url)
    taken = {"pb": 1, "json": 0}[encoding]
    assert (sent.exit_code, sent.stdout) == (
        1,
        f"1 request taken, 0 refused; {counted(taken, 'span')} taken, 1 rejected\n",
    )
    assert "span_id is not 8 bytes" in sent.stderr


def test_nobody_there_is_given_up_after_the_patience(kept: Path) -> None:
    with serving(BaseHTTPRequestHandler) as url:
        gone = url
    sent = run(kept / "deep" / "001.traces.pb", "--endpoint", gone, "--retry-for", "0")
    assert (sent.exit_code, "gave up after 0s: 127.0.0.1:" in sent.stderr) == (1, True)
    assert "Errno" not in sent.stderr


def test_http_to_a_grpc_port_says_so(kept: Path, start_collector: Callable[..., CollectorProcess]) -> None:
    port = start_collector().grpc_port
    sent = run(kept / "deep" / "001.traces.pb", "--endpoint", f"http://localhost:{port}", "--retry-for", "0")
    assert (sent.exit_code, "does the port speak gRPC? --protocol grpc sends that" in sent.stderr) == (1, True)
    assert sent.stderr.replace("\n", "").isprintable()


@pytest.mark.parametrize("protocol", ["as-kept", "grpc"])
def test_where_nobody_answers_the_other_requests_are_not_tried(kept: Path, protocol: str) -> None:
    """Each would take the whole patience."""
    with serving(BaseHTTPRequestHandler) as url:
        gone = url
    sent = run(kept, "--endpoint", gone, "--protocol", protocol, "--retry-for", "0")
    assert (sent.exit_code, sent.stdout) == (1, "0 requests taken, 2 refused; 0 spans taken, 0 rejected\n")
    assert sent.stderr.count("gave up") == 1
    assert "nobody answers: is the collector running? Not tried: 1 request\n" in sent.stderr


def test_a_server_that_is_busy_for_too_long_is_asked_again_for_each_request(peer: Peer, kept: Path) -> None:
    peer.script = [(503, {}, b"busy")]
    sent = run(kept, "--endpoint", peer.url, "--retry-for", "0")
    assert (len(peer.calls), sent.stdout) == (2, "1 request taken, 1 refused; 1 span taken, 0 rejected\n")


@dataclass
class Scripted:
    """A transport that answers from a script, and the clock it runs by."""

    answers: list[Outcome]
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def send(self, body: bytes, encoding: Encoding) -> Outcome:
        return self.answers.pop(0)

    def close(self) -> None:
        pass

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


def test_pauses_grow_with_jitter_unless_the_server_names_one() -> None:
    again = Outcome(Fate.RETRY)
    line = Scripted([again, again, again, Outcome(Fate.RETRY, after=7.0), again, Outcome(Fate.TAKEN)])
    outcome = send_until_answered(line, b"", Encoding.JSON, 1000, line.sleep, lambda: line.now)
    assert outcome.fate is Fate.TAKEN
    grown = [0.5, 0.75, 1.125, None, 2.53125]
    for pause, middle in zip(line.pauses, grown, strict=True):
        assert pause == 7.0 if middle is None else middle * 0.5 <= pause <= middle * 1.5


def test_patience_is_a_bound_on_the_whole() -> None:
    line = Scripted([Outcome(Fate.RETRY, "busy", after=10.0)] * 10)
    outcome = send_until_answered(line, b"", Encoding.JSON, 25, line.sleep, lambda: line.now)
    assert (outcome.fate, line.pauses) == (Fate.REFUSED, [10.0, 10.0])
    assert outcome.reason == "gave up after 25s: busy"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """A gRPC server that aborts from a script, then takes."""

    def __init__(self, script: list[tuple[grpc.StatusCode, float | None]]) -> None:
        self.script = script
        self.taken: list[ExportTraceServiceRequest] = []
        self.metadata: dict[str, str | bytes] = {}

    def Export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
        self.metadata = dict(context.invocation_metadata())
        if self.script:
            code, after = self.script.pop(0)
            if after is not None:
                detail = AnyMessage()
                detail.Pack(RetryInfo(retry_delay=Duration(nanos=int(after * 1e9))))
                status = Status(code=code.value[0], details=[detail]).SerializeToString()
                context.set_trailing_metadata((("grpc-status-details-bin", status),))
            context.abort(code, "scripted")
        self.taken.append(request)
        return ExportTraceServiceResponse()


@contextmanager
def grpc_peer(*script: tuple[grpc.StatusCode, float | None]) -> Iterator[tuple[str, Collector]]:
    server, collector = grpc.server(ThreadPoolExecutor(2)), Collector(list(script))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}", collector
    finally:
        server.stop(0).wait()


def test_grpc_sends_protobuf_and_headers_as_metadata(kept: Path) -> None:
    with grpc_peer() as (url, collector):
        sent = run(kept, "--endpoint", url, "--protocol", "grpc", "--header", "Authorization=Basic a=b")
    assert (sent.exit_code, sent.stdout) == (0, "2 requests taken, 0 refused; 3 spans taken, 0 rejected\n")
    assert collector.taken == [request_of("one", "two"), request_of("three")]
    assert collector.metadata["authorization"] == "Basic a=b"


@pytest.mark.parametrize(
    ("code", "after", "taken"),
    [
        (grpc.StatusCode.UNAVAILABLE, 0.001, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 0.001, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, None, False),
        (grpc.StatusCode.INVALID_ARGUMENT, None, False),
        (grpc.StatusCode.UNAUTHENTICATED, 0.001, False),
    ],
)
def test_grpc_codes(kept: Path, code: grpc.StatusCode, after: float | None, taken: bool) -> None:
    with grpc_peer((code, after)) as (url, collector):
        sent = run(kept / "deep" / "001.traces.pb", "--endpoint", url, "--protocol", "grpc")
    assert (sent.exit_code == 0, len(collector.taken)) == (taken, int(taken))
    assert code.name in sent.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pb", b"\x07\x07", "no OTLP trace request"),
        ("a.json", b'{"resourceSpans"', "no OTLP trace request"),
        ("a.json", b'[{"resourceSpans":[]}]', "no OTLP trace request"),
        ("a.pb", gzip.compress(b"zipped", mtime=0), "no OTLP trace request"),
        ("a.txt", b"", "expected *.pb"),
        ("folder", None, "no *.traces.pb"),
    ],
)
def test_what_is_no_request_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    path.mkdir() if content is None else path.write_bytes(content)
    sent = run(path, "--endpoint", "http://127.0.0.1:9")
    assert sent.exit_code == 1
    assert message in sent.stderr and str(path.name if content is not None else "") in sent.stderr


def test_a_span_that_cannot_be_converted_is_not_left_out_in_silence(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":5,"spanId":"00f067aa0ba902b7"}]}]}]}')
    converted = run(path, "--endpoint", peer.url, "--protocol", "http/protobuf")
    assert (converted.exit_code, "cannot be converted" in converted.stderr, peer.calls) == (1, True, [])
    assert run(path, "--endpoint", peer.url).exit_code == 0


@pytest.mark.parametrize(
    "header", ["Authorization", "=x", "Authorization: Basic s3cr3t", "Authorization=Basic s3cr3t\r", "Ünicode=s3cr3t"]
)
def test_what_is_no_header_is_a_usage_error_that_shows_no_value(kept: Path, header: str) -> None:
    wrong = run(kept, "--header", header)
    assert (wrong.exit_code, "is not name=value" in wrong.stderr, "s3cr3t" in wrong.stderr) == (2, True, False)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize(
    "endpoint", ["http://localhost:x", "localhost:99999", "ftp://localhost", "http://[::1", "http://"]
)
def test_what_is_no_endpoint_is_named(kept: Path, endpoint: str, protocol: str) -> None:
    wrong = run(kept, "--endpoint", endpoint, "--protocol", protocol)
    assert (wrong.exit_code, f"{endpoint} is no endpoint: write http://host:port" in wrong.stderr) == (1, True)

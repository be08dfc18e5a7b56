"""A running receiver over an intake that remembers, and clients that speak every combination of transport, encoding and coding."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import io
import json
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
import grpc
import grpc.aio
import msgspec
import zstandard
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from openfuse_collector.cli.replay import json_mapping
from openfuse_collector.component import ComponentID
from openfuse_collector.config.types import Address
from openfuse_collector.receivers.otlp import FACTORY
from openfuse_collector.receivers.otlp.config import GrpcConfig, HttpConfig, OtlpConfig, Protocols
from openfuse_collector.receivers.otlp.receiver import OtlpReceiver
from openfuse_collector.signals import Origin, Signal
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import metric, settings

ANYWHERE = Address("127.0.0.1:0")
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF, JSON = "application/x-protobuf", "application/json"

LARGE = 1 << 20
"""Bytes beyond which aiohttp warns of a body that is sent in one piece."""

Hook = Callable[[], Any]


class Kept(NamedTuple):
    """One call of the intake."""

    origin: Origin
    payload: bytes
    data: Any
    items: int


class RecordingIntake:
    """Remembers what it is given. `before` is called first and may raise; when `gate` is set to an Event, requests wait for it."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []
        self.before: Hook = lambda: None
        self.gate: asyncio.Event | None = None
        self.waiting = 0
        self.signals = frozenset(Signal)

    async def accept(self, origin: Origin, payload: bytes, data: Any, items: int) -> None:
        self.before()
        if self.gate is not None:
            self.waiting += 1
            await self.gate.wait()
        self.kept.append(Kept(origin, payload, data, items))

    @property
    def span_ids(self) -> list[bytes]:
        return [span.span_id for kept in self.kept for span in spans_of(kept.data)]


class Running(NamedTuple):
    """A receiver that listens."""

    receiver: OtlpReceiver
    intake: RecordingIntake
    metrics: Metrics

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.receiver.ports['http']}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.receiver.ports['grpc']}"

    def metric(self, name: str, transport: str, **labels: str) -> float:
        return metric(self.metrics, f"{name}_total", receiver="otlp", transport=transport, **labels)

    def counted(self, transport: str) -> dict[str, float]:
        """Every counter of a transport that is not zero."""
        samples = (sample for family in self.metrics.registry.collect() for sample in family.samples)
        return {
            "/".join((sample.name, *filter(None, [sample.labels.get("outcome")]))): sample.value
            for sample in samples
            if sample.name.endswith("_total") and sample.labels.get("transport") == transport and sample.value
        }


Start = Callable[..., Awaitable[Running]]
"""What the fixture `start` is: `run_receiver`, with the receiver stopped after the test."""


async def run_receiver(
    http: HttpConfig | None = None,
    grpc: GrpcConfig | None = None,
    *,
    authenticator: Any = None,
    signals: frozenset[Signal] = frozenset(Signal),
    intake: RecordingIntake | None = None,
    **config: Any,
) -> Running:
    """Start a receiver on free ports, on both protocols unless one alone is asked for."""
    both = http is None and grpc is None
    protocols = Protocols(
        grpc=grpc or (GrpcConfig(ANYWHERE) if both else None), http=http or (HttpConfig(ANYWHERE) if both else None)
    )
    intake, metrics = intake or RecordingIntake(), Metrics()
    intake.signals = signals
    extensions = {ComponentID("api_keys"): authenticator} if authenticator else {}
    made = dataclasses.replace(settings("otlp", metrics), extensions=extensions)
    receiver = FACTORY.create(made, OtlpConfig(protocols, **config), intake)
    await receiver.start()
    return Running(receiver, intake, metrics)


def export(spans: int = 3, trace: int = 1, padding: int = 0) -> ExportTraceServiceRequest:
    """A request of that many spans of one trace, with ids that name trace and span."""
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "tests"
    scope = resource.scope_spans.add()
    scope.scope.name = "tests"
    for number in range(1, spans + 1):
        span = scope.spans.add(name=f"span {number}", kind=3)
        span.trace_id, span.span_id = trace.to_bytes(16, "big"), (trace << 32 | number).to_bytes(8, "big")
        span.start_time_unix_nano, span.end_time_unix_nano = 1_795_000_000_000_000_000, 1_795_000_001_000_000_000
        span.attributes.add(key="padding").value.string_value = "x" * padding
    return made


def spans_of(request: ExportTraceServiceRequest) -> list[Any]:
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


def as_json(request: ExportTraceServiceRequest) -> bytes:
    return json.dumps(json_mapping(request)).encode()


def _raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


def _zstd_stream(body: bytes) -> bytes:
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(body) + stream.flush()


COMPRESS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "identity": ("", lambda body: body),
    "gzip": ("gzip", gzip.compress),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "zstd-stream": ("zstd", _zstd_stream),
    "deflate": ("deflate", zlib.compress),
    "deflate-raw": ("deflate", _raw_deflate),
}
"""Name -> (Content-Encoding, compression)."""


class Answer(NamedTuple):
    """What a client got, over either transport."""

    ok: bool
    http: int | None
    code: int
    message: str
    rejected: int
    partial: bool
    """Whether partial_success is set."""
    body: bytes
    headers: dict[str, str]


class Way(NamedTuple):
    """One way to send an export."""

    transport: str
    encoding: str
    coding: str

    def __str__(self) -> str:
        return "-".join(filter(None, self))

    def body(self, request: ExportTraceServiceRequest) -> bytes:
        return as_json(request) if self.encoding == "json" else request.SerializeToString()

    async def send(self, running: Running, request: ExportTraceServiceRequest, **options: Any) -> Answer:
        return await self.send_body(running, self.body(request), **options)

    async def send_body(self, running: Running, body: bytes, **options: Any) -> Answer:
        """Send bytes that are compressed here."""
        if self.transport == "grpc":
            return await send_grpc(running.grpc, body, self.coding, **options)
        content_encoding, compress = COMPRESS[self.coding]
        kind = JSON if self.encoding == "json" else PROTOBUF
        headers = {"Content-Type": kind, **options.pop("headers", {})}
        if content_encoding:
            headers["Content-Encoding"] = content_encoding
        return await send_http(running.http + "/v1/traces", compress(body) if body else body, headers, **options)


HTTP_WAYS = [Way("http", encoding, coding) for encoding in ("proto", "json") for coding in COMPRESS]
GRPC_WAYS = [Way("grpc", "proto", coding) for coding in ("identity", "gzip", "deflate")]
WAYS = HTTP_WAYS + GRPC_WAYS
PLAIN_WAYS = [way for way in WAYS if way.coding == "identity"]

_GRPC_COMPRESSION = {
    "identity": grpc.Compression.NoCompression,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}


async def send_http(url: str, body: Any, headers: dict[str, str], method: str = "POST") -> Answer:
    """One request over a connection of its own. Large bodies as files, which is how aiohttp wants them."""
    data = io.BytesIO(body) if isinstance(body, bytes) and len(body) > LARGE else body
    async with (
        aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Content-Type"]) as session,
        session.request(method, url, data=data, headers=headers) as answer,
    ):
        return read_answer(answer.status, await answer.read(), dict(answer.headers))


def read_answer(http: int, body: bytes, headers: dict[str, str]) -> Answer:
    """An OTLP/HTTP answer in the encoding its Content-Type names. Fails when it is not written in it."""
    json_answer = headers.get("Content-Type") == JSON
    if http == 200:
        if json_answer:
            partial = msgspec.json.decode(body).get("partialSuccess")
            rejected, message = int((partial or {}).get("rejectedSpans", 0)), (partial or {}).get("errorMessage", "")
            return Answer(True, 200, 0, message, rejected, partial is not None, body, headers)
        response = ExportTraceServiceResponse.FromString(body)
        success = response.partial_success
        partial = response.HasField("partial_success")
        return Answer(True, 200, 0, success.error_message, success.rejected_spans, partial, body, headers)
    if json_answer:
        decoded = msgspec.json.decode(body)
        return Answer(False, http, decoded["code"], decoded["message"], 0, False, body, headers)
    assert headers["Content-Type"] == PROTOBUF, headers
    status = Status.FromString(body)
    return Answer(False, http, status.code, status.message, 0, False, body, headers)


async def send_grpc(
    address: str,
    body: bytes,
    coding: str = "identity",
    *,
    timeout: float = 30,
    headers: Any = None,
    method: str = EXPORT,
) -> Answer:
    """One call over a channel of its own."""
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        call = channel.unary_unary(method)(
            body, timeout=timeout, metadata=tuple((headers or {}).items()), compression=_GRPC_COMPRESSION[coding]
        )
        try:
            response = ExportTraceServiceResponse.FromString(await call)
        except grpc.aio.AioRpcError as error:
            trailers = dict(error.trailing_metadata() or ())
            return Answer(False, None, error.code().value[0], error.details() or "", 0, False, b"", trailers)
        success = response.partial_success
        partial = response.HasField("partial_success")
        return Answer(True, None, 0, success.error_message, success.rejected_spans, partial, b"", {})

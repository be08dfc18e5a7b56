"""The contract of our receivers, each over its own protocol: what a sender reads out of the answers, as the protocol has it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import grpc.aio
import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from openfuse_collector.cli.replay import json_mapping
from openfuse_collector.component import Component, Kind, Settings
from openfuse_collector.components import factory
from openfuse_collector.config.types import Address
from openfuse_collector.receivers.langfuse.config import LangfuseConfig
from openfuse_collector.receivers.otlp.config import GrpcConfig, HttpConfig, OtlpConfig, Protocols
from openfuse_collector.signals import Signal
from openfuse_collector.testing import Partial, RandomIntake, Reply, check_receiver, numbered

ANYWHERE = Address("127.0.0.1:0")
PROTOBUF, JSON = "application/x-protobuf", "application/json"
RESPONSES = {Signal.TRACES: ExportTraceServiceResponse, Signal.LOGS: ExportLogsServiceResponse}
REJECTED = {Signal.TRACES: "rejected_spans", Signal.LOGS: "rejected_log_records"}
GRPC_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED}
"""Codes after which an OTLP exporter sends again whatever the details say (OTLP 1.11, "Failures")."""
KEYS = {"Authorization": "Basic " + b64encode(b"pk-lf-1:sk-lf-1").decode()}
COUNT = 150


def faulty(number: int) -> bool:
    """Items the receiver has to refuse by itself."""
    return number % 11 == 0


class Running:
    """The receiver under check, once it is made."""

    def __init__(self, type: str, config: Any) -> None:
        self.receiver: Any = None
        self._type, self._config = type, config

    def make(self, settings: Settings, intake: RandomIntake) -> Component:
        self.receiver = factory(Kind.RECEIVER, self._type).create(settings, self._config, intake)
        made: Component = self.receiver
        return made

    def check(self, send: Callable[[Sequence[int]], Awaitable[Any]]) -> None:
        check_receiver(self.make, send, faulty=faulty, count=COUNT)


def export_request(signal: Signal, numbers: Sequence[int]) -> Any:
    """An export whose faulty items have an id that is none."""
    request = numbered.data(signal, numbers)
    spans, records = getattr(request, "resource_spans", ()), getattr(request, "resource_logs", ())
    items = [span for group in spans for scope in group.scope_spans for span in scope.spans]
    items += [record for group in records for scope in group.scope_logs for record in scope.log_records]
    for item in items:
        if faulty(int.from_bytes(item.span_id, "big")):
            item.trace_id = b"none"
    return request


def exported(rejected: int) -> Reply | Partial:
    """Success, whole or partial."""
    return Partial(rejected) if rejected else Reply.ACCEPTED


def otlp_http(signal: Signal, kind: str) -> None:
    running = Running("otlp", OtlpConfig(protocols=Protocols(http=HttpConfig(endpoint=ANYWHERE))))

    async def send(numbers: Sequence[int]) -> Reply | Partial:
        request = export_request(signal, numbers)
        body = request.SerializeToString() if kind == PROTOBUF else msgspec.json.encode(json_mapping(request))
        url = f"http://127.0.0.1:{running.receiver.ports['http']}/v1/{signal}"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=body, headers={"Content-Type": kind}) as answer,
        ):
            content = await answer.read()
        if answer.status != 200:
            return Reply.RETRY if answer.status in (429, 502, 503, 504) else Reply.REFUSED
        if kind == JSON:
            word = {Signal.TRACES: "rejectedSpans", Signal.LOGS: "rejectedLogRecords"}[signal]
            return exported(int(msgspec.json.decode(content).get("partialSuccess", {}).get(word, 0)))
        return exported(getattr(RESPONSES[signal].FromString(content).partial_success, REJECTED[signal]))

    running.check(send)


def otlp_grpc() -> None:
    running = Running("otlp", OtlpConfig(protocols=Protocols(grpc=GrpcConfig(endpoint=ANYWHERE))))

    async def send(numbers: Sequence[int]) -> Reply | Partial:
        body = export_request(Signal.TRACES, numbers).SerializeToString()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{running.receiver.ports['grpc']}") as channel:
            try:
                content = await channel.unary_unary(GRPC_EXPORT)(body, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                return Reply.RETRY if error.code() in AGAIN else Reply.REFUSED
        return exported(ExportTraceServiceResponse.FromString(content).partial_success.rejected_spans)

    running.check(send)


def langfuse() -> None:
    """The answer is 207 with a verdict for each event, unless the whole request is refused."""
    running = Running("langfuse", LangfuseConfig(endpoint=ANYWHERE))

    def envelope(number: int) -> dict[str, Any]:
        moment = "yesterday" if faulty(number) else "2026-11-21T06:00:00Z"
        body = {"id": f"{number:016x}", "traceId": "t", "name": f"item {number}"}
        return {"id": str(number), "type": "span-create", "timestamp": moment, "body": body}

    async def send(numbers: Sequence[int]) -> Any:
        url = f"http://127.0.0.1:{running.receiver.port}/api/public/ingestion"
        async with (
            aiohttp.ClientSession(headers=KEYS) as session,
            session.post(url, json={"batch": [envelope(number) for number in numbers]}) as answer,
        ):
            content = await answer.json()
        if answer.status != 207:
            return Reply.RETRY if answer.status == 429 or answer.status >= 500 else Reply.REFUSED
        replies = {int(one["id"]): Reply.ACCEPTED for one in content["successes"]}
        return {**replies, **{int(one["id"]): Reply.REFUSED for one in content["errors"]}}

    running.check(send)

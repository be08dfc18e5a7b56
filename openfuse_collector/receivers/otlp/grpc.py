"""OTLP/gRPC on the running loop: handlers over raw bytes, so that every request is decoded once, and by us.

The calls are unary on the wire. Here they are served as streams of one message, because only then the sender is known, and
can be refused, before the message is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio

from openfuse_collector.listening import cannot_listen
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.exports import Export
from openfuse_collector.pdata.forms import FORMS, Form
from openfuse_collector.pdata.status import Failure, retry_info
from openfuse_collector.receivers.otlp.config import GrpcConfig, KeepaliveConfig
from openfuse_collector.receivers.otlp.encodings import PROTOBUF
from openfuse_collector.receivers.otlp.ingest import Ingest, not_taken
from openfuse_collector.receivers.otlp.reads import Reads
from openfuse_collector.receivers.otlp.tls import grpc_credentials
from openfuse_collector.signals import Signal

GRACE = 5.0
"""Seconds calls under way get at shutdown, after clients were told to send no more."""

_MOST = 2**31 - 1
"""Of a channel argument. A duration of so many milliseconds, 25 days, is for ever to gRPC."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_SERVICE = "opentelemetry.proto.collector.{name}.v1.{title}Service"
_PACKAGES = {**{form.signal: form.package for form in FORMS}, Signal.METRICS: "metrics"}
"""Signal -> its part of the service name."""

Call = Callable[[AsyncIterator[bytes], Any], Awaitable[bytes]]


class GrpcServer:
    """A grpc.aio server."""

    def __init__(self, config: GrpcConfig, ingest: Ingest) -> None:
        self._config = config
        self._ingest = ingest
        self._reads = Reads(ingest.shared.in_flight, config.max_message)
        self._server: grpc.aio.Server | None = None
        self.port = 0
        """The port it listens on, also when the configuration left the choice to the system."""

    async def start(self) -> None:
        """Listen. Raises CollectorError when the address cannot be had."""
        self._server = grpc.aio.server(options=_options(self._config))
        taken = {form.signal: self._export(form) for form in self._ingest.shared.forms}
        self._server.add_generic_rpc_handlers(
            [
                _handlers(package, taken.get(signal) or _unimplemented(not_taken(signal, taken)))
                for signal, package in _PACKAGES.items()
            ]
        )
        self.port = self._bind(self._server)
        await self._server.start()

    async def stop(self) -> None:
        """Tell clients to go elsewhere, let calls under way finish."""
        if self._server is not None:
            self._reads.close()
            await self._server.stop(GRACE)

    def _bind(self, server: grpc.aio.Server) -> int:
        config = self._config
        address = f"[::]:{config.endpoint.port}" if config.endpoint.startswith(":") else str(config.endpoint)
        credentials = grpc_credentials(config.tls) if config.tls else None
        try:
            if credentials is None:
                return server.add_insecure_port(address)
            return server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise cannot_listen(config.endpoint, None) from error

    def _export(self, form: Form) -> Call:
        """The Export method of a signal. No exception leaves it, since gRPC would answer UNKNOWN and the sender would drop its data."""

        async def call(messages: AsyncIterator[bytes], context: Any) -> bytes:
            try:
                return PROTOBUF.success(await self._receive(form, context))
            except Exception as error:
                await _abort(context, self._ingest.unsuccessful(error))

        return call

    async def _receive(self, form: Form, context: Any) -> Export:
        ingest = self._ingest
        sender = await ingest.admit(dict(context.invocation_metadata() or ()), self._config.max_message)
        with ingest.shared.in_flight.hold() as hold:
            async with self._reads.turn():
                body = await _message(context)
                hold.resize(len(body))
            return await ingest.receive(body, form, PROTOBUF, sender, context.time_remaining())


async def _message(context: Any) -> bytes:
    """The message of a call, by `read`: an iterator over messages that is not read to its end is never freed, nor is its message."""
    body = await context.read()
    if not isinstance(body, bytes):  # grpc.aio.EOF
        raise BadDataError("the call ended without a message, or gRPC refused it as too large")
    return body


async def _abort(context: Any, failure: Failure) -> NoReturn:
    """Answer with a status. The retry delay goes where the specification says, and where OpenTelemetry's Python exporter looks."""
    trailers = [("grpc-status-details-bin", failure.status.SerializeToString())]
    if failure.after is not None:
        trailers.append(("google.rpc.retryinfo-bin", retry_info(failure.after).SerializeToString()))
    try:
        await context.abort(_CODES[failure.code], failure.message, tuple(trailers))
    except (
        grpc.aio.InternalError
    ) as error:  # gRPC has ended the call itself: the message is too large, the client has left
        raise asyncio.CancelledError from error
    raise AssertionError("abort always raises")


def _handlers(name: str, call: Call) -> grpc.GenericRpcHandler[bytes, bytes]:
    method = grpc.stream_unary_rpc_method_handler(call)
    return grpc.method_handlers_generic_handler(_SERVICE.format(name=name, title=name.title()), {"Export": method})


def _unimplemented(reason: str) -> Call:
    async def call(messages: AsyncIterator[bytes], context: Any) -> bytes:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, reason)
        return b""

    return call


def _options(config: GrpcConfig) -> list[tuple[str, int]]:
    """Channel arguments. A message is held against its limit before and after decompression by gRPC itself."""
    options = [
        ("grpc.max_receive_message_length", config.max_message),
        ("grpc.so_reuseport", 0),  # or a second collector would silently take half of the calls
    ]
    if config.max_concurrent_streams:
        options.append(("grpc.max_concurrent_streams", min(config.max_concurrent_streams, _MOST)))
    return [*options, *_keepalive_options(config.keepalive)]


def _keepalive_options(config: KeepaliveConfig) -> list[tuple[str, int]]:
    server, policy = config.server_parameters, config.enforcement_policy
    seconds = {
        "grpc.max_connection_idle_ms": server.max_connection_idle,
        "grpc.max_connection_age_ms": server.max_connection_age,
        "grpc.max_connection_age_grace_ms": server.max_connection_age_grace,
        "grpc.keepalive_time_ms": server.time,
        "grpc.keepalive_timeout_ms": server.timeout,
        "grpc.http2.min_ping_interval_without_data_ms": policy.min_time,
    }
    options = [(name, min(round(value * 1000), _MOST)) for name, value in seconds.items() if value]
    if policy.permit_without_stream:
        options.append(("grpc.keepalive_permit_without_calls", 1))
    return options

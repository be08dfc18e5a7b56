"""OTLP/HTTP as routes that any aiohttp application can mount, and answers to what is no OTLP."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from openfuse_collector.pdata.exports import Export
from openfuse_collector.pdata.forms import Form
from openfuse_collector.pdata.status import Failure, http_failure
from openfuse_collector.receivers.otlp.config import HttpConfig
from openfuse_collector.receivers.otlp.encodings import ENCODINGS, JSON, Encoding
from openfuse_collector.receivers.otlp.ingest import Ingest, not_taken
from openfuse_collector.receivers.requests.body import expect_later, inflate_body, read_body
from openfuse_collector.signals import Signal

LANGFUSE_PREFIX = "/api/public/otel"
"""Langfuse SDKs append the OTLP paths to this."""


def media_type(request: web.Request) -> str:
    """Content-Type without its parameters."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def failure_response(failure: Failure, request: web.Request) -> web.Response:
    """A google.rpc.Status in the encoding of the request, in JSON where that is none of OTLP's."""
    kind = media_type(request)
    encoding = ENCODINGS.get(kind)
    if encoding is None:
        kind, encoding = "application/json", JSON
    headers = {"Content-Type": kind}
    if failure.retry_after is not None:
        headers["Retry-After"] = failure.retry_after
    return web.Response(body=encoding.failure(failure), status=failure.http, headers=headers)


class ExportHandler:
    """POST of an export of one signal."""

    def __init__(self, ingest: Ingest, form: Form, config: HttpConfig) -> None:
        self._ingest = ingest
        self._form = form
        self._limit = config.max_request_body_size
        self._timeout = config.read_timeout or None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The answer, whatever happens; ConnectionError when the client has left."""
        kind = media_type(request)
        encoding = ENCODINGS.get(kind)
        if encoding is None:
            return failure_response(_unsupported(kind), request)
        try:
            export = await self._receive(request, encoding)
        except ConnectionError:
            raise  # there is nobody to answer
        except Exception as error:
            return failure_response(self._ingest.unsuccessful(error), request)
        return web.Response(body=encoding.success(export), headers={"Content-Type": kind})

    async def _receive(self, request: web.Request, encoding: Encoding) -> Export:
        shared = self._ingest.shared
        sender = await self._ingest.admit(request.headers, self._limit, request.content_length)
        coding = request.headers.get("Content-Encoding", "").strip().lower()
        with shared.in_flight.hold() as hold:
            body = await read_body(request, self._limit, hold, self._timeout)
            body = await inflate_body(body, coding, self._limit, hold, shared.threads)
            return await self._ingest.receive(body, self._form, encoding, sender)


class Discard:
    """POST of an export that is let go: Langfuse SDKs send metrics beside traces, and Langfuse answers 200."""

    def __init__(self, ingest: Ingest, config: HttpConfig) -> None:
        self._ingest = ingest
        self._limit = config.max_request_body_size
        self._timeout = config.read_timeout or None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """An empty success; the body is read, so that the connection can be used again, and not looked at."""
        kind = media_type(request)
        try:
            await self._ingest.admit(request.headers, self._limit, request.content_length)
            with self._ingest.shared.in_flight.hold() as hold:
                await read_body(request, self._limit, hold, self._timeout)
        except ConnectionError:
            raise  # there is nobody to answer
        except Exception as error:
            return failure_response(self._ingest.unsuccessful(error), request)
        self._ingest.happenings.discarded()
        encoding = ENCODINGS.get(kind)
        if encoding is None:
            kind, encoding = "application/json", JSON
        return web.Response(body=encoding.nothing, headers={"Content-Type": kind})


def otlp_routes(ingest: Ingest, config: HttpConfig) -> list[web.RouteDef]:
    """Routes for every signal, and for what is often sent to the wrong place."""
    taken = {form.signal: ExportHandler(ingest, form, config).handle for form in ingest.shared.forms}
    handlers: dict[str, Handler] = {
        "/": _not_found(
            f"traces are taken at {config.traces_path}; exporters use an endpoint that is set for one signal as it is"
        )
    }
    for signal, path in config.paths.items():
        handler = taken.get(signal) or _not_found(not_taken(signal, taken))
        handlers |= dict.fromkeys((path, f"{LANGFUSE_PREFIX}/v1/{signal}"), handler)
    handlers[f"{LANGFUSE_PREFIX}/v1/{Signal.METRICS}"] = Discard(ingest, config).handle
    return [web.post(path, handler, expect_handler=expect_later) for path, handler in handlers.items()]


@web.middleware
async def status_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers of the router itself (unknown path, wrong method) carry a Status too, as OTLP wants of every failure."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        answer = failure_response(http_failure(405, f"{request.method} is not allowed here, only {allowed}"), request)
        answer.headers["Allow"] = allowed
        return answer
    except web.HTTPNotFound:
        return failure_response(http_failure(404, f"there is nothing at {request.path}"), request)


def _unsupported(kind: str) -> Failure:
    got = f'"{kind}"' if kind else "none"
    return http_failure(415, f"Content-Type must be application/x-protobuf or application/json, not {got}")


def _not_found(message: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return failure_response(http_failure(404, message), request)

    return handler

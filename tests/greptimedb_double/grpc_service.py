"""The gRPC side: GreptimeDatabase.Handle, HandleRequests and HealthCheck, on grpcio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from tests.greptimedb_double import wire, writes
from tests.greptimedb_double.calls import Activity
from tests.greptimedb_double.credentials import Credentials
from tests.greptimedb_double.faults import ConnectionBroken, Faults
from tests.greptimedb_double.instance import Instance
from tests.greptimedb_double.sockets import HOST, break_connection
from tests.greptimedb_double.status import ServerError, StatusCode, grpc_status, invalid, unexpected
from tests.greptimedb_double.writes import Batch

_THREADS = 16
_HINT_PREFIX = "x-greptime-hint-"


class _Call:
    """What is known of a call so far, for the log."""

    def __init__(self) -> None:
        self.method = "insert"
        self.database = ""
        self.batches: list[Batch] = []


class GrpcService:
    """Serves one instance on one port; can stop and start again on the same port."""

    def __init__(
        self,
        instance: Instance,
        faults: Faults,
        activity: Activity,
        credentials: Credentials,
        port: int,
        max_message_bytes: int,
    ) -> None:
        self._instance = instance
        self._faults = faults
        self._activity = activity
        self._credentials = credentials
        self._port = port
        self._max_message_bytes = max_message_bytes
        self._server: grpc.Server | None = None

    def start(self) -> None:
        options = [("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", -1)]
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, "double-grpc"), options=options)
        self._server.add_generic_rpc_handlers(self._handlers())
        if self._server.add_insecure_port(f"{HOST}:{self._port}") != self._port:
            raise OSError(f"port {self._port} is taken")
        self._server.start()

    def _handlers(self) -> tuple[Any, ...]:
        """Without deserialisers: requests are decoded by the methods, after their size is known."""
        methods = {
            "Handle": grpc.unary_unary_rpc_method_handler(self.handle),
            "HandleRequests": grpc.stream_unary_rpc_method_handler(self.handle_requests),
        }
        health = {"HealthCheck": grpc.unary_unary_rpc_method_handler(self.health)}
        return (
            grpc.method_handlers_generic_handler(wire.DATABASE_SERVICE, methods),
            grpc.method_handlers_generic_handler(wire.HEALTH_SERVICE, health),
        )

    def stop(self) -> None:
        """Cuts every connection. Calls in progress go on, their answers go nowhere."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def handle(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """One GreptimeRequest to one GreptimeResponse."""
        affected = self._served(request, context)
        response = wire.GreptimeResponse()
        response.header.status.status_code = 0
        response.affected_rows.value = affected
        return bytes(response.SerializeToString())

    def handle_requests(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """A stream of GreptimeRequests; the answer counts the rows of all."""
        response = wire.GreptimeResponse()
        response.affected_rows.value = sum(self._served(request, context) for request in requests)
        return bytes(response.SerializeToString())

    def health(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        def work(call: _Call) -> int:
            call.method = "health"
            return self._faults.through("grpc", "health", (), (), lambda _: 0)

        self._logged(request, context, work)
        return b""

    def _served(self, raw: bytes, context: grpc.ServicerContext) -> int:
        """Does what a GreptimeRequest asks for and answers the number of rows."""

        def work(call: _Call) -> int:
            request = self._parsed(raw)
            call.database = request.header.dbname or request.header.schema or "public"
            self._authenticate(request)
            apply = self._work(request, call, _hints(context))
            names = [batch.table for batch in call.batches]
            return self._faults.through("grpc", call.method, names, call.batches, apply)

        return self._logged(raw, context, work)

    def _logged(self, raw: bytes, context: grpc.ServicerContext, work: Callable[[_Call], int]) -> int:
        """Logs a call before the client hears of its end, whichever it is."""
        call = _Call()
        error: Exception | None = None
        try:
            affected = work(call)
        except (ServerError, ConnectionBroken) as caught:
            error = caught
        except Exception as caught:
            error = unexpected(caught)
        outcome = "ok" if error is None else error.code.name if isinstance(error, ServerError) else "reset"
        tables = tuple((batch.table, len(batch.rows)) for batch in call.batches)
        self._activity.record("grpc", call.method, call.database, outcome, len(raw), tables=tables)
        if error is not None:
            self._fail(error, context)
        return affected

    def _parsed(self, raw: bytes) -> Any:
        if len(raw) > self._max_message_bytes:
            raise TooLarge(len(raw), self._max_message_bytes)
        try:
            return wire.GreptimeRequest.FromString(raw)
        except DecodeError as error:
            raise ServerError(StatusCode.INTERNAL, "failed to decode Protobuf message") from error

    def _authenticate(self, request: Any) -> None:
        basic = request.header.authorization.basic
        given = (basic.username, basic.password) if request.header.authorization.HasField("basic") else None
        self._credentials.check(given)

    def _work(self, request: Any, call: _Call, hints: dict[str, str]) -> Callable[[Sequence[Batch]], int]:
        """Reads method and rows of the request into the call; how to apply them."""
        name = call.database
        if request.HasField("row_inserts"):
            call.batches = [writes.decode_rows(each) for each in request.row_inserts.inserts]
            return lambda batches: sum(self._instance.insert(name, batch, hints) for batch in batches)
        call.method = "delete"
        if request.HasField("row_deletes"):
            call.batches = [writes.decode_rows(each) for each in request.row_deletes.deletes]
        elif request.HasField("deletes"):
            call.batches = [writes.decode_columns(each) for each in request.deletes.deletes]
        else:
            raise invalid("Expecting inserts or deletes of rows; queries go over HTTP here")
        return lambda batches: sum(self._instance.delete(name, batch) for batch in batches)

    def _fail(self, error: Exception, context: grpc.ServicerContext) -> NoReturn:
        if isinstance(error, ServerError):
            metadata = (("x-greptime-err-code", str(error.code.value)), ("x-greptime-err-msg", error.message))
            context.set_trailing_metadata(metadata)
            status = grpc.StatusCode.OUT_OF_RANGE if isinstance(error, TooLarge) else grpc_status(error.code)
            context.abort(status, error.message)
        if not break_connection(self._port, int(context.peer().rpartition(":")[2])):
            raise AssertionError(f"no connection to {context.peer()} to break")
        context.abort(grpc.StatusCode.UNAVAILABLE, "the connection is broken, nobody reads this")


class TooLarge(ServerError):
    """A message above the limit. The server's gRPC stack (tonic) answers OUT_OF_RANGE before GreptimeDB sees it."""

    def __init__(self, found: int, limit: int) -> None:
        text = f"Error, decoded message length too large: found {found} bytes, the limit is: {limit} bytes"
        super().__init__(StatusCode.INVALID_ARGUMENTS, text)


def _hints(context: grpc.ServicerContext) -> dict[str, str]:
    """Hints of a call: those of `x-greptime-hints`, or else one header each."""
    metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    together = metadata.get("x-greptime-hints")
    if together is not None:
        pairs = (pair.partition("=") for pair in together.split(","))
        return {key.strip(): value.strip() for key, _, value in pairs}
    return {key.removeprefix(_HINT_PREFIX): text for key, text in metadata.items() if key.startswith(_HINT_PREFIX)}

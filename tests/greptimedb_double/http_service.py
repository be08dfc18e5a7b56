"""The HTTP side: POST and GET /v1/sql, /health and /status, one thread per connection."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from tests.greptimedb_double.calls import Activity
from tests.greptimedb_double.credentials import Credentials, of_header
from tests.greptimedb_double.datatypes import DataType
from tests.greptimedb_double.faults import ConnectionBroken, Faults
from tests.greptimedb_double.instance import Instance
from tests.greptimedb_double.lexer import statements
from tests.greptimedb_double.sockets import HOST
from tests.greptimedb_double.sql import Answer
from tests.greptimedb_double.status import ServerError, StatusCode, http_status, syntax, unexpected
from tests.greptimedb_double.translate import mentioned

BODY_LIMIT = 64 << 20


class HttpService:
    """Serves one instance on one port; can stop and start again on the same port."""

    def __init__(
        self, instance: Instance, faults: Faults, activity: Activity, credentials: Credentials, port: int
    ) -> None:
        self.instance = instance
        self.faults = faults
        self.activity = activity
        self.credentials = credentials
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._server = _Server(self, self._port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="double-http")
        self._thread.start()

    def stop(self) -> None:
        """Cuts every connection."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server.cut()
            self._server = self._thread = None

    def answer(self, text: str, database: str, headers: Any) -> list[Answer]:
        """Runs SQL for a client. Raises ServerError and ConnectionBroken."""
        self.credentials.check(of_header(headers.get("Authorization") or headers.get("x-greptime-auth")))
        if not text.strip():
            raise syntax("sql parameter is required")
        return self.faults.through("http", "sql", _tables(text), (), lambda _: self.instance.execute(text, database))


def _tables(text: str) -> list[str]:
    """Tables the text names, as far as it can be read."""
    with suppress(ServerError):
        return list(dict.fromkeys(name for statement in statements(text) for name in mentioned(statement)))
    return []


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, service: HttpService, port: int) -> None:
        self.service = service
        self._open: set[socket.socket] = set()
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""

    def cut(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._route(b"")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_LIMIT:
            self.close_connection = True
            return self._send(413, b"length limit exceeded", "text/plain")
        return self._route(self.rfile.read(length))

    def _route(self, body: bytes) -> None:
        url = urlsplit(self.path)
        if url.path in ("/health", "/status", "/v1/health"):
            return self._send(200, b"{}")
        if url.path != "/v1/sql":
            return self._send(404, b"", "text/plain")
        return self._sql({**_fields(url.query), **_fields(body.decode())}, len(body))

    def _sql(self, fields: dict[str, str], size: int) -> None:
        text, database = fields.get("sql", ""), self._database(fields)
        service, outcome = self.server.service, "ok"
        content: tuple[int, bytes, dict[str, str]] = 0, b"", {}
        try:
            content = 200, _success(service.answer(text, database, self.headers)), {}
        except ServerError as error:
            outcome, content = error.code.name, _error(error)
        except ConnectionBroken:
            outcome = "reset"
        except Exception as caught:
            outcome, content = StatusCode.UNEXPECTED.name, _error(unexpected(caught))
        service.activity.record(
            "http", "sql", database, outcome, size, sql=text, tables=tuple((name, 0) for name in _tables(text))
        )
        if outcome == "reset":
            return self._break()
        status, document, headers = content
        return self._send(status, document, headers=headers)

    def _database(self, fields: dict[str, str]) -> str:
        name = fields.get("db") or self.headers.get("x-greptime-db-name") or "public"
        return name.rpartition("-")[2] if name.startswith("greptime-") else name

    def _send(
        self, status: int, body: bytes, kind: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def _break(self) -> None:
        """Closes with a TCP reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _fields(encoded: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(encoded, keep_blank_values=True).items()}


def _success(answers: list[Answer]) -> bytes:
    output = [
        {"affectedrows": answer} if isinstance(answer, int) else {"records": _records(answer)} for answer in answers
    ]
    return json.dumps({"output": output, "execution_time_ms": 0}).encode()


def _records(answer: Any) -> dict[str, Any]:
    schemas = [{"name": name, "data_type": kind.display} for name, kind in zip(answer.names, answer.types, strict=True)]
    rows = [[shown(value, kind) for value, kind in zip(row, answer.types, strict=True)] for row in answer.rows]
    return {"schema": {"column_schemas": schemas}, "rows": rows, "total_rows": len(rows)}


def shown(value: Any, kind: DataType) -> Any:
    """A value at rest as JSON shows it: decimals as text; binary, and JSON that was not asked for as text, as numbers."""
    if value is None:
        return None
    if kind.name == "Boolean":
        return bool(value)
    if kind.name == "Json":
        return list(value.encode())
    return list(value) if isinstance(value, bytes) else value


def _error(error: ServerError) -> tuple[int, bytes, dict[str, str]]:
    document = msgspec.json.encode({"code": error.code.value, "error": error.message, "execution_time_ms": 0})
    message = error.message.encode("ascii", "replace").decode().replace("\n", " ")
    headers = {"x-greptime-err-code": str(error.code.value), "x-greptime-err-msg": message}
    return http_status(error.code), document, headers

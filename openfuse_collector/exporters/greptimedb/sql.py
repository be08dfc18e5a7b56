"""SQL over HTTP: reads and the schema. The ingester can do neither.

Blocking, with one kept connection per thread; it runs on worker threads only.
"""

from __future__ import annotations

import json
import ssl
import threading
from base64 import b64encode
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode

from openfuse_collector.certificates import certificates
from openfuse_collector.config.types import Address
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.errors import SILENT, CallError, Cause, cause_of_status

Rows = list[list[Any]]


class StatementError(CallError):
    """The server's own answer to a statement, with its status code."""

    def __init__(self, cause: Cause, reason: str, code: int) -> None:
        self.code = code
        super().__init__(cause, reason)


class SqlClient:
    """Thread-safe: every thread has its own connection. Goes on to the next endpoint when one does not answer; where the outcome is
    unknown, with the next call.

    To be closed, or used as a context. Raises CollectorError when the certificate files cannot be used.
    """

    def __init__(self, config: GreptimedbConfig) -> None:
        self._endpoints = config.http_endpoints
        self._database = config.database
        self._timeout = float(config.timeout)
        self._context = _context(config)
        self._headers = _headers(config)
        self._local = threading.local()
        self._open: set[HTTPConnection] = set()

    def __enter__(self) -> SqlClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self, statement: str, database: str | None = None) -> Rows:
        """The rows of a query. Times are integers in the unit of their column. Raises CallError."""
        output = self._ask(statement, database).get("output")
        records = output[0].get("records") if output else None
        return records["rows"] if records else []

    def run(self, statement: str, database: str | None = None) -> None:
        """A statement without rows. Raises CallError."""
        self._ask(statement, database)

    def close(self) -> None:
        """Close the connections of all threads. A thread that asks again opens a new one."""
        while self._open:
            self._open.pop().close()

    def _ask(self, statement: str, database: str | None) -> dict[str, Any]:
        body = urlencode({"sql": statement, "db": database or self._database}).encode()
        for left in reversed(range(len(self._endpoints))):
            at: int = getattr(self._local, "at", 0)
            try:
                return self._post(self._endpoints[at], body)
            except CallError as error:
                if error.cause in SILENT:
                    self._local.at = (at + 1) % len(self._endpoints)
                if error.cause is not Cause.UNREACHABLE or not left:
                    raise
        raise AssertionError("there is at least one endpoint")

    def _post(self, endpoint: Address, body: bytes) -> dict[str, Any]:
        try:
            status, answer = self._exchange(endpoint, body)
        except TimeoutError as error:
            self._drop()
            raise CallError(Cause.UNCLEAR, f"{endpoint}: no answer within {self._timeout:g}s") from error
        except (OSError, HTTPException) as error:
            self._drop()
            raise CallError(Cause.UNREACHABLE, f"{endpoint}: {type(error).__name__}: {error}") from error
        return _checked(endpoint, status, answer)

    def _exchange(self, endpoint: Address, body: bytes) -> tuple[int, bytes]:
        """One request. A kept connection the server has closed meanwhile is opened again, once."""
        kept = getattr(self._local, "connection", None)
        if kept is not None and self._local.endpoint == endpoint:
            try:
                return _round_trip(kept, body, self._headers)
            except TimeoutError:
                raise
            except (OSError, HTTPException):
                pass
        self._drop()
        connection = self._connect(endpoint)
        self._open.add(connection)
        self._local.connection, self._local.endpoint = connection, endpoint
        return _round_trip(connection, body, self._headers)

    def _drop(self) -> None:
        """Close the connection of this thread."""
        connection: HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._open.discard(connection)
            self._local.connection = None

    def _connect(self, endpoint: Address) -> HTTPConnection:
        if self._context is None:
            return HTTPConnection(endpoint.host, endpoint.port, timeout=self._timeout)
        return HTTPSConnection(endpoint.host, endpoint.port, timeout=self._timeout, context=self._context)


def _round_trip(connection: HTTPConnection, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection.request("POST", "/v1/sql", body, headers)
    response = connection.getresponse()
    return response.status, response.read()


def _checked(endpoint: Address, status: int, answer: bytes) -> dict[str, Any]:
    try:
        content = json.loads(answer)
    except ValueError:
        content = None
    if status == 200 and isinstance(content, dict) and not content.get("code"):
        return content
    if not isinstance(content, dict):  # not GreptimeDB itself: a proxy, or something else on this port
        cause = Cause.CREDENTIALS if status in (401, 403) else Cause.UNREACHABLE
        raise CallError(cause, f"{endpoint}: HTTP {status}: {answer[:200].decode(errors='replace')}")
    code = int(content.get("code") or 0)
    raise StatementError(cause_of_status(code, status), f"{endpoint}: {code}: {content.get('error')}", code)


def _headers(config: GreptimedbConfig) -> dict[str, str]:
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Greptime-Timezone": "UTC",
        "X-Greptime-Timeout": f"{max(1, int(config.timeout))}s",
    }
    if config.username:
        pair = f"{config.username}:{config.password.reveal()}".encode()
        headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
    return headers


def _context(config: GreptimedbConfig) -> ssl.SSLContext | None:
    if config.tls is None:
        return None
    tls = config.tls
    with certificates(ca_file=tls.ca_file, cert_file=tls.cert_file, key_file=tls.key_file):
        context = ssl.create_default_context(cafile=tls.ca_file)
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context

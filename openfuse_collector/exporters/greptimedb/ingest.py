"""Sends rows over gRPC with the ingester: chunked, the next endpoint when one does not answer, one client per thread and endpoint."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import count
from time import monotonic
from typing import Any

from greptimedb_ingester import Client, Column, ColumnDataType, GreptimeError, SemanticType

from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.errors import SILENT, CallError, Cause, cause_of
from openfuse_collector.exporters.greptimedb.rows import chunks
from openfuse_collector.exporters.greptimedb.schema import TABLES

HINTS = (("auto_create_table", "false"),)
"""A table the server makes up by itself has other types and no indexes."""

_TYPES = {
    "STRING": "STRING",
    "BOOLEAN": "BOOLEAN",
    "INT": "INT32",
    "BIGINT": "INT64",
    "DOUBLE": "FLOAT64",
    "JSON": "JSON",
    "BINARY": "BINARY",
    "TIMESTAMP(3)": "TIMESTAMP_MILLISECOND",
    "TIMESTAMP(9)": "TIMESTAMP_NANOSECOND",
    "DECIMAL(38, 12)": "DECIMAL128",
}
"""Column type -> name in ColumnDataType, whose members cannot be keys of a dict."""

Rows = Sequence[Sequence[Any]]
Send = Callable[[Client, Rows], object]
Observe = Callable[[str, float], None]
"""Told the table and the seconds of each call that succeeded."""


class Ingester:
    """Thread-safe: every thread has its own clients. Every method raises CallError."""

    def __init__(self, config: GreptimedbConfig, observe: Observe = lambda table, seconds: None) -> None:
        self._config = config
        self._observe = observe
        self._local = threading.local()
        self._starts = count()

    def insert(self, table: str, rows: Iterable[Sequence[Any]]) -> int:
        """Rows of a table, in the order of its columns. Gives their number; on an error some of them may have been written."""
        columns = _columns(table)
        return self._send(table, rows, lambda client, chunk: client.insert(table, columns, chunk, HINTS))

    def delete(self, table: str, keys: Iterable[Sequence[Any]]) -> int:
        """Rows by primary key and time, in the order of `key_columns`. Rows that are not there are no error."""
        columns = _key_columns(table)
        return self._send(table, keys, lambda client, chunk: client.delete(table, columns, chunk))

    def check(self) -> None:
        """Ask the server whether it is well."""
        self._on_some_endpoint("health", lambda client: client.health_check())

    def _send(self, table: str, rows: Iterable[Sequence[Any]], send: Send) -> int:
        sent = 0
        for chunk in chunks(rows, self._config.max_rows, self._config.max_bytes):
            self._send_chunk(table, chunk, send)
            sent += len(chunk)
        return sent

    def _send_chunk(self, table: str, chunk: Rows, send: Send) -> None:
        try:
            self._on_some_endpoint(table, lambda client: send(client, chunk))
        except CallError as error:
            if error.cause is not Cause.TOO_LARGE or len(chunk) == 1:
                raise
            middle = len(chunk) // 2
            self._send_chunk(table, chunk[:middle], send)
            self._send_chunk(table, chunk[middle:], send)

    def _on_some_endpoint(self, what: str, call: Callable[[Client], object]) -> None:
        """Each endpoint once, beginning with the one that worked last. An unknown outcome is not repeated here: the next call begins
        with the next endpoint."""
        endpoints, state = self._config.endpoints, self._state()
        for left in reversed(range(len(endpoints))):
            try:
                self._call(endpoints[state.at], what, call)
                return
            except CallError as error:
                if error.cause in SILENT:
                    state.at = (state.at + 1) % len(endpoints)
                if error.cause not in _ELSEWHERE or not left:
                    raise

    def _call(self, endpoint: str, what: str, call: Callable[[Client], object]) -> None:
        client = self._client(endpoint)
        began = monotonic()
        try:
            call(client)
            self._observe(what, monotonic() - began)
        except GreptimeError as error:
            text = str(error.args[0]) if error.args else str(error)
            cause = cause_of(text, error.retriable)
            if cause in _SUSPECT:
                self._state().clients.pop(endpoint, None)
            raise CallError(cause, f"{endpoint}: {what}: {text[:500]}") from error

    def _client(self, endpoint: str) -> Client:
        """A client that has shown itself to work: what it refuses from now on is the fault of the rows.

        Asking for health first also keeps its channel from being bound to a writer that ends (greptimedb-ingester 0.1.1).
        """
        clients = self._state().clients
        client = clients.get(endpoint)
        if client is None:
            try:
                client = _connect(endpoint, self._config)
                client.health_check()
            except GreptimeError as error:
                text = str(error.args[0]) if error.args else str(error)
                cause = cause_of(text, True)
                raise CallError(cause, f"{endpoint}: {text[:500]}") from error
            clients[endpoint] = client
        return client

    def _state(self) -> _ThreadState:
        state: _ThreadState | None = getattr(self._local, "state", None)
        if state is None:
            state = self._local.state = _ThreadState(next(self._starts) % len(self._config.endpoints))
        return state


class _ThreadState:
    """The clients of one thread, and which endpoint it is at."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.clients: dict[str, Client] = {}


_ELSEWHERE = frozenset((Cause.UNREACHABLE, Cause.CLIENT))
"""After these the call was not carried out, and another endpoint may do better."""
_SUSPECT = SILENT | {Cause.CREDENTIALS}
"""After these the client is made anew."""


def _connect(endpoint: str, config: GreptimedbConfig) -> Client:
    tls = config.tls
    return Client(
        [endpoint],
        database=config.database,
        username=config.username or None,
        password=config.password.reveal() or None,
        timeout_secs=float(config.timeout),
        connect_timeout_secs=float(config.connect_timeout),
        send_compression=None if config.compression == "none" else config.compression,
        tls_server_ca=tls and tls.ca_file,
        tls_client_cert=tls and tls.cert_file,
        tls_client_key=tls and tls.key_file,
    )


def key_columns(table: str) -> tuple[str, ...]:
    """The columns that name one row."""
    made = TABLES[table]
    return (*made.primary_key, made.time_index)


@cache
def _columns(table: str) -> list[Column]:
    return [_column(table, column.name) for column in TABLES[table].columns]


@cache
def _key_columns(table: str) -> list[Column]:
    return [_column(table, name) for name in key_columns(table)]


def _column(table: str, name: str) -> Column:
    made = TABLES[table]
    type = next(column.type for column in made.columns if column.name == name)
    semantic = SemanticType.TAG if name in made.primary_key else SemanticType.FIELD
    if name == made.time_index:
        semantic = SemanticType.TIMESTAMP
    digits = (38, 12) if type.startswith("DECIMAL") else ()
    return Column(name, getattr(ColumnDataType, _TYPES[type]), semantic, *digits)

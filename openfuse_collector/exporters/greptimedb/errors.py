"""What went wrong with a call to GreptimeDB, and what that means for the batch.

The client library has one exception for everything, and its `retriable` is true for every answer of a server, a wrong password
included (seen with greptimedb-ingester 0.1.1). What counts is the phrase of the gRPC status in its text. Nothing a server says costs
data: what is not known to be the fault of the rows is tried again.
"""

from __future__ import annotations

import re
from enum import Enum

from openfuse_collector.errors import ConsumeError, PermanentError, RetryableError, SuspectError


class Cause(Enum):
    """Why a call failed. The values are those of the metric's label."""

    UNREACHABLE = "unreachable"
    """Nobody took the call: another endpoint may."""
    BUSY = "busy"
    """The server asks for patience."""
    UNCLEAR = "outcome_unknown"
    """It may have been carried out."""
    CLIENT = "client_broken"
    """The connection pool of the client is gone for good; a new client works."""
    CREDENTIALS = "credentials"
    SCHEMA = "schema"
    """A table, column or the database is missing."""
    TOO_LARGE = "too_large"
    ROWS = "rows"
    """The rows themselves cannot be stored."""
    SERVER = "server_error"
    """An error inside the server, or one nobody foresaw."""


SILENT = frozenset((Cause.UNREACHABLE, Cause.CLIENT, Cause.UNCLEAR))
"""Whoever was called has not answered: the next call goes to somebody else, where there is one."""


class CallError(Exception):
    """A failed call. The text names the endpoint and never holds credentials."""

    def __init__(self, cause: Cause, reason: str) -> None:
        self.cause = cause
        super().__init__(reason)


CREDENTIALS_PAUSE = 60.0
"""Seconds between attempts with credentials that were refused: they may be put right, and each attempt is a line in the log."""
SCHEMA_PAUSE = 10.0

_SENTENCES = {
    Cause.UNREACHABLE: "no answer from GreptimeDB",
    Cause.BUSY: "GreptimeDB is busy",
    Cause.UNCLEAR: "no answer from GreptimeDB, the outcome is unknown",
    Cause.CLIENT: "the connection to GreptimeDB is broken",
    Cause.CREDENTIALS: "GreptimeDB refuses the credentials or this user may not do this; check username, password and grants",
    Cause.SCHEMA: "the schema is not complete; see openfuse-collector schema diff",
    Cause.TOO_LARGE: "a row is too large for GreptimeDB",
    Cause.ROWS: "GreptimeDB cannot take the row",
    Cause.SERVER: "GreptimeDB failed",
}
_PERMANENT = frozenset((Cause.ROWS, Cause.TOO_LARGE))
_SUSPECT = frozenset((Cause.SERVER, Cause.UNCLEAR))
"""A row may make the server fail, or take too long with it, every time; whether one does is found out by trying parts of the batch."""
_PAUSES = {Cause.CREDENTIALS: CREDENTIALS_PAUSE, Cause.SCHEMA: SCHEMA_PAUSE, Cause.BUSY: 1.0}


def consume_error(error: CallError) -> ConsumeError:
    """What the exporter raises: only rows that are themselves at fault are given up."""
    reason = f"{_SENTENCES[error.cause]}: {error}"
    if error.cause in _PERMANENT:
        return PermanentError(reason)
    if error.cause in _SUSPECT:
        return SuspectError(reason, kind=error.cause.value)
    return RetryableError(reason, _PAUSES.get(error.cause), error.cause.value)


# tonic's wording of the gRPC codes.
_PHRASES = {
    "The operation was cancelled": Cause.UNCLEAR,
    "Deadline expired before operation could complete": Cause.UNCLEAR,
    "The operation was aborted": Cause.UNCLEAR,
    "The service is currently unavailable": Cause.UNREACHABLE,
    "Some resource has been exhausted": Cause.BUSY,
    "Client specified an invalid argument": Cause.ROWS,
    "Operation was attempted past the valid range": Cause.ROWS,
    "Some requested entity was not found": Cause.SCHEMA,
    "The request does not have valid authentication credentials": Cause.CREDENTIALS,
    "The caller does not have permission to execute the specified operation": Cause.CREDENTIALS,
    "Internal error": Cause.SERVER,
    "Unknown error": Cause.SERVER,
    "Operation is not implemented or not supported": Cause.SERVER,
}
_CODE = re.compile(r"code: '([^']*)'")
_TOO_LARGE = re.compile(r"too large|larger than max", re.IGNORECASE)
# Invalid arguments that are not the fault of the rows: with automatic creation off a missing table is one (operator/src/insert.rs of the
# server), and so is a request made before the schema changed (status 5001).
_NOT_THE_ROWS = re.compile(
    r"\b(table|column|database|schema)\b.{0,200}\b(?P<missing>not exist|not found|unknown)|\b(out of date|outdated)\b",
    re.IGNORECASE | re.DOTALL,
)
_POOL_GONE = "Service was not ready"
# A connection that broke during a call; one that could not be made is "unavailable".
_BROKEN = re.compile(r"transport error|h2 protocol error|broken pipe|connection (reset|closed)", re.IGNORECASE)


def cause_of(text: str, retriable: bool) -> Cause:
    """The cause of a GreptimeError, from its text and its `retriable`."""
    match = _CODE.search(text)
    if match is None:
        return Cause.UNREACHABLE if retriable else Cause.ROWS
    cause = _PHRASES.get(match[1], Cause.SERVER)
    if _POOL_GONE in text:
        return Cause.CLIENT
    if cause is Cause.SERVER and _BROKEN.search(text):
        return Cause.UNCLEAR
    if _TOO_LARGE.search(text):
        return Cause.TOO_LARGE
    if cause is Cause.ROWS and (match := _NOT_THE_ROWS.search(text)):
        return Cause.SCHEMA if match["missing"] else Cause.BUSY
    return cause


ALREADY_THERE = frozenset((4000, 4003, 4006, 4011))
"""Status codes of a table, column, region or database that exists: what somebody else created at the same time."""

_STATUS = {
    **dict.fromkeys((1005, 1008), Cause.UNCLEAR),
    **dict.fromkeys((1007, 1009, 4007, 4008, 4009, 4010, 5000, 6000, 6001), Cause.BUSY),
    **dict.fromkeys((4001, 4002, 4004, 4005), Cause.SCHEMA),
    **dict.fromkeys(range(7001, 7007), Cause.CREDENTIALS),
    7000: Cause.CREDENTIALS,
}


def cause_of_status(code: int, http_status: int) -> Cause:
    """The cause of an error answered to SQL. Never the rows: statements are this project's own."""
    return _STATUS.get(code, Cause.CREDENTIALS if http_status in (401, 403) else Cause.SERVER)

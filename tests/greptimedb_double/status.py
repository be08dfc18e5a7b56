"""Status codes of GreptimeDB, and what each becomes over gRPC and over HTTP."""

from __future__ import annotations

import traceback
from enum import IntEnum

import grpc


class StatusCode(IntEnum):
    """The server's own code, answered as `code` in JSON and as `x-greptime-err-code` over gRPC."""

    SUCCESS = 0
    UNKNOWN = 1000
    UNSUPPORTED = 1001
    UNEXPECTED = 1002
    INTERNAL = 1003
    INVALID_ARGUMENTS = 1004
    CANCELLED = 1005
    ILLEGAL_STATE = 1006
    EXTERNAL = 1007
    DEADLINE_EXCEEDED = 1008
    SUSPENDED = 1009
    INVALID_SYNTAX = 2000
    PLAN_QUERY = 3000
    ENGINE_EXECUTE_QUERY = 3001
    TABLE_ALREADY_EXISTS = 4000
    TABLE_NOT_FOUND = 4001
    COLUMN_NOT_FOUND = 4002
    COLUMN_EXISTS = 4003
    DATABASE_NOT_FOUND = 4004
    REGION_NOT_FOUND = 4005
    REGION_ALREADY_EXISTS = 4006
    REGION_READONLY = 4007
    REGION_NOT_READY = 4008
    REGION_BUSY = 4009
    TABLE_UNAVAILABLE = 4010
    DATABASE_ALREADY_EXISTS = 4011
    STORAGE_UNAVAILABLE = 5000
    REQUEST_OUTDATED = 5001
    RUNTIME_RESOURCES_EXHAUSTED = 6000
    RATE_LIMITED = 6001
    USER_NOT_FOUND = 7000
    UNSUPPORTED_PASSWORD_TYPE = 7001
    USER_PASSWORD_MISMATCH = 7002
    AUTH_HEADER_NOT_FOUND = 7003
    INVALID_AUTH_HEADER = 7004
    ACCESS_DENIED = 7005
    PERMISSION_DENIED = 7006


S = StatusCode

GRPC = {
    grpc.StatusCode.UNKNOWN: (S.UNKNOWN, S.EXTERNAL),
    grpc.StatusCode.INTERNAL: (S.UNEXPECTED, S.INTERNAL, S.ILLEGAL_STATE, S.PLAN_QUERY, S.ENGINE_EXECUTE_QUERY),
    grpc.StatusCode.INVALID_ARGUMENT: (S.INVALID_ARGUMENTS, S.INVALID_SYNTAX, S.REQUEST_OUTDATED),
    grpc.StatusCode.UNIMPLEMENTED: (S.UNSUPPORTED,),
    grpc.StatusCode.CANCELLED: (S.CANCELLED,),
    grpc.StatusCode.DEADLINE_EXCEEDED: (S.DEADLINE_EXCEEDED,),
    grpc.StatusCode.NOT_FOUND: (
        S.TABLE_NOT_FOUND,
        S.COLUMN_NOT_FOUND,
        S.DATABASE_NOT_FOUND,
        S.REGION_NOT_FOUND,
        S.USER_NOT_FOUND,
    ),
    grpc.StatusCode.ALREADY_EXISTS: (
        S.TABLE_ALREADY_EXISTS,
        S.COLUMN_EXISTS,
        S.REGION_ALREADY_EXISTS,
        S.DATABASE_ALREADY_EXISTS,
    ),
    grpc.StatusCode.PERMISSION_DENIED: (S.REGION_READONLY, S.ACCESS_DENIED, S.PERMISSION_DENIED),
    grpc.StatusCode.UNAVAILABLE: (S.REGION_NOT_READY, S.TABLE_UNAVAILABLE, S.STORAGE_UNAVAILABLE),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (S.REGION_BUSY, S.SUSPENDED, S.RUNTIME_RESOURCES_EXHAUSTED, S.RATE_LIMITED),
    grpc.StatusCode.UNAUTHENTICATED: (
        S.UNSUPPORTED_PASSWORD_TYPE,
        S.USER_PASSWORD_MISMATCH,
        S.AUTH_HEADER_NOT_FOUND,
        S.INVALID_AUTH_HEADER,
    ),
}

# Everything that is not listed answers 400: a missing table or column does, too.
HTTP = {
    401: (
        S.REGION_READONLY,
        S.USER_NOT_FOUND,
        S.UNSUPPORTED_PASSWORD_TYPE,
        S.USER_PASSWORD_MISMATCH,
        S.AUTH_HEADER_NOT_FOUND,
        S.INVALID_AUTH_HEADER,
    ),
    403: (S.ACCESS_DENIED, S.PERMISSION_DENIED),
    429: (S.RATE_LIMITED,),
    500: (
        S.INTERNAL,
        S.UNEXPECTED,
        S.ILLEGAL_STATE,
        S.UNKNOWN,
        S.RUNTIME_RESOURCES_EXHAUSTED,
        S.ENGINE_EXECUTE_QUERY,
    ),
    503: (
        S.REGION_NOT_READY,
        S.TABLE_UNAVAILABLE,
        S.REGION_BUSY,
        S.STORAGE_UNAVAILABLE,
        S.EXTERNAL,
        S.SUSPENDED,
    ),
    504: (S.CANCELLED, S.DEADLINE_EXCEEDED),
}

_GRPC_OF = {code: status for status, codes in GRPC.items() for code in codes}
_HTTP_OF = {code: status for status, codes in HTTP.items() for code in codes}


class ServerError(Exception):
    """What the server answers instead of a result."""

    def __init__(self, code: StatusCode, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(code, message)

    def __str__(self) -> str:
        return f"{self.code.value} ({self.code.name}): {self.message}"


def grpc_status(code: StatusCode) -> grpc.StatusCode:
    """The gRPC status of a server error."""
    return _GRPC_OF[code]


def http_status(code: StatusCode) -> int:
    """The HTTP status of a server error."""
    return _HTTP_OF.get(code, 400)


def unexpected(error: Exception) -> ServerError:
    """The answer to what the double did not foresee: a mistake of its own, told on stderr and to the client."""
    traceback.print_exception(error)
    return ServerError(StatusCode.UNEXPECTED, f"The double failed: {type(error).__name__}: {error}")


def invalid(message: str) -> ServerError:
    """The commonest refusal: the request itself is at fault."""
    return ServerError(StatusCode.INVALID_ARGUMENTS, message)


def syntax(message: str) -> ServerError:
    """SQL that the parser cannot read."""
    return ServerError(StatusCode.INVALID_SYNTAX, message)

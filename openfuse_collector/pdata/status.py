"""Errors as the two protocols know them: gRPC code, HTTP status, google.rpc.Status body, RetryInfo (OTLP 1.11, "Failures")."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from openfuse_collector.auth import AuthError, ForbiddenError
from openfuse_collector.errors import PermanentError, RetryableError
from openfuse_collector.events.text import clean
from openfuse_collector.pdata.errors import DeadlineError, TooLargeError, TooManyError

RETRY_AFTER = 1.0
"""Seconds a sender is asked to wait when the error itself does not say."""


class Failure(NamedTuple):
    """An unsuccessful answer, before it is written for a protocol."""

    code: int
    """google.rpc.Code, which is also the gRPC status code."""
    http: int
    message: str
    """Without lone surrogates: neither encoding has room for them."""
    after: float | None = None
    """Seconds after which to try again; None means never."""
    outcome: str = "failure"
    """`refused` when the data is fine and the moment is not, else `failure`."""

    @property
    def internal(self) -> bool:
        """Whether it is a bug of ours."""
        return self.http == 500

    @property
    def status(self) -> Status:
        """The message OTLP wants in the body of every failed HTTP answer, and in the trailers of gRPC."""
        status = Status(code=self.code, message=self.message)
        if self.after is not None:
            detail = AnyMessage()
            detail.Pack(retry_info(self.after))
            status.details.append(detail)
        return status

    @property
    def json(self) -> bytes:
        """The status as JSON."""
        body: dict[str, object] = {"code": self.code, "message": self.message}
        if self.after is not None:
            kind = f"type.googleapis.com/{RetryInfo.DESCRIPTOR.full_name}"
            body["details"] = [{"@type": kind, "retryDelay": f"{self.after:g}s"}]
        return msgspec.json.encode(body)

    @property
    def retry_after(self) -> str | None:
        """Value of the Retry-After header: whole seconds, at least one."""
        return None if self.after is None else str(max(1, math.ceil(self.after)))


class _Rule(NamedTuple):
    error: type[Exception]
    code: int
    http: int


_RULES = (
    _Rule(DeadlineError, Code.DEADLINE_EXCEEDED, 503),
    _Rule(RetryableError, Code.UNAVAILABLE, 503),
    _Rule(AuthError, Code.UNAUTHENTICATED, 401),
    _Rule(ForbiddenError, Code.PERMISSION_DENIED, 403),
    _Rule(TooLargeError, Code.RESOURCE_EXHAUSTED, 413),
    _Rule(TooManyError, Code.RESOURCE_EXHAUSTED, 413),
    _Rule(PermanentError, Code.INVALID_ARGUMENT, 400),
)
"""The first class that fits counts. RESOURCE_EXHAUSTED goes out without RetryInfo, which means: do not retry."""

_HTTP_CODES: dict[int, int] = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    405: Code.UNIMPLEMENTED,
    413: Code.RESOURCE_EXHAUSTED,
    415: Code.INVALID_ARGUMENT,
    429: Code.RESOURCE_EXHAUSTED,
    503: Code.UNAVAILABLE,
}


def failure_of(error: BaseException) -> Failure:
    """The answer to an error. Anything not raised on purpose is INTERNAL; its text stays in our log."""
    rule = next((rule for rule in _RULES if isinstance(error, rule.error)), None)
    if rule is None:
        return Failure(Code.INTERNAL, 500, f"internal error ({type(error).__name__}), see the log of the collector")
    if isinstance(error, RetryableError):
        after = RETRY_AFTER if error.after is None else error.after
        return Failure(rule.code, rule.http, clean(str(error)), after, "refused")
    return Failure(rule.code, rule.http, clean(str(error)))


def http_failure(status: int, message: str) -> Failure:
    """An answer HTTP itself asks for: no such path, wrong method, wrong media type. The message may quote the request."""
    return Failure(_HTTP_CODES.get(status, Code.UNKNOWN), status, clean(message))


def retry_info(after: float) -> RetryInfo:
    """RetryInfo of so many seconds."""
    info = RetryInfo()
    info.retry_delay.FromNanoseconds(round(after * 1e9))
    return info

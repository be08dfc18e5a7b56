"""What goes back to clients: JSON, and the errors every call can end in."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from openfuse_collector.auth import AuthError, ForbiddenError
from openfuse_collector.errors import PermanentError, RetryableError
from openfuse_collector.events.text import clean
from openfuse_collector.pdata.errors import TooLargeError
from openfuse_collector.receivers.langfuse.failures import AnswerError, forbidden, invalid_request

_encode = msgspec.json.Encoder().encode
RETRY_AFTER = 1.0
"""Seconds a sender is asked to wait when the error itself does not say."""

METHOD_NOT_ALLOWED = {"error": "MethodNotAllowedError", "message": "Method not allowed"}
INTERNAL = {"error": "Internal Server Error", "message": "Internal error, see the log of the collector"}


def reply(body: Any, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    all_headers = {"Content-Type": "application/json", **(headers or {})}
    return web.Response(body=_encode(body), status=status, headers=all_headers)


def answer_of(error: Exception) -> AnswerError | None:
    """The answer to an error that is the sender's; None for what is not."""
    if isinstance(error, AnswerError):
        return error
    if isinstance(error, AuthError):
        return AnswerError(error.status, {"error": "UnauthorizedError", "message": str(error)})
    if isinstance(error, ForbiddenError):
        return forbidden(str(error))
    if isinstance(error, TooLargeError):
        message = f"Request body is larger than {error.limit} bytes"
        return AnswerError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": "PayloadTooLargeError", "message": message})
    if isinstance(error, PermanentError):
        return invalid_request(clean(str(error)))  # it may quote a header
    return None


def later(error: RetryableError) -> web.Response:
    """429 with Retry-After, as from Langfuse's rate limit: every SDK obeys by sending again."""
    seconds = max(1, math.ceil(RETRY_AFTER if error.after is None else error.after))
    body = {"message": str(error), "code": "rate_limited", "details": {"retryAfterSeconds": seconds}}
    return reply(body, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(seconds)})

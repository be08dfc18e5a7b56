"""Calls that end in an error of the sender's making, with the bodies Langfuse gives them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from openfuse_collector.receivers.langfuse.schemas.issues import Issue


class AnswerError(Exception):
    """Ends a call with `status` and the JSON `body`. `rejected` events were no good."""

    def __init__(self, status: int, body: dict[str, Any], rejected: int = 0) -> None:
        self.status = status
        self.body = body
        self.rejected = rejected
        super().__init__(str(body.get("message", "")))


def invalid_request(*sentences: str) -> AnswerError:
    """400 for a request that cannot be read as a whole."""
    return AnswerError(HTTPStatus.BAD_REQUEST, {"message": "Invalid request data", "errors": list(sentences)})


def unfit(issues: Sequence[Issue]) -> AnswerError:
    """400 for the one object of a call."""
    return AnswerError(HTTPStatus.BAD_REQUEST, {"message": "Invalid request data", "error": list(issues)}, rejected=1)


def not_served(what: str) -> AnswerError:
    """404 for a part of Langfuse this collector does not have. SDKs do not repeat a call that is answered so."""
    message = f"{what} not served by this collector, which takes traces, observations and scores"
    return AnswerError(HTTPStatus.NOT_FOUND, {"error": "LangfuseNotFoundError", "message": message})


def forbidden(message: str) -> AnswerError:
    """403: the key may not do this."""
    return AnswerError(HTTPStatus.FORBIDDEN, {"message": message})

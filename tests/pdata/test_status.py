"""Errors as answers: codes, retry hints and bodies."""

from __future__ import annotations

import msgspec
import pytest
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import RetryInfo

from openfuse_collector.errors import OverloadError, PartialError, PermanentError, RetryableError
from openfuse_collector.pdata.errors import BadDataError, DeadlineError, TooLargeError
from openfuse_collector.pdata.status import RETRY_AFTER, failure_of, http_failure

RETRYABLE_GRPC = {
    Code.CANCELLED,
    Code.DEADLINE_EXCEEDED,
    Code.ABORTED,
    Code.OUT_OF_RANGE,
    Code.UNAVAILABLE,
    Code.DATA_LOSS,
}
RETRYABLE_HTTP = {429, 502, 503, 504}


@pytest.mark.parametrize(
    ("error", "code", "http", "after", "outcome"),
    [
        (BadDataError("x"), Code.INVALID_ARGUMENT, 400, None, "failure"),
        (PermanentError("x"), Code.INVALID_ARGUMENT, 400, None, "failure"),
        (PartialError(1, "x"), Code.INVALID_ARGUMENT, 400, None, "failure"),
        (TooLargeError(5), Code.RESOURCE_EXHAUSTED, 413, None, "failure"),
        (OverloadError("x", after=2.5), Code.UNAVAILABLE, 503, 2.5, "refused"),
        (RetryableError("x"), Code.UNAVAILABLE, 503, RETRY_AFTER, "refused"),
        (DeadlineError("x"), Code.DEADLINE_EXCEEDED, 503, RETRY_AFTER, "refused"),
        (KeyError("secret"), Code.INTERNAL, 500, None, "failure"),
        (RecursionError(), Code.INTERNAL, 500, None, "failure"),
    ],
)
def test_errors(error: Exception, code: int, http: int, after: float | None, outcome: str) -> None:
    failure = failure_of(error)
    assert (failure.code, failure.http, failure.after, failure.outcome) == (code, http, after, outcome)
    assert failure.internal is (http == 500)
    assert (code in RETRYABLE_GRPC) == (http in RETRYABLE_HTTP) == (after is not None)
    assert "secret" not in failure.message


def test_the_status_carries_retry_info_only_when_retrying_helps() -> None:
    status = failure_of(OverloadError("full", after=2.5)).status
    info = RetryInfo()
    assert status.details[0].Unpack(info)
    assert (info.retry_delay.seconds, info.retry_delay.nanos) == (2, 500_000_000)
    assert not failure_of(TooLargeError(5)).status.details


def test_the_same_in_json() -> None:
    failure = failure_of(OverloadError("full", after=2.5))
    assert msgspec.json.decode(failure.json) == {
        "code": 14,
        "message": "full",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"}],
    }
    assert msgspec.json.decode(failure_of(BadDataError("no")).json) == {"code": 3, "message": "no"}


@pytest.mark.parametrize(("after", "header"), [(0.1, "1"), (1.0, "1"), (2.5, "3")])
def test_retry_after_is_in_whole_seconds(after: float, header: str) -> None:
    assert failure_of(OverloadError("x", after=after)).retry_after == header
    assert failure_of(BadDataError("x")).retry_after is None


@pytest.mark.parametrize(("http", "code"), [(404, Code.NOT_FOUND), (405, Code.UNIMPLEMENTED), (418, Code.UNKNOWN)])
def test_answers_of_http_itself(http: int, code: int) -> None:
    assert http_failure(http, "x") == (code, http, "x", None, "failure")

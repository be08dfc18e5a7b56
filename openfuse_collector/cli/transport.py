"""Sends OTLP trace requests over HTTP or gRPC and says what became of each: taken, worth another try, or refused."""

from __future__ import annotations

import http.client
import random
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from openfuse_collector.cli.replay import Encoding, ReplayError, rejected_spans, status_message

TIMEOUT = 30.0
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.5, 30.0, 1.5
"""Seconds of back-off where the server names none, as the OpenTelemetry SDKs grow it."""

RETRYABLE_STATUSES = frozenset((429, 502, 503, 504))
"""OTLP specification, "Retryable Response Codes"."""

RETRYABLE_CODES = frozenset(("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"))
"""OTLP specification; RESOURCE_EXHAUSTED joins them only when it carries RetryInfo."""


class Fate(Enum):
    """What became of one try."""

    TAKEN = "taken"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass(frozen=True)
class Outcome:
    """What came of one try.

    `after`: seconds the server wants us to wait; `rejected`: spans it left out of a taken request; `answered`: False where
    nobody did.
    """

    fate: Fate
    reason: str = ""
    after: float | None = None
    rejected: int = 0
    answered: bool = True


class Transport(Protocol):
    """Sends one body once."""

    def send(self, body: bytes, encoding: Encoding) -> Outcome: ...

    def close(self) -> None: ...


def _url(endpoint: str) -> SplitResult:
    """The address of an endpoint, which may be without a scheme. Raises ReplayError."""
    try:
        url = urlsplit(endpoint if "//" in endpoint else f"http://{endpoint}")
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ReplayError(f"{endpoint} is no endpoint: write http://host:port or https://host:port")
    return url


class HttpTransport:
    """OTLP/HTTP over one kept-alive connection. A path of its own in the endpoint comes before `/v1/traces`."""

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        url = _url(endpoint)
        path = url.path.rstrip("/")
        self._path = path if path.endswith("/v1/traces") else f"{path}/v1/traces"
        self._headers = dict(headers)
        self._connection = http.client.HTTPConnection(url.netloc, timeout=TIMEOUT)
        if url.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(url.netloc, timeout=TIMEOUT, context=context)

    def send(self, body: bytes, encoding: Encoding) -> Outcome:
        """One POST; a connection that breaks is worth another try."""
        try:
            self._connection.request("POST", self._path, body, {"Content-Type": encoding, **self._headers})
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            said = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            if type(error) is http.client.BadStatusLine:  # its text would be the bytes that came
                said = "the answer is no HTTP; does the port speak gRPC? --protocol grpc sends that"
            return Outcome(Fate.RETRY, f"{self._connection.host}:{self._connection.port}: {said}", answered=False)
        return _http_outcome(response, answer, encoding)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _http_outcome(response: http.client.HTTPResponse, answer: bytes, encoding: Encoding) -> Outcome:
    if response.status == 200:
        rejected, reason = rejected_spans(answer, encoding)
        return Outcome(Fate.TAKEN, reason, rejected=rejected)
    said = status_message(answer, response.headers.get_content_type())
    reason = f"{response.status} {response.reason}: {said}"
    if response.status in RETRYABLE_STATUSES:
        return Outcome(Fate.RETRY, reason, _seconds(response.getheader("Retry-After")))
    return Outcome(Fate.REFUSED, reason)


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; its form as a date is not used by OTLP servers and counts as absent."""
    return float(retry_after) if retry_after is not None and retry_after.strip().isdigit() else None


class GrpcTransport:
    """OTLP/gRPC; protobuf only. `https://` endpoints use the system's certificates."""

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        import grpc

        url = _url(endpoint)
        options = [("grpc.max_send_message_length", -1)]
        if url.scheme == "https":
            self._channel = grpc.secure_channel(url.netloc, grpc.ssl_channel_credentials(), options)
        else:
            self._channel = grpc.insecure_channel(url.netloc, options)
        self._export = self._channel.unary_unary(
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export", None, None
        )
        self._metadata = tuple((key.lower(), value) for key, value in headers.items())
        self._error = grpc.RpcError

    def send(self, body: bytes, encoding: Encoding) -> Outcome:
        """One Export call."""
        try:
            answer = self._export(body, timeout=TIMEOUT, metadata=self._metadata)
        except self._error as error:
            return _grpc_outcome(error)
        rejected, reason = rejected_spans(answer, Encoding.PROTOBUF)
        return Outcome(Fate.TAKEN, reason, rejected=rejected)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _grpc_outcome(error: object) -> Outcome:
    code: str = error.code().name  # type: ignore[attr-defined]
    reason = f"{code}: {error.details()}"  # type: ignore[attr-defined]
    after = _retry_info(error.trailing_metadata())  # type: ignore[attr-defined]
    if code in RETRYABLE_CODES or (code == "RESOURCE_EXHAUSTED" and after is not None):
        # A server that refuses sends RetryInfo or says why; gRPC itself says UNAVAILABLE where there is no connection.
        return Outcome(Fate.RETRY, reason, after, answered=code != "UNAVAILABLE" or after is not None)
    return Outcome(Fate.REFUSED, reason)


def _retry_info(metadata: object) -> float | None:
    """Seconds of the RetryInfo in a status' details, None without one."""
    from google.protobuf.message import DecodeError
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    details = dict(metadata or ()).get("grpc-status-details-bin")  # type: ignore[call-overload]
    try:
        for detail in Status.FromString(details).details if details else ():
            info = RetryInfo()
            if detail.Unpack(info):
                return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    except DecodeError:
        pass
    return None


def send_until_answered(
    transport: Transport,
    body: bytes,
    encoding: Encoding,
    patience: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    on_retry: Callable[[Outcome, float], None] = lambda outcome, pause: None,
) -> Outcome:
    """Try until the request is taken or refused, at most `patience` seconds; what is still worth a try then counts as refused.

    The server's own wish (Retry-After, RetryInfo) comes before our back-off, which grows with jitter so that many
    senders do not return together.
    """
    deadline, pause = clock() + patience, FIRST_PAUSE
    while True:
        outcome = transport.send(body, encoding)
        if outcome.fate is not Fate.RETRY:
            return outcome
        wait = pause * random.uniform(0.5, 1.5) if outcome.after is None else outcome.after
        pause = min(LONGEST_PAUSE, pause * GROWTH)
        if clock() + wait > deadline:
            return replace(outcome, fate=Fate.REFUSED, reason=f"gave up after {patience:g}s: {outcome.reason}")
        on_retry(outcome, wait)
        sleep(wait)

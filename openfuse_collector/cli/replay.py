"""OTLP trace requests kept in files: finding them, telling their encoding, counting their spans, changing their encoding."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Encoding(StrEnum):
    """The two encodings of OTLP, by their media types."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


SUFFIXES = {".pb": Encoding.PROTOBUF, ".json": Encoding.JSON}

_ID_KEYS = ("traceId", "spanId", "parentSpanId")


class ReplayError(Exception):
    """A file that holds no OTLP trace request; the message is for the user."""


@dataclass(frozen=True)
class Request:
    """One export request as kept in a file."""

    path: Path
    encoding: Encoding
    body: bytes
    spans: int


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Files as given; of directories every `*.traces.pb` and `*.traces.json` below, by name. Raises ReplayError for neither."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*.traces.*") if p.suffix in SUFFIXES and p.is_file())
        elif path.suffix in SUFFIXES:
            found.append(path)
        else:
            raise ReplayError(f"{path}: expected *.pb (protobuf), *.json (OTLP/JSON) or a directory")
    if not found:
        raise ReplayError("no *.traces.pb or *.traces.json there")
    return found


def read_request(path: Path) -> Request:
    """The request in a file. Raises ReplayError when it does not hold one."""
    encoding = SUFFIXES[path.suffix]
    try:
        body = path.read_bytes()
        return Request(path, encoding, body, _COUNT[encoding](body))
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror}") from error
    except (DecodeError, msgspec.DecodeError, AttributeError, TypeError) as error:
        raise ReplayError(f"{path}: no OTLP trace request in {encoding}: {error}") from error


def as_protobuf(request: Request) -> bytes:
    """The body in protobuf, byte for byte as kept when it is that already. Raises ReplayError."""
    if request.encoding is Encoding.PROTOBUF:
        return request.body
    from openfuse_collector.pdata.errors import BadDataError
    from openfuse_collector.pdata.otlp_json import decode_traces

    try:
        decoded = decode_traces(request.body)
    except BadDataError as error:
        raise ReplayError(f"{request.path}: {error}") from error
    if decoded.rejected:
        reasons = ", ".join(decoded.rejected)
        raise ReplayError(f"{request.path}: has spans that cannot be converted ({reasons}); send it as kept")
    written: bytes = decoded.request.SerializeToString()
    return written


def as_json(request: Request) -> bytes:
    """The body in OTLP/JSON, byte for byte as kept when it is that already."""
    if request.encoding is Encoding.JSON:
        return request.body
    return msgspec.json.encode(json_mapping(ExportTraceServiceRequest.FromString(request.body)))


def json_mapping(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """OTLP/JSON differs from protobuf's own JSON: ids are hex instead of base64, enums are numbers (OTLP specification)."""
    mapping: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    for span in _spans(mapping):
        for part in (span, *span.get("links", ())):
            for key in _ID_KEYS:
                if key in part:
                    part[key] = base64.b64decode(part[key]).hex()
    return mapping


def rejected_spans(body: bytes, encoding: Encoding) -> tuple[int, str]:
    """(rejected spans, reason) of a successful answer; an answer that cannot be read rejects nothing."""
    try:
        if encoding is Encoding.PROTOBUF:
            partial = ExportTraceServiceResponse.FromString(body).partial_success
            return partial.rejected_spans, partial.error_message
        answer = msgspec.json.decode(body or b"{}").get("partialSuccess") or {}
        return int(answer.get("rejectedSpans", 0)), str(answer.get("errorMessage", ""))
    except (DecodeError, msgspec.DecodeError, AttributeError, TypeError, ValueError):
        return 0, ""


def status_message(body: bytes, media_type: str) -> str:
    """What an unsuccessful answer says: the message of its google.rpc.Status, else the beginning of its text."""
    from google.rpc.status_pb2 import Status

    try:
        if media_type == Encoding.PROTOBUF:
            message: str = Status.FromString(body).message
            return message
        if media_type == Encoding.JSON:
            return str(msgspec.json.decode(body)["message"])
    except (DecodeError, msgspec.DecodeError, KeyError, TypeError):
        pass
    return body[:300].decode("utf-8", "replace")


def _spans(mapping: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource_spans in mapping.get("resourceSpans") or ():
        for scope_spans in resource_spans.get("scopeSpans") or ():
            yield from scope_spans.get("spans") or ()


def _count_protobuf(body: bytes) -> int:
    request = ExportTraceServiceRequest.FromString(body)
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def _count_json(body: bytes) -> int:
    return sum(1 for _ in _spans(msgspec.json.decode(body)))


_COUNT = {Encoding.PROTOBUF: _count_protobuf, Encoding.JSON: _count_json}

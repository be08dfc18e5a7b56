"""OTLP protobuf bytes to a message; what a strict parser refuses is repaired where that is possible."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.pdata.decoded import Decoded
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.misrouted import misrouted_protobuf
from openfuse_collector.pdata.utf8 import WireError, repair

TOO_DEEP = "values are nested too deep"

_parse = ExportTraceServiceRequest.FromString


def decode_traces(body: bytes) -> Decoded:
    """The trace export in `body`. Raises BadDataError where it is malformed, truncated or another signal."""
    try:
        return Decoded(_parse(body), body)
    except DecodeError:
        return _repaired(body)


def _repaired(body: bytes) -> Decoded:
    try:
        fixed = repair(body)
        request = _parse(fixed.body)
    except (WireError, DecodeError) as error:
        raise BadDataError(misrouted_protobuf(body) or f"the body is no OTLP protobuf trace export: {error}") from error
    rejected = {TOO_DEEP: fixed.too_deep} if fixed.too_deep else {}
    return Decoded(request, fixed.body, rejected, fixed.strings)

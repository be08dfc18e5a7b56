"""The two encodings of OTLP: how requests are read, and how success, partial success and google.rpc.Status are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from openfuse_collector.pdata import otlp_json, otlp_protobuf
from openfuse_collector.pdata.status import Failure
from openfuse_collector.pdata.traces import Decode, Traces


class Encoding(NamedTuple):
    """How one media type is read and written."""

    decode: Decode
    inline: int
    """Bodies of up to so many bytes are decoded on the event loop, where that takes a few milliseconds."""
    success: Callable[[Traces], bytes]
    failure: Callable[[Failure], bytes]


def protobuf_success(traces: Traces) -> bytes:
    """ExportTraceServiceResponse; the field stays unset, and the body empty, when there is nothing to say."""
    message = traces.message
    if not message:
        return b""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = traces.refused
    response.partial_success.error_message = message
    return response.SerializeToString()


def json_success(traces: Traces) -> bytes:
    """The same in JSON, where 64-bit integers are text."""
    message = traces.message
    if not message:
        return b"{}"
    return msgspec.json.encode({"partialSuccess": {"rejectedSpans": str(traces.refused), "errorMessage": message}})


PROTOBUF = Encoding(
    decode=otlp_protobuf.decode_traces,
    inline=1024 * 1024,
    success=protobuf_success,
    failure=lambda failure: failure.status.SerializeToString(),
)
JSON = Encoding(
    decode=otlp_json.decode_traces,
    inline=256 * 1024,
    success=json_success,
    failure=lambda failure: failure.json,
)

ENCODINGS = {"application/x-protobuf": PROTOBUF, "application/protobuf": PROTOBUF, "application/json": JSON}
"""Media type -> encoding. The answer has the type of the request."""

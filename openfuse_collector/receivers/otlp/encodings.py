"""The two encodings of OTLP: how requests are read, and how success, partial success and google.rpc.Status are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from openfuse_collector.pdata import otlp_json, otlp_protobuf
from openfuse_collector.pdata.decoded import Decode
from openfuse_collector.pdata.exports import Export
from openfuse_collector.pdata.status import Failure


class Encoding(NamedTuple):
    """How one media type is read and written."""

    decode: Decode
    quick: Decode
    """The same in a few milliseconds, for bodies of up to `inline` bytes: on the event loop. May raise NeedsRepairError."""
    inline: int
    success: Callable[[Export], bytes]
    failure: Callable[[Failure], bytes]
    nothing: bytes
    """The answer to a request of which there is nothing to say."""


def protobuf_success(export: Export) -> bytes:
    """Export…ServiceResponse; the field stays unset, and the body empty, when there is nothing to say."""
    message = export.message
    if not message:
        return b""
    response = export.form.response()
    setattr(response.partial_success, export.form.rejected[0], export.refused)
    response.partial_success.error_message = message
    written: bytes = response.SerializeToString()
    return written


def json_success(export: Export) -> bytes:
    """The same in JSON, where 64-bit integers are text."""
    message = export.message
    if not message:
        return b"{}"
    rejected = {export.form.rejected[1]: str(export.refused), "errorMessage": message}
    return msgspec.json.encode({"partialSuccess": rejected})


PROTOBUF = Encoding(
    decode=otlp_protobuf.decode,
    quick=otlp_protobuf.decode_sound,
    inline=1024 * 1024,
    success=protobuf_success,
    failure=lambda failure: failure.status.SerializeToString(),
    nothing=b"",
)
JSON = Encoding(
    decode=otlp_json.decode,
    quick=otlp_json.decode,
    inline=256 * 1024,
    success=json_success,
    failure=lambda failure: failure.json,
    nothing=b"{}",
)

ENCODINGS = {"application/x-protobuf": PROTOBUF, "application/protobuf": PROTOBUF, "application/json": JSON}
"""Media type -> encoding. The answer has the type of the request."""

"""What decoding gives, whatever the encoding was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

NOTHING: Mapping[str, int] = {}


class Decoded(NamedTuple):
    """A trace export, and what had to be done to it."""

    request: ExportTraceServiceRequest
    payload: bytes | None
    """Protobuf bytes of exactly this request; None when it has to be serialised first."""
    rejected: Mapping[str, int] = NOTHING
    """Reason -> spans left out because they could not be decoded."""
    repaired: int = 0
    """Strings in which invalid Unicode became U+FFFD."""
    notes: Mapping[str, int] = NOTHING
    """Sentence for the sender -> how often: what was understood in another way than it was written."""

"""A request body to spans that can be stored: decode, check, and keep count of everything that was changed on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.pdata.decoded import Decoded
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.misrouted import misrouted_protobuf
from openfuse_collector.pdata.spans import describe_rejected, reject_faulty

Decode = Callable[[bytes], Decoded]


class Traces(NamedTuple):
    """A checked trace export."""

    request: ExportTraceServiceRequest
    """Spans with proper ids only."""
    payload: bytes
    """The same as protobuf: the bytes as received when nothing had to be changed."""
    spans: int
    rejected: Mapping[str, int]
    """Reason -> spans left out."""
    repaired: int
    """Strings in which invalid Unicode was replaced."""
    notes: Mapping[str, int]

    @property
    def refused(self) -> int:
        """Spans left out, over all reasons."""
        return sum(self.rejected.values())

    @property
    def message(self) -> str:
        """What to tell the sender in partial_success; empty when all went well."""
        notes = [f"{note} ({count} times)" if count > 1 else note for note, count in self.notes.items()]
        if self.rejected:
            notes.insert(0, describe_rejected(self.rejected, self.spans + self.refused))
        return "; ".join(notes)


def read_traces(body: bytes, decode: Decode) -> Traces:
    """Decode and check. Raises BadDataError."""
    request, payload, undecodable, repaired, notes = decode(body)
    spans, rejected = reject_faulty(request)
    if rejected:
        if not spans and payload is not None and (hint := misrouted_protobuf(body)):
            raise BadDataError(hint)
        payload = None
    if undecodable:
        rejected = Counter(undecodable) + rejected
    if payload is None:
        payload = request.SerializeToString()
    return Traces(request, payload, spans, rejected, repaired, notes)

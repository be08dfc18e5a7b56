"""Payloads of the journal and of dead letters, read back as what receivers had made of them."""

from __future__ import annotations

from typing import Any

import msgspec

from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.signals import Origin, Signal


def decode(origin: Origin, payload: bytes) -> Any:
    """The data of a journal record that is no longer in memory."""
    if origin.signal is Signal.TRACES:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return ExportTraceServiceRequest.FromString(payload)
    if origin.signal is Signal.LOGS:
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

        return ExportLogsServiceRequest.FromString(payload)
    if origin.signal is Signal.EVENTS:
        from openfuse_collector.receivers.langfuse.records import decode_events

        return decode_events(payload)
    raise ValueError(f"a journal record of signal {origin.signal} cannot be read by this version")


def decode_letter(letter: DeadLetter) -> Any:
    """The data of a dead letter. What came as traces may have been refused as events."""
    return decode(msgspec.structs.replace(letter.origin, signal=letter.signal), letter.payload)

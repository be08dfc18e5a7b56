"""Which spans and log records are taken out of a request, and what the sender is told."""

from __future__ import annotations

from typing import SupportsIndex

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from openfuse_collector.pdata.exports import read_export
from openfuse_collector.pdata.faults import describe_rejected, record_fault, reject_faulty, span_fault
from openfuse_collector.pdata.forms import TRACES
from openfuse_collector.pdata.otlp_protobuf import decode

GOOD = {"trace_id": b"\x01" * 16, "span_id": b"\x02" * 8}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"parent_span_id": b"\x03" * 8}, None),
        ({"parent_span_id": bytes(8)}, None),
        ({"trace_id": b""}, "trace_id is not 16 bytes"),
        ({"trace_id": b"\x01" * 8}, "trace_id is not 16 bytes"),
        ({"trace_id": b"\x01" * 17}, "trace_id is not 16 bytes"),
        ({"trace_id": bytes(16)}, "trace_id is all zeros"),
        ({"span_id": b""}, "span_id is not 8 bytes"),
        ({"span_id": b"\x02" * 16}, "span_id is not 8 bytes"),
        ({"span_id": bytes(8)}, "span_id is all zeros"),
        ({"parent_span_id": b"\x03" * 7}, "parent_span_id is not 8 bytes"),
    ],
)
def test_faults_of_spans(fields: dict[str, bytes], reason: str | None) -> None:
    assert span_fault(Span(**{**GOOD, **fields})) == reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        (GOOD, None),
        ({"trace_id": bytes(16), "span_id": bytes(8)}, None),
        ({"trace_id": b"\x01" * 16}, None),
        ({"trace_id": b"\x01" * 8}, "trace_id is not 16 bytes"),
        ({"trace_id": b"\x01" * 16, "span_id": b"\x02" * 7}, "span_id is not 8 bytes"),
    ],
)
def test_faults_of_log_records(fields: dict[str, bytes], reason: str | None) -> None:
    assert record_fault(LogRecord(**fields)) == reason


def test_faulty_spans_leave_and_the_order_of_the_others_stays() -> None:
    request = ExportTraceServiceRequest()
    for _ in range(2):
        scope = request.resource_spans.add().scope_spans.add()
        for number in range(10):
            scope.spans.add(**{**GOOD, "span_id": b"" if number in (0, 3, 4, 9) else b"\x02" * 8}, name=str(number))
    kept, rejected = reject_faulty(TRACES.groups(request), TRACES.fault)
    assert (kept, dict(rejected)) == (12, {"span_id is not 8 bytes": 8})
    for resource in request.resource_spans:
        assert [span.name for span in resource.scope_spans[0].spans] == ["1", "2", "5", "6", "7", "8"]


def test_faulty_spans_leave_at_once() -> None:
    class Spans(list[Span]):
        moved = 0

        def __delitem__(self, index: SupportsIndex | slice) -> None:
            super().__delitem__(index)
            if not isinstance(index, slice):
                self.moved += len(self) - int(index)

    spans = Spans(Span(**GOOD) if number % 2 else Span() for number in range(1000))
    assert reject_faulty([spans], TRACES.fault) == (500, {"trace_id is not 16 bytes": 500})
    assert len(spans) == 500 and spans.moved <= 1000


def test_bytes_are_kept_exactly_as_long_as_nothing_is_rejected() -> None:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.spans.add(**GOOD)
    body = request.SerializeToString() + b"\xfa\x07\x01x"
    assert read_export(body, TRACES, decode).payload is body
    scope.spans.add(trace_id=b"bad")
    traces = read_export(request.SerializeToString(), TRACES, decode)
    del scope.spans[1]
    assert traces.payload == request.SerializeToString() and traces.items == 1


@pytest.mark.parametrize(
    ("rejected", "total", "text"),
    [
        ({"span_id is not 8 bytes": 1}, 100, "1 of 100 spans rejected: span_id is not 8 bytes"),
        ({"a": 1, "b": 2}, 3, "3 of 3 spans rejected: b (2), a (1)"),
    ],
)
def test_the_sentence(rejected: dict[str, int], total: int, text: str) -> None:
    assert describe_rejected(rejected, total, "spans") == text

"""Checks of single spans: one without proper ids is taken out of its request, its neighbours stay.

OTLP: a trace id has 16 bytes, a span id 8, neither may be all zero; a parent id is empty or has 8 bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

NO_TRACE, NO_SPAN = bytes(16), bytes(8)


def fault(span: Span) -> str | None:
    """Why a span cannot be stored, None when it can."""
    trace_id = span.trace_id
    if len(trace_id) != 16:
        return "trace_id is not 16 bytes"
    if trace_id == NO_TRACE:
        return "trace_id is all zeros"
    span_id = span.span_id
    if len(span_id) != 8:
        return "span_id is not 8 bytes"
    if span_id == NO_SPAN:
        return "span_id is all zeros"
    if len(span.parent_span_id) not in (0, 8):
        return "parent_span_id is not 8 bytes"
    return None


def reject_faulty(request: ExportTraceServiceRequest) -> tuple[int, Counter[str]]:
    """Take faulty spans out of the request. Gives the number of spans left, and reason -> number taken out."""
    kept = 0
    rejected: Counter[str] = Counter()
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            spans = scope.spans
            faults = [fault(span) for span in spans]
            bad = [index for index, reason in enumerate(faults) if reason]
            for index in reversed(bad):
                del spans[index]
            rejected.update(reason for reason in faults if reason)
            kept += len(faults) - len(bad)
    return kept, rejected


def describe_rejected(rejected: Mapping[str, int], total: int) -> str:
    """`3 of 100 spans rejected: trace_id is not 16 bytes (2), span_id is all zeros (1)`."""
    reasons = sorted(rejected.items(), key=lambda item: -item[1])
    counted = [f"{reason} ({count})" for reason, count in reasons]
    text = reasons[0][0] if len(reasons) == 1 else ", ".join(counted)
    return f"{sum(rejected.values())} of {total} spans rejected: {text}"

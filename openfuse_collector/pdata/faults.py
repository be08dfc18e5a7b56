"""Checks of single spans and log records: one with ids that are no ids is taken out of its request, its neighbours stay.

OTLP: a trace id has 16 bytes, a span id 8. A span needs both, neither may be all zero; its parent id is empty or has 8 bytes.
A log record may have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

NO_TRACE, NO_SPAN = bytes(16), bytes(8)


def span_fault(span: Span) -> str | None:
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


def record_fault(record: LogRecord) -> str | None:
    """Why a log record cannot be stored, None when it can."""
    if len(record.trace_id) not in (0, 16):
        return "trace_id is not 16 bytes"
    if len(record.span_id) not in (0, 8):
        return "span_id is not 8 bytes"
    return None


def reject_faulty(groups: Iterable[Any], fault: Callable[[Any], str | None]) -> tuple[int, Counter[str]]:
    """Take what is faulty out of the lists of a request. Gives the number of items left, and reason -> number taken out.

    What is faulty goes to the end of its list and leaves at once: each that left alone would move all behind it.
    """
    kept = 0
    rejected: Counter[str] = Counter()
    for items in groups:
        faults = [reason for item in items if (reason := fault(item))]
        good = len(items) - len(faults)
        if faults:
            items.sort(key=lambda item: fault(item) is not None)  # stable: the order of the others stays
            del items[good:]
            rejected.update(faults)
        kept += good
    return kept, rejected


def describe_rejected(rejected: Mapping[str, int], total: int, noun: str) -> str:
    """`3 of 100 spans rejected: trace_id is not 16 bytes (2), span_id is all zeros (1)`."""
    reasons = sorted(rejected.items(), key=lambda item: -item[1])
    counted = [f"{reason} ({count})" for reason, count in reasons]
    text = reasons[0][0] if len(reasons) == 1 else ", ".join(counted)
    return f"{sum(rejected.values())} of {total} {noun} rejected: {text}"

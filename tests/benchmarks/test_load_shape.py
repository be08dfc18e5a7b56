"""The benchmark's load is what its README says, and its figures are computed right."""

from __future__ import annotations

from collections import Counter

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks.agent_traces import SPANS_PER_TRACE, Load, requests
from benchmarks.load import is_complete
from benchmarks.run import quantile


def spans_of(load: Load) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(load.body)
    return [span for rs in request.resource_spans for ss in rs.scope_spans for span in ss.spans]


def test_requests_hold_whole_traces_of_seven_spans_about_1400_bytes_each() -> None:
    loads = list(requests(1400, 140, seed=7))
    spans = [span for load in loads for span in spans_of(load)]
    assert [load.spans for load in loads] == [140] * 10
    assert set(Counter(span.trace_id for span in spans).values()) == {SPANS_PER_TRACE}
    assert len({span.span_id for span in spans}) == len(spans)
    assert 1300 < sum(len(load.body) for load in loads) / len(spans) < 1500


def test_every_trace_has_one_root_and_no_orphan() -> None:
    spans = spans_of(next(iter(requests(140, 140, seed=1))))
    roots = {span.trace_id: span.span_id for span in spans if not span.parent_span_id}
    assert len(roots) == 140 // SPANS_PER_TRACE
    assert all(span.parent_span_id == roots[span.trace_id] for span in spans if span.parent_span_id)
    assert all(span.start_time_unix_nano < span.end_time_unix_nano for span in spans)


def test_ids_are_a_function_of_the_seed() -> None:
    first, again, other = ([s.span_id for s in spans_of(next(iter(requests(70, 70, seed))))] for seed in (3, 3, 4))
    assert first == again and not set(first) & set(other)


@pytest.mark.parametrize(
    ("before", "after", "q", "value"),
    [
        ({}, {0.1: 50.0, 0.2: 100.0, float("inf"): 100.0}, 0.5, 0.1),
        ({}, {0.1: 50.0, 0.2: 100.0, float("inf"): 100.0}, 0.75, 0.15),
        ({0.1: 50.0, 0.2: 50.0, float("inf"): 50.0}, {0.1: 50.0, 0.2: 100.0, float("inf"): 100.0}, 0.5, 0.15),
        ({}, {0.1: 1.0, float("inf"): 100.0}, 0.99, 0.1),
        ({0.1: 1.0, float("inf"): 1.0}, {0.1: 1.0, float("inf"): 1.0}, 0.99, None),
        ({}, {}, 0.99, None),
    ],
)
def test_quantiles_of_a_histogram_between_two_readings(
    before: dict[float, float], after: dict[float, float], q: float, value: float | None
) -> None:
    assert quantile(before, after, q) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("changes", "complete"),
    [
        ({}, True),
        ({"acked": 139}, False),
        ({"stored": 139}, False),
        ({"traces": 19}, False),
        ({"raw_events": 159}, False),
    ],
)
def test_a_run_is_complete_only_with_every_row(changes: dict[str, int], complete: bool) -> None:
    assert (
        is_complete({"spans": 140, "acked": 140, "stored": 140, "traces": 20, "raw_events": 160, **changes}) == complete
    )


def test_without_a_store_acknowledgements_decide() -> None:
    assert is_complete({"spans": 140, "acked": 140}) and not is_complete({"spans": 140, "acked": 70})

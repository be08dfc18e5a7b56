"""Which sight of a trace is let through makes no difference to its row: not their order, nor how they are put into requests."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.mapping import map_traces
from openfuse_collector.store.sightings import Sightings
from tests.mapping.log_requests import rows_of
from tests.mapping.span_requests import CHILD, ORIGIN, ROOT, START, request, span

ENVIRONMENTS = ("blue", "green", "red", "staging", "test")


def sight(environment: str, start: int = START) -> ExportTraceServiceRequest:
    """A span below a root that has not come."""
    return request(span({"langfuse.environment": environment}, span_id=CHILD, parent=ROOT, start=start))


def together(*requests: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """The spans of several requests in one."""
    merged = ExportTraceServiceRequest()
    for one in requests:
        merged.MergeFrom(one)
    return merged


def shown(*requests: ExportTraceServiceRequest) -> Any:
    """Time and environment of the trace, once every request has passed a connector that remembers what it announced."""
    sightings = Sightings(10)
    events = [event for one in requests for event in map_traces(one, ORIGIN).events if event.entity.type == "trace"]
    (row,) = rows_of(filter(sightings.is_news, events)).values()
    return row["timestamp"], row["environment"]


@pytest.mark.parametrize("pair", list(combinations(ENVIRONMENTS, 2)), ids="-".join)
def test_spans_that_start_at_one_moment_in_two_environments(pair: tuple[str, str]) -> None:
    one, other = map(sight, pair)
    assert shown(one, other) == shown(other, one) == shown(together(one, other)) == shown(together(other, one))


def test_the_earliest_counts_whatever_comes_first() -> None:
    sights = [sight("blue", START + 2_000_000), sight("green", START), sight("red", START + 1_000_000)]
    answers = {shown(*some) for some in permutations(sights)} | {
        shown(together(*some)) for some in permutations(sights)
    }
    assert answers == {(START // 1_000_000, "green")}

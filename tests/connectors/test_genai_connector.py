"""The connector: batches of spans in, batches of events out, and what it remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from structlog.testing import capture_logs

from openfuse_collector.connectors.genai import FACTORY
from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.connectors.genai.connector import (
    FAILED_RECORDS,
    FAILED_SPANS,
    FILTERED_RECORDS,
    SUPPRESSED,
    GenAIConnector,
)
from openfuse_collector.mapping import logs
from openfuse_collector.signals import Batch, Delivery, Signal
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import batch, item, kept_letters, metric, settings
from tests.mapping.log_requests import logs_request, record
from tests.mapping.span_requests import CHILD, END, ROOT, START, request, span


def traces_batch(*requests: Any, delivery: Delivery | None = None) -> Batch:
    """A batch of trace requests at positions 1, 2, …"""
    items = [item(one, position, Signal.TRACES) for position, one in enumerate(requests, 1)]
    return batch(*items, signal=Signal.TRACES, delivery=delivery)


def connector(remembered_traces: int = 10, metrics: Metrics | None = None) -> GenAIConnector:
    """A connector under test."""
    made = FACTORY.create(settings("genai", metrics), GenAIConfig(remembered_traces))
    assert isinstance(made, GenAIConnector)
    return made


def child(start: int = START, **attributes: Any) -> Any:
    """A request with one span below the root."""
    return request(span(attributes, span_id=CHILD, parent=ROOT, start=start))


def types(converted: Batch) -> list[list[str]]:
    """Event types by item."""
    return [[event.type for event in one.data] for one in converted.items]


async def test_life() -> None:
    made = connector()
    await made.shutdown()
    await made.start()
    await made.shutdown()
    await made.shutdown()


def test_items_keep_their_place() -> None:
    finished: list[bool] = []
    given = traces_batch(request(span()), request(), delivery=Delivery(lambda: finished.append(True)))
    converted = connector().convert(given)
    assert (converted.signal, converted.pipeline, converted.end) == (Signal.EVENTS, given.pipeline, given.end)
    assert [(one.origin, one.position, one.size) for one in converted.items] == [
        (one.origin, one.position, one.size) for one in given.items
    ]
    assert types(converted) == [["trace-create", "span-create"], []]
    converted.delivery.done()
    assert finished == [True]


def test_a_trace_is_announced_once() -> None:
    metrics = Metrics()
    made = connector(metrics=metrics)
    assert types(made.convert(traces_batch(child(), child(END)))) == [["span-create", "trace-create"], ["span-create"]]
    assert types(made.convert(traces_batch(child(END)))) == [["span-create"]]
    assert metric(metrics, f"{SUPPRESSED}_total", connector="genai") == 2


def test_an_earlier_sight_is_news() -> None:
    made = connector()
    made.convert(traces_batch(child(END)))
    assert types(made.convert(traces_batch(child(START)))) == [["span-create", "trace-create"]]


def shallow_ids(converted: Batch) -> set[str]:
    """The fold takes the lowest of one moment."""
    return {event.id for item in converted.items for event in item.data if event.shallow}


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_what_is_let_through_holds_the_lowest_whatever_came_first(order: tuple[str, str]) -> None:
    """Two spans of one start and two environments: the event that decides the trace's row is never held back."""
    sights = [child(START, **{"langfuse.environment": name}) for name in order]
    alone = {id for sight in sights for id in shallow_ids(connector().convert(traces_batch(sight)))}
    assert min(alone) in shallow_ids(connector().convert(traces_batch(*sights)))


def test_memory_is_bounded() -> None:
    made = connector(remembered_traces=1)
    other = request(span(span_id=CHILD, parent=ROOT, trace_id="2" * 32))
    made.convert(traces_batch(child(), other))
    assert types(made.convert(traces_batch(child()))) == [["span-create", "trace-create"]]
    assert (
        types(connector(remembered_traces=0).convert(traces_batch(child(), child())))
        == [["span-create", "trace-create"]] * 2
    )


def test_spans_that_fail_are_set_aside(tmp_path: Path) -> None:
    metrics = Metrics()
    given = settings("genai", metrics, directory=tmp_path)
    made = FACTORY.create(given, GenAIConfig())
    with capture_logs() as logs:
        converted = made.convert(
            traces_batch(request(span(span_id="", name="bad"), span(), span(span_id="", name="worse")))
        )
    assert types(converted) == [["trace-create", "span-create"]]
    assert metric(metrics, f"{FAILED_SPANS}_total", connector="genai") == 2
    line = next(line for line in logs if line["event"] == "spans not mapped")
    assert (line["log_level"], line["spans"], line["first"]) == ("error", 2, "resourceSpans[0].scopeSpans[0].spans[0]")
    given.dead_letters.sync()
    (letter,) = kept_letters(tmp_path)
    kept = ExportTraceServiceRequest.FromString(letter.payload)
    groups = [scope for resource in kept.resource_spans for scope in resource.scope_spans]
    assert [found.name for scope in groups for found in scope.spans] == ["bad", "worse"]


def test_config() -> None:
    assert list(GenAIConfig().validate()) == []
    assert list(GenAIConfig(-1).validate()) == ["remembered_traces must not be negative"]


def logs_batch(*requests: Any) -> Batch:
    """A batch of logs requests at positions 1, 2, …"""
    items = [item(one, position, Signal.LOGS) for position, one in enumerate(requests, 1)]
    return batch(*items, signal=Signal.LOGS)


def test_log_records_join_observations_and_the_rest_is_counted() -> None:
    metrics = Metrics()
    given = logs_batch(
        logs_request(record("gen_ai.user.message", "hi"), record("", "a line")), logs_request(record("", "another"))
    )
    converted = connector(metrics=metrics).convert(given)
    assert (converted.signal, converted.end, converted.delivery) == (Signal.EVENTS, given.end, given.delivery)
    assert types(converted) == [["observation-update"], []]
    assert [one.position for one in converted.items] == [1, 2]
    assert metric(metrics, f"{FILTERED_RECORDS}_total", connector="genai") == 2
    assert metric(metrics, f"{FAILED_RECORDS}_total", connector="genai") == 0


def test_log_records_that_fail_are_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing a receiver lets through is known to fail, so a failure has to be made."""
    bad, good = record("gen_ai.user.message", "bad"), record("gen_ai.user.message", "good")
    digest_of = logs.record_digest

    def failing(scope: bytes, one: LogRecord) -> str:
        if one == bad:
            raise ZeroDivisionError
        return digest_of(scope, one)

    monkeypatch.setattr(logs, "record_digest", failing)
    metrics = Metrics()
    given = settings("genai", metrics, directory=tmp_path)
    made = FACTORY.create(given, GenAIConfig())
    assert types(made.convert(logs_batch(logs_request(bad, good)))) == [["observation-update"]]
    assert metric(metrics, f"{FAILED_RECORDS}_total", connector="genai") == 1
    given.dead_letters.sync()
    (letter,) = kept_letters(tmp_path)
    assert (letter.signal, letter.reason) == ("logs", "1 log records not mapped, the first: ZeroDivisionError: ")
    assert ExportLogsServiceRequest.FromString(letter.payload) == logs_request(bad)

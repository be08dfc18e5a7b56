"""Logs through a running collector: both signals from OpenTelemetry's SDK, in either order, over a restart, into one row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.collector_process import CollectorProcess

DEFAULT = Path(__file__).parents[1] / "config" / "default.yaml"
Start = Callable[..., CollectorProcess]
CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def conversation() -> tuple[list[Any], list[Any]]:
    """One chat span, and the records of what was said during it."""
    spans, logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
    tracers, loggers = TracerProvider(), LoggerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    say = loggers.get_logger("peer").emit
    with tracers.get_tracer("peer").start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
        say(event_name="gen_ai.user.message", body={"content": "hi 🌞"})
        say(body="an ordinary line of the application")
        say(event_name="gen_ai.choice", body={"index": 0, "message": {"role": "assistant", "tool_calls": [CALL]}})
    say(event_name="gen_ai.user.message", body={"content": "outside of any span"})
    return list(spans.get_finished_spans()), list(logs.get_finished_logs())


@contextmanager
def exporters(collector: CollectorProcess, transport: str) -> Iterator[tuple[Any, Any]]:
    """Stock exporters for spans and for log records."""
    if transport == "grpc":
        endpoint = f"127.0.0.1:{collector.grpc_port}"
        both: tuple[Any, Any] = GrpcSpans(endpoint=endpoint, insecure=True), GrpcLogs(endpoint=endpoint, insecure=True)
    else:
        base = f"http://127.0.0.1:{collector.http_port}/v1"
        both = HttpSpans(endpoint=f"{base}/traces"), HttpLogs(endpoint=f"{base}/logs")
    yield both
    for exporter in both:
        exporter.shutdown()


@pytest.mark.parametrize("transport", ["grpc", "http"])
@pytest.mark.parametrize("first", ["span", "logs"])
def test_logs_join_their_span(transport: str, first: str, start_collector: Start) -> None:
    spans, records = conversation()
    collector = start_collector()
    with exporters(collector, transport) as (of_spans, of_logs):
        sends = [lambda: of_spans.export(spans), lambda: of_logs.export(records)]
        for send in sends if first == "span" else sends[::-1]:
            assert send().name == "SUCCESS"
            assert collector.stop() == 0
            collector.start()
        assert of_logs.export(records).name == "SUCCESS"  # a resend changes nothing
    [row] = collector.wait_for_rows("SELECT * FROM observations WHERE output IS NOT NULL AND type = 'GENERATION'")
    assert (row["name"], json.loads(row["tool_call_names"])) == ("chat", ["weather"])
    assert json.loads(row["input"]) == [{"role": "user", "content": "hi 🌞"}]
    assert json.loads(row["output"])["message"]["tool_calls"] == [CALL]
    assert collector.stop() == 0
    assert len(collector.query("SELECT 1 FROM observations")) == len(collector.query("SELECT 1 FROM traces")) == 1
    assert len(collector.query("SELECT 1 FROM raw_events")) == 4  # a trace, a span, two records


def test_what_is_not_kept_is_counted(collector: CollectorProcess) -> None:
    spans, records = conversation()
    with exporters(collector, "http") as (of_spans, of_logs):
        assert of_logs.export(records).name == of_spans.export(spans).name == "SUCCESS"
    collector.wait_for_rows("SELECT 1 FROM observations WHERE type = 'GENERATION' AND output IS NOT NULL")
    assert collector.metric("otelcol_receiver_accepted_log_records_total") == 4
    assert collector.metric("openfuse_connector_filtered_log_records_total") == 2
    assert collector.metric("openfuse_dead_letters_total") == 0


def test_without_a_logs_pipeline_logs_are_refused(start_collector: Start, tmp_path: Path) -> None:
    config = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    del config["service"]["pipelines"]["logs"]
    (tmp_path / "traces.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    collector = start_collector(arguments=("--config", str(tmp_path / "traces.yaml")))
    spans, records = conversation()
    with exporters(collector, "http") as (of_spans, of_logs):
        assert of_logs.export(records).name == "FAILURE"
        assert of_spans.export(spans).name == "SUCCESS"
    assert collector.stop() == 0
    assert [row["type"] for row in collector.query("SELECT type FROM observations")] == ["GENERATION"]

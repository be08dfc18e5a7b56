"""The pipelines of a configuration, built and run without a network: journal in, destinations out."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.component import ComponentID, Kind, Settings
from openfuse_collector.config.service import CollectorConfig, load
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.journal import Journal
from openfuse_collector.payloads import decode
from openfuse_collector.pipeline.graph import Builder, Graph
from openfuse_collector.pipeline.intake import JournalIntake
from openfuse_collector.signals import Origin, Signal
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import RECEIVED_AT, metric

CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: localhost:0}}}}
connectors: {genai: {}}
exporters:
  sqlite: {path: PATH/a.db}
  sqlite/second: {path: PATH/b.db}
  debug: {}
service:
  journal: {directory: PATH/journal}
  pipelines:
    traces: {receivers: [otlp], exporters: [genai, debug], batch: {timeout: 1ms}}
    events: {receivers: [genai], exporters: [sqlite]}
    events/second: {receivers: [genai], exporters: [sqlite/second, debug]}
"""


def request(trace: int, spans: int = 3) -> ExportTraceServiceRequest:
    made = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    for number in range(spans):
        span = scope.spans.add(
            name=f"span {number}", start_time_unix_nano=RECEIVED_AT + number, end_time_unix_nano=RECEIVED_AT + 10
        )
        span.trace_id = trace.to_bytes(16, "big")
        span.span_id = (trace * 100 + number + 1).to_bytes(8, "big")
        if number:
            span.parent_span_id = (trace * 100 + 1).to_bytes(8, "big")
    return made


class Machine:
    """A graph without its receivers, fed through the journal."""

    def __init__(self, config: CollectorConfig) -> None:
        self.metrics = Metrics()
        log: Any = structlog.get_logger()
        self.journal = Journal.open(config.service.journal, self.metrics, log, decode=decode)

        letters = DeadLetters(
            Path(config.service.journal.directory) / "dead-letters", threading.Event(), self.metrics, log
        )

        def settings(kind: Kind, id: ComponentID) -> Settings:
            return Settings(id, log, self.metrics, letters, self.journal.instance)

        builder = Builder(
            config, self.journal, lambda _: JournalIntake(self.journal), settings, letters, print, self.metrics
        )
        self.graph: Graph = builder.build()
        self.graph.receivers.clear()

    async def accept(self, made: ExportTraceServiceRequest) -> None:
        await self.journal.append(Origin(Signal.TRACES, "otlp", RECEIVED_AT), made.SerializeToString(), made)

    async def stop(self) -> bool:
        drained = await self.graph.shutdown(30)
        self.journal.close()
        return drained


@pytest.fixture
def config(tmp_path: Path) -> CollectorConfig:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("PATH", str(tmp_path)))
    return load([str(path)], [])


def count(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


async def test_every_store_gets_everything_once(
    config: CollectorConfig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(config)
    await machine.graph.start()
    await asyncio.gather(*(machine.accept(request(trace)) for trace in range(1, 41)))
    await machine.accept(request(1))  # a resend
    assert await machine.stop()
    for store in ("a.db", "b.db"):
        assert count(tmp_path / store, "observations") == 120
        assert count(tmp_path / store, "traces") == 40
    assert metric(machine.metrics, "openfuse_store_duplicate_events_total", exporter="sqlite") >= 4
    assert "traces: " in capfd.readouterr().err


async def test_what_was_not_processed_is_after_a_restart(config: CollectorConfig, tmp_path: Path) -> None:
    first = Machine(config)  # never started: what it accepts stays in the journal
    for trace in range(1, 6):
        await first.accept(request(trace))
    first.journal.close()
    second = Machine(config)
    await second.graph.start()
    assert await second.stop()
    assert count(tmp_path / "a.db", "observations") == 15


async def test_a_store_that_was_taken_away_gets_what_the_journal_still_has(
    config: CollectorConfig, tmp_path: Path
) -> None:
    machine = Machine(config)
    await machine.graph.start()
    await machine.accept(request(1))
    assert await machine.stop()
    again = Machine(config)
    await again.graph.start()
    await again.accept(request(2))
    assert await again.stop()
    assert count(tmp_path / "b.db", "traces") == 2


async def test_what_nobody_takes_any_more_is_counted(config: CollectorConfig, tmp_path: Path) -> None:
    machine = Machine(config)
    await machine.graph.start()
    await machine.journal.append(
        Origin(Signal.TRACES, "otlp/renamed", RECEIVED_AT), request(1).SerializeToString(), request(1)
    )
    await machine.accept(request(2))
    assert await machine.stop()
    assert count(tmp_path / "a.db", "traces") == 1
    unclaimed = metric(machine.metrics, "openfuse_journal_unclaimed_requests_total", receiver="otlp/renamed")
    assert unclaimed == 2  # once on the way to each destination of the pipeline


async def test_an_exporter_reached_by_two_ways_keeps_no_cursor(tmp_path: Path) -> None:
    """The first share of a batch says nothing of the second, so its end must not be committed with it."""
    path = tmp_path / "config.yaml"
    text = CONFIG.replace("PATH", str(tmp_path)).replace("[sqlite/second, debug]", "[sqlite]")
    path.write_text(text)
    machine = Machine(load([str(path)], []))
    await machine.graph.start()
    await machine.accept(request(1))
    assert await machine.stop()
    assert count(tmp_path / "a.db", "openfuse_cursors") == 0
    assert count(tmp_path / "a.db", "observations") == 3
    again = Machine(load([str(path)], []))
    await again.graph.start()
    await again.accept(request(2))
    assert await again.stop()
    assert count(tmp_path / "a.db", "observations") == 6


async def test_two_destinations_of_a_pipeline_keep_a_cursor_each(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    text = CONFIG.replace("PATH", str(tmp_path)).replace("{genai: {}}", "{genai: {}, genai/two: {}}", 1)
    path.write_text(
        text.replace("[genai, debug]", "[genai, genai/two]").replace(
            "receivers: [genai]", "receivers: [genai, genai/two]"
        )
    )
    machine = Machine(load([str(path)], []))
    await machine.graph.start()
    await machine.accept(request(1))
    assert await machine.stop()
    assert count(tmp_path / "a.db", "openfuse_cursors") == 2
    assert count(tmp_path / "a.db", "observations") == 3

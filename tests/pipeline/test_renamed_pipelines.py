"""Pipelines that are renamed, or lose a receiver to another one, while their store is away: nothing is passed over in silence."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from openfuse_collector.config.service import load
from openfuse_collector.signals import Origin, Signal
from tests.builders import RECEIVED_AT, metric
from tests.collector_process import wait_until
from tests.pipeline.test_graph import Machine, count, request
from tests.store_lock import locked

CONFIG = """
receivers:
  otlp: {protocols: {http: {endpoint: localhost:0}}}
  otlp/eu: {protocols: {http: {endpoint: localhost:0}}}
  otlp/europe: {protocols: {http: {endpoint: localhost:0}}}
connectors: {genai: {}, genai/eu: {}}
exporters:
  sqlite: {path: PATH/a.db}
  sqlite/eu: {path: PATH/b.db, busy_timeout: 10ms, retry_on_failure: {initial_interval: 10ms, max_interval: 50ms}}
service:
  journal: {directory: PATH/journal}
  pipelines:
    PIPELINES
    events: {receivers: [genai], exporters: [sqlite]}
    events/eu: {receivers: [genai/eu], exporters: [sqlite/eu]}
"""
EU = "traces/eu: {receivers: [otlp/eu], exporters: [genai/eu], batch: {max_items: 3}}"
OWN = "traces: {receivers: [otlp], exporters: [genai]}"
BOTH = "traces: {receivers: [otlp, otlp/eu], exporters: [genai]}"
ELSEWHERE = "traces/x: {receivers: [otlp], exporters: [genai/eu]}"


def machine(directory: Path, *pipelines: str) -> Machine:
    path = directory / "config.yaml"
    path.write_text(CONFIG.replace("PIPELINES", "\n    ".join(pipelines)).replace("PATH", str(directory)))
    return Machine(load([str(path)], []))


async def accept(running: Machine, receiver: str, trace: int) -> None:
    made = request(trace)
    await running.journal.append(Origin(Signal.TRACES, receiver, RECEIVED_AT), made.SerializeToString(), made)


async def leave_a_backlog(directory: Path) -> None:
    """Ten traces for the store that is away and five for the other one, which has them."""
    running = machine(directory, OWN, EU)
    await running.graph.start()
    with locked(directory / "b.db"):
        for trace in range(1, 16):
            await accept(running, "otlp/eu" if trace > 5 else "otlp", trace)
        wait_until(lambda: running.journal.backlog("traces")["lag_bytes"] == 0, lambda: "the cursor stays", 60)
        assert not await running.graph.shutdown(0)
        running.journal.close()
    assert count(directory / "b.db", "traces") == 0


async def finish(running: Machine) -> None:
    await running.graph.start()
    assert await running.stop()


async def test_what_a_renamed_pipeline_had_in_front_of_it_waits_for_the_old_name(tmp_path: Path) -> None:
    await leave_a_backlog(tmp_path)
    with capture_logs() as lines:
        await finish(machine(tmp_path, OWN, EU.replace("traces/eu", "traces/europe")))
    (warning,) = (line for line in lines if line["log_level"] == "warning")
    assert warning["pipeline"] == "traces/eu" and "configure it once more as it was" in warning["remedy"]
    assert count(tmp_path / "b.db", "traces") == 0
    await finish(machine(tmp_path, OWN, EU))
    assert count(tmp_path / "b.db", "traces") == 10
    assert count(tmp_path / "a.db", "traces") == 5


async def test_a_receiver_that_moved_leaves_a_warning_whose_remedy_helps(tmp_path: Path) -> None:
    await leave_a_backlog(tmp_path)
    with capture_logs() as lines:
        running = machine(tmp_path, BOTH, ELSEWHERE)
        await accept(running, "otlp/eu", 16)
        await finish(running)
    (warning,) = (line for line in lines if "not configured any more" in line["event"])
    assert (warning["pipeline"], warning["of"]) == ("traces/eu", ["traces:otlp/eu"])
    assert warning["bytes"] > 0
    assert metric(running.metrics, "openfuse_pipeline_given_up_requests_total", pipeline="traces/eu") == 0
    assert count(tmp_path / "b.db", "traces") == 0
    await finish(machine(tmp_path, BOTH, EU))
    assert count(tmp_path / "b.db", "traces") == 11
    assert count(tmp_path / "a.db", "traces") == 6


async def test_a_renamed_receiver_loses_nothing_either(tmp_path: Path) -> None:
    """The pipeline keeps its name; what came by the old one of its receiver was accepted for it."""
    await leave_a_backlog(tmp_path)
    await finish(machine(tmp_path, OWN, EU.replace("[otlp/eu]", "[otlp/europe]")))
    assert count(tmp_path / "b.db", "traces") == 10

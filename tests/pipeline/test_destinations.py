"""One dead destination never stops the others: destinations of one pipeline, pipelines beside each other, and what is parked."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from openfuse_collector.component import ComponentID, Factory, Kind
from openfuse_collector.config.service import load
from openfuse_collector.pipeline import graph
from openfuse_collector.signals import Batch, Delivery, Item, Origin, Signal
from tests.builders import RECEIVED_AT, metric
from tests.collector_process import wait_until
from tests.pipeline.test_graph import Machine, count, request
from tests.store_lock import locked

ONE_PIPELINE = """
    traces: {receivers: [otlp], exporters: [genai, genai/away], batch: {max_items: 3}}
"""
TWO_PIPELINES = """
    traces: {receivers: [otlp], exporters: [genai], batch: {max_items: 3}}
    traces/away: {receivers: [otlp], exporters: [genai/away], batch: {max_items: 3}, ON_FULL}
"""
CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: localhost:0}}}}
connectors: {genai: {}, genai/away: {}}
exporters:
  sqlite: {path: PATH/a.db}
  sqlite/away: {path: PATH/b.db, busy_timeout: 10ms, retry_on_failure: {initial_interval: 10ms, max_interval: 50ms}}
  debug: {}
service:
  journal: {directory: PATH/journal, segment_size: 1MiB, max_size: 8MiB}
  pipelines:PIPELINES
    events: {receivers: [genai], exporters: [sqlite]}
    events/away: {receivers: [genai/away], exporters: [sqlite/away]}
"""


def machine(tmp_path: Path, pipelines: str) -> Machine:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("PIPELINES", pipelines).replace("PATH", str(tmp_path)))
    return Machine(load([str(path)], []))


def large(trace: int) -> Any:
    made = request(trace, 1)
    text = made.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="input.value")
    text.value.string_value = str(trace) + "x" * 250_000
    return made


async def fill_living(running: Machine, directory: Path, traces: int) -> None:
    """Send them, until the living store has them all."""
    for trace in range(1, traces + 1):
        await running.accept(request(trace))
    wait_until(lambda: count(directory / "a.db", "traces") == traces, lambda: "the living store waits", 60)


@pytest.mark.parametrize("pipelines", [ONE_PIPELINE, TWO_PIPELINES.replace(", ON_FULL", "")], ids=["one", "two"])
async def test_the_living_store_gets_everything_meanwhile(pipelines: str, tmp_path: Path) -> None:
    running = machine(tmp_path, pipelines)
    await running.graph.start()
    with locked(tmp_path / "b.db"):
        await fill_living(running, tmp_path, 30)
        assert count(tmp_path / "b.db", "traces") == 0
        waiting = [worker.status() for worker in running.graph.workers if worker.id == "sqlite/away"]
        assert waiting[0]["state"] == "retrying" and "locked" in waiting[0]["last_error"]["error"]
    assert await running.stop()
    assert count(tmp_path / "b.db", "traces") == 30
    assert metric(running.metrics, "openfuse_exporter_retries_total", exporter="sqlite/away") > 0


async def test_the_others_finish_while_one_that_is_stuck_is_waited_for(tmp_path: Path) -> None:
    """However few threads there are to wait with: all are told at once that there will be no more."""
    running = machine(tmp_path, TWO_PIPELINES.replace(", ON_FULL", ""))
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    await running.graph.start()
    with locked(tmp_path / "a.db"), ThreadPoolExecutor(1) as watcher:
        await running.accept(request(1))
        shutdown = asyncio.create_task(running.graph.shutdown(120))
        finished = watcher.submit(wait_until, lambda: not reads("traces/away"), lambda: "it was not told to finish", 60)
        await asyncio.wrap_future(finished)
        assert not shutdown.done()
    assert await shutdown
    running.journal.close()
    assert count(tmp_path / "a.db", "traces") == count(tmp_path / "b.db", "traces") == 1


def reads(pipeline: str) -> bool:
    """Whether the thread of a pipeline is there."""
    return any(thread.name == f"pipeline {pipeline}" for thread in threading.enumerate())


async def test_what_is_parked_has_a_quota_of_its_own(tmp_path: Path) -> None:
    """Four times the journal passes to the living store; the one that is away gets what its quota held, and the rest is counted."""
    running = machine(tmp_path, TWO_PIPELINES.replace("ON_FULL", "on_full: park, max_backlog: 2MiB"))
    await running.graph.start()
    queued = running.graph.queues[Signal.TRACES, "otlp"]
    with locked(tmp_path / "b.db"):
        for trace in range(1, 129):
            await running.accept(large(trace))
            if trace % 8 == 0:
                wait_until(lambda: count(tmp_path / "a.db", "traces") >= trace, lambda: "the living store waits", 60)  # noqa: B023
                running.journal.tidy()
        assert running.journal.backlog("traces/away")["lag_bytes"] <= 4 << 20
        assert len(queued) == 2
    assert await running.stop()
    given_up = metric(running.metrics, "openfuse_pipeline_given_up_requests_total", pipeline="traces/away")
    assert given_up > 0
    arrived = count(tmp_path / "b.db", "traces")
    assert arrived == 128 - given_up
    assert [count.items for count in queued] == [
        -128,
        -128,
    ]  # nobody counted them when they came: no intake was in between
    assert count(tmp_path / "a.db", "traces") == 128


def test_who_refuses_and_who_parks(tmp_path: Path) -> None:
    running = machine(
        tmp_path,
        "\n    traces: {receivers: [otlp], exporters: [debug, genai]}\n    traces/away: {receivers: [otlp], exporters: [genai/away]}",
    )
    assert {
        source.pipeline: running.journal.backlog(source.pipeline)["on_full"] for source in running.graph.sources
    } == {
        "traces": "refuse",
        "traces@debug": "park",
        "traces/away": "refuse",
    }
    running.journal.close()


REARRANGED = {
    "the store that was ahead is removed": "[genai/away]",
    "the store that was behind comes first": "[genai/away, genai]",
}


@pytest.mark.parametrize("exporters", REARRANGED.values(), ids=REARRANGED.keys())
async def test_a_store_that_is_behind_gets_everything_however_destinations_are_rearranged(
    exporters: str, tmp_path: Path
) -> None:
    """The name of the pipeline's own cursor passes from one destination to another; how far that one was does not."""
    running = machine(tmp_path, ONE_PIPELINE)
    await running.graph.start()
    with locked(tmp_path / "b.db"):
        await fill_living(running, tmp_path, 10)
        wait_until(lambda: running.journal.backlog("traces")["lag_bytes"] == 0, lambda: "the cursor stays", 60)
        assert not await running.graph.shutdown(0)
        running.journal.close()
    pipeline = ONE_PIPELINE.replace("[genai, genai/away]", exporters)
    again = machine(tmp_path, pipeline) if "genai]" in exporters else machine_without_genai(tmp_path, pipeline)
    await again.graph.start()
    assert await again.stop()
    assert count(tmp_path / "b.db", "traces") == 10


def machine_without_genai(tmp_path: Path, pipelines: str) -> Machine:
    """Only the store that was away is left."""
    path = tmp_path / "config.yaml"
    text = CONFIG.replace("    events: {receivers: [genai], exporters: [sqlite]}\n", "").replace("genai: {}, ", "")
    path.write_text(text.replace("PIPELINES", pipelines).replace("PATH", str(tmp_path)))
    return Machine(load([str(path)], []))


class Passes:
    """A processor that changes nothing."""

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...

    def process(self, batch: Batch) -> Batch:
        return batch


async def test_what_a_processor_refused_is_offered_to_every_destination_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each destination has processors of its own, and both refuse the same: that is one letter."""
    passes = ComponentID("passes")
    real = graph.factory

    def known(kind: Kind, type: str) -> Factory:
        if kind is Kind.PROCESSOR:
            return Factory(kind, type, object, lambda settings, config: Passes())
        return real(kind, type)

    monkeypatch.setattr(graph, "factory", known)
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("PIPELINES", ONE_PIPELINE).replace("PATH", str(tmp_path)))
    config = load([str(path)], [])
    (id,) = (id for id in config.service.pipelines if str(id) == "traces")
    pipelines = {
        **config.service.pipelines,
        id: dataclasses.replace(config.service.pipelines[id], processors=(passes,)),
    }
    service = dataclasses.replace(config.service, pipelines=pipelines)
    running = Machine(dataclasses.replace(config, processors={passes: object()}, service=service))
    await running.graph.start()
    finished = Event()
    refused = Item(Origin(Signal.TRACES, "otlp", RECEIVED_AT), 0, request(1), 100)
    entry = running.graph.entries[Kind.PROCESSOR, "traces: passes"]
    entry.consume(Batch(Signal.TRACES, [refused], "traces", None, Delivery(finished.set)))
    assert finished.wait(60)
    assert await running.stop()
    assert (count(tmp_path / "a.db", "traces"), count(tmp_path / "b.db", "traces")) == (1, 1)

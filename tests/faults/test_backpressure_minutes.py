"""Minutes of a store that stands still while senders do not: `make test-long`, or `pytest -m long` with $OPENFUSE_SOAK_SECONDS (180)."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from tests.collector_process import CollectorProcess, wait_until
from tests.faults.fault_kit import Tally
from tests.faults.test_backpressure import EXPORTERS, spans, stored
from tests.store_lock import locked

SECONDS = float(os.environ.get("OPENFUSE_SOAK_SECONDS", "180"))
BATCH = 200
PATIENCE = 1800.0
"""Seconds for the stores to take what was sent in the meantime; a busy machine needs many times what was spent on sending."""
LIMIT_MIB = 400
"""Two stores with caches of their own."""
SETS = {
    "exporters.sqlite.busy_timeout": "50ms",
    "service.memory_limiter.limit_mib": LIMIT_MIB,
    "exporters.sqlite/beside.path": "beside.db",
    "connectors.genai/beside": "{}",
    "service.pipelines.traces/beside": "{receivers: [otlp], exporters: [genai/beside]}",
    "service.pipelines.events/beside": "{receivers: [genai/beside], exporters: [sqlite/beside]}",
}


@pytest.mark.long
def test_a_store_that_stands_still_for_minutes(start_collector: Callable[..., CollectorProcess], tally: Tally) -> None:
    """Stock exporters send without a pause and none of them is refused: the journal takes what the store does not. Memory keeps
    its limit, the pipeline beside it has everything meanwhile, and the store has everything afterwards."""
    collector = start_collector(sets=SETS)
    over = threading.Event()
    numbers, peaks = itertools.count(), [0.0]

    def sender(protocol: str) -> int:
        exporter, sent = EXPORTERS[protocol](collector), 0
        while not over.is_set():
            result = exporter.export(spans(BATCH, f"peer {next(numbers)}"))
            assert result is SpanExportResult.SUCCESS
            sent += BATCH
        exporter.shutdown()
        return sent

    with locked(collector.store), ThreadPoolExecutor(4) as pool:
        senders = [pool.submit(sender, protocol) for protocol in ("grpc", "http") * 2]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            peaks.append(collector.metric("otelcol_process_memory_rss"))
            over.wait(0.5)
        over.set()
        sent = sum(future.result() for future in senders)
        wait_until(lambda: written(collector, "sqlite/beside") == sent, lambda: collector.log, PATIENCE)
        assert written(collector, "sqlite") == 0
        assert collector.metric("openfuse_pipeline_queued_items", pipeline="traces") == sent
    wait_until(
        lambda: stored(collector) == sent, lambda: f"{stored(collector)} of {sent} stored:\n{collector.log}", PATIENCE
    )
    peaks.append(collector.metric("otelcol_process_memory_rss"))
    assert max(peaks) <= LIMIT_MIB << 20
    tally.update(
        {"spans acknowledged": sent, "rows compared": stored(collector), "peak MiB": round(max(peaks) / (1 << 20))}
    )


def written(collector: CollectorProcess, exporter: str) -> float:
    return collector.metric("openfuse_store_written_rows_total", exporter=exporter, table="observations")

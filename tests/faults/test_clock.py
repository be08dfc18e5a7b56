"""A wall clock that jumps back and forth, over a kill as well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.collector_process import CollectorProcess
from tests.faults.fault_kit import Client, Request, Rows, check, wait_stored

JUMPING = Path(__file__).parent / "jumping_clock"
CHECKOUT = Path(__file__).resolve().parents[2]


def test_a_clock_that_jumps(
    start_collector: Callable[..., CollectorProcess], requests: list[Request], clean: Rows
) -> None:
    """Only the times of receipt tell; nothing is lost, doubled or stuck."""
    collector = start_collector(environment={"PYTHONPATH": f"{JUMPING}:{CHECKOUT}"})
    client, half = Client(collector), len(requests) // 2
    client.send(requests[:half])
    collector.kill()
    collector.start()
    client.send(requests[half:])
    assert not client.unanswered
    wait_stored(collector, requests)
    assert collector.stop() == 0
    stamps = {line[:13] for line in collector.log.splitlines() if line.startswith("20")}
    received = {row["h"] for row in collector.query("SELECT DISTINCT ingested_at / 3600000 AS h FROM raw_events")}
    assert len(received) > 1, f"the clock did not jump: {stamps}"
    check(collector, clean)

"""A whole collector in front of the store: faults and kill -9 under load, and every row there once at the end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from greptimedb_kit import Server
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.collector_process import CollectorProcess, start_collector, wait_until
from tests.greptimedb_double import Fault, ServerError, StatusCode, faults

__all__ = ["start_collector"]

CONFIG = Path(__file__).parents[3] / "config" / "greptimedb.yaml"
START = 1_795_000_000_000_000_000
TRACES, CHILDREN = 120, 3
SPANS = TRACES * (1 + CHILDREN)

Start = Callable[..., CollectorProcess]


def settings_for(server: Server) -> dict[str, Any]:
    return {
        "exporters.greptimedb.endpoints": f"[{server.grpc}]",
        "exporters.greptimedb.http_endpoints": f"[{server.http}]",
        "exporters.greptimedb.database": server.database,
        "exporters.greptimedb.retry_on_failure.initial_interval": "20ms",
        "exporters.greptimedb.retry_on_failure.max_interval": "200ms",
        "service.pipelines.traces.batch.timeout": "20ms",
        "service.journal.max_size": "1GiB",
        "service.journal.min_free_disk": "1MiB",
    }


def request(trace: int, number: int) -> bytes:
    """One span of a trace: 0 is the root, which starts first."""
    made = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    span = scope.spans.add(name=f"chat {number}", trace_id=(trace + 1).to_bytes(16, "big"))
    span.span_id = (trace * 10 + number + 1).to_bytes(8, "big")
    if number:
        span.parent_span_id = (trace * 10 + 1).to_bytes(8, "big")
    span.start_time_unix_nano = START + trace * 10**9 + number * 10**8
    span.end_time_unix_nano = span.start_time_unix_nano + 10**7
    span.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
    span.attributes.add(key="langfuse.trace.tags").value.string_value = json.dumps(["a"])
    return made.SerializeToString()


def send(collector: CollectorProcess, body: bytes) -> None:
    """Until it is acknowledged."""
    pause = threading.Event()
    for _ in range(3000):
        try:
            with urlopen(
                Request(f"{collector.http_endpoint}/v1/traces", body, {"Content-Type": "application/x-protobuf"}),
                timeout=20,
            ) as answer:
                assert answer.status == 200
                return
        except (HTTPError, URLError, ConnectionError):
            pause.wait(0.02)
    raise AssertionError(f"never acknowledged\n{collector.log}")


ORDER = [(trace, number) for number in (*range(CHILDREN, 0, -1), 0) for trace in range(TRACES)]
"""Children first, every span in a request of its own; the roots, which began earlier, come last."""


def send_all(collector: CollectorProcess, order: Sequence[tuple[int, int]] = ORDER) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda which: send(collector, request(*which)), order))


def stored(server: Server) -> tuple[int, int]:
    """Rows of observations and traces; none before there are tables."""
    try:
        found = [server.double.query(f"SELECT count(*) AS n FROM {table}") for table in ("observations", "traces")]
    except ServerError:
        return 0, 0
    return found[0][0]["n"], found[1][0]["n"]


def assert_exact(server: Server) -> None:
    """One row per span and trace, a trace at the time of its root, raw events of every span."""
    assert stored(server) == (SPANS, TRACES)
    times = sorted(row["timestamp"] for row in server.table("traces"))
    assert times == [START // 10**6 + trace * 1000 for trace in range(TRACES)]
    raw = server.table("raw_events", "entity_type = 'observation'")
    assert len({row["event_id"] for row in raw}) == SPANS
    assert len(server.visible("traces_tags", "traces")) == TRACES


FAULTS: dict[str, Callable[[], Fault]] = {
    "away": faults.unavailable,
    "written but not answered": lambda: faults.status(StatusCode.DEADLINE_EXCEEDED, applied=1),
    "half written": lambda: faults.status(StatusCode.DEADLINE_EXCEEDED, applied=0.5),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_while_roots_come_late_leaves_every_row_once(faulty: Server, start_collector: Start, name: str) -> None:
    collector = start_collector(arguments=["--config", str(CONFIG)], sets=settings_for(faulty))
    fault = FAULTS[name]()
    send_all(collector, ORDER[: SPANS // 2])
    faulty.double.wait(lambda: stored(faulty)[0] > 20, 60)
    faulty.double.fail(fault)
    send_all(
        collector, ORDER[SPANS // 2 :]
    )  # acknowledged from the journal: none of these can be stored before the fault is met
    wait_until(lambda: collector.metric("openfuse_greptimedb_failed_exports_total") > 0, lambda: collector.log, 60)
    assert fault.kind == "unavailable" or faulty.double.struck(fault) > 0
    faulty.double.heal()
    faulty.double.wait(lambda: stored(faulty) == (SPANS, TRACES), 60)
    assert collector.metric("openfuse_dead_letters_total") == 0, collector.log
    assert collector.stop() == 0, collector.log
    assert_exact(faulty)


def test_kill_9_while_writing_loses_nothing(faulty: Server, start_collector: Start) -> None:
    collector = start_collector(arguments=["--config", str(CONFIG)], sets=settings_for(faulty))
    sender = threading.Thread(target=send_all, args=(collector,))
    sender.start()
    for mark in (40, 150, 260):
        faulty.double.wait(lambda mark=mark: stored(faulty)[0] > mark, 60)
        collector.kill()
        collector.start()
    sender.join(120)
    faulty.double.wait(lambda: stored(faulty) == (SPANS, TRACES), 60)
    assert collector.metric("openfuse_dead_letters_total") == 0, collector.log
    assert collector.stop() == 0, collector.log
    assert_exact(faulty)

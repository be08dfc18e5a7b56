"""The collector as a process: what it acknowledged is in the store after a stop, a kill and a restart."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.signals import Signal
from tests.builders import RECEIVED_AT
from tests.collector_process import CollectorProcess, wait_until

Start = Callable[..., CollectorProcess]
SPANS = 20


def body(trace: int) -> bytes:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(SPANS):
        span = scope.spans.add(
            name=f"span {number}", start_time_unix_nano=RECEIVED_AT + number, end_time_unix_nano=RECEIVED_AT + 99
        )
        span.trace_id = trace.to_bytes(16, "big")
        span.span_id = (trace * 1000 + number + 1).to_bytes(8, "big")
        span.attributes.add(key="gen_ai.request.model").value.string_value = "gpt-4o-mini"
    return request.SerializeToString()


def send(collector: CollectorProcess, trace: int) -> bool:
    """True when the request was acknowledged."""
    connection = http.client.HTTPConnection("127.0.0.1", collector.http_port, timeout=20)
    try:
        connection.request("POST", "/v1/traces", body(trace), {"Content-Type": "application/x-protobuf"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def stored(collector: CollectorProcess) -> int:
    return int(collector.query("SELECT count(*) AS n FROM observations")[0]["n"])


def test_a_stop_drains(start_collector: Start) -> None:
    collector = start_collector()
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda trace: send(collector, trace), range(1, 61)))
    assert collector.stop() == 0
    assert stored(collector) == 60 * SPANS
    assert len(collector.query("SELECT id FROM traces")) == 60


def test_a_kill_under_load_loses_and_doubles_nothing(start_collector: Start) -> None:
    collector = start_collector()
    acknowledged: set[int] = set()
    enough, done = threading.Event(), threading.Event()
    numbers = itertools.count(1)

    def client() -> None:
        while not done.is_set():
            trace = next(numbers)
            if send(collector, trace):
                acknowledged.add(trace)
                if len(acknowledged) % 30 == 0:
                    enough.set()
            else:
                done.wait(0.01)

    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(client) for _ in range(3)]
        for _ in range(3):
            assert enough.wait(30)
            enough.clear()
            collector.kill()
            collector.start()
        assert enough.wait(30)
        done.set()
        for future in clients:
            future.result()
    assert collector.stop() == 0
    have = {row["id"] for row in collector.query("SELECT id FROM observations")}
    assert {f"{trace * 1000 + number + 1:016x}" for trace in acknowledged for number in range(SPANS)} <= have
    doubled = "SELECT 1 FROM raw_events GROUP BY project_id, entity_type, entity_id, event_id HAVING count(*) > 1"
    assert collector.query(doubled) == []


def test_a_resend_doubles_nothing(collector: CollectorProcess) -> None:
    for trace in (1, 1, 2, 1):
        assert send(collector, trace)
    collector.wait_for_rows("SELECT id FROM observations", at_least=2 * SPANS)
    collector.wait_for_rows("SELECT id FROM traces WHERE id = ?", f"{2:032x}")
    assert collector.stop() == 0
    assert stored(collector) == 2 * SPANS
    assert len(collector.query("SELECT 1 FROM raw_events")) == 2 * SPANS + 2 * SPANS  # every span here is a root


def test_the_metrics_add_up(collector: CollectorProcess) -> None:
    for trace in range(1, 6):
        assert send(collector, trace)
    collector.wait_for_rows("SELECT id FROM observations", at_least=5 * SPANS)
    assert collector.metric("otelcol_receiver_accepted_spans_total", receiver="otlp") == 5 * SPANS
    assert collector.metric("openfuse_store_written_rows_total", table="observations") == 5 * SPANS
    assert collector.metric("openfuse_dead_letters_total") == 0
    assert collector.metric("openfuse_ingest_lag_seconds", pipeline=Signal.TRACES) < 60
    assert collector.metric("otelcol_process_memory_rss") > 1_000_000


def test_two_collectors_do_not_share_a_journal(start_collector: Start) -> None:
    first = start_collector("first")
    second = CollectorProcess(first.directory / "second", {"service.journal.directory": str(first.journal)})
    try:
        second.start()
    except AssertionError as error:
        assert "exit code 1" in str(error)
        assert str(first.journal) in second.log
        assert str(first.pid) in second.log
    else:
        second.kill()
        raise AssertionError("the second collector started")


def test_a_busy_port_is_named(start_collector: Start) -> None:
    first = start_collector("first")
    taken = f"127.0.0.1:{first.http_port}"
    second = CollectorProcess(first.directory / "second", {"receivers.otlp.protocols.http.endpoint": taken})
    try:
        second.start()
    except AssertionError as error:
        assert "exit code 1" in str(error)
        assert taken in second.log
    else:
        second.kill()
        raise AssertionError("the second collector started")


def test_a_start_that_fails_says_nothing_but_why(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        collector = CollectorProcess(tmp_path, {"service.telemetry.metrics.address": address})
        with pytest.raises(AssertionError, match="exit code 1"):
            collector.start()
    assert address in collector.log.splitlines()[-1]
    assert "Warning" not in collector.log


def test_the_langfuse_api_is_served_beside_otlp(collector: CollectorProcess) -> None:
    at = "2026-11-21T06:00:00.000Z"
    batch = [
        {
            "id": "e1",
            "timestamp": at,
            "type": "trace-create",
            "body": {"id": "t1", "name": "chat", "userId": "ada", "public": True},
        },
        {
            "id": "e2",
            "timestamp": at,
            "type": "generation-create",
            "body": {"id": "g1", "traceId": "t1", "model": "gpt-4o-mini"},
        },
        {
            "id": "e3",
            "timestamp": at,
            "type": "generation-update",
            "body": {"id": "g1", "usage": {"input": 1000, "output": 100}},
        },
        {
            "id": "e4",
            "timestamp": at,
            "type": "score-create",
            "body": {"id": "s1", "traceId": "t1", "name": "good", "value": 1},
        },
        {"id": "e5", "timestamp": "yesterday", "type": "trace-create", "body": {"id": "t2"}},
    ]
    for _ in range(2):  # SDKs send the whole batch again when one event of it was refused
        connection = http.client.HTTPConnection("127.0.0.1", collector.http_port, timeout=20)
        connection.request(
            "POST", "/api/public/ingestion", json.dumps({"batch": batch}), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        said = json.loads(answer.read())
        connection.close()
        assert answer.status == 207
        assert ([one["id"] for one in said["successes"]], said["errors"][0]["id"]) == (["e1", "e2", "e4", "e3"], "e5")
    (trace,) = collector.wait_for_rows("SELECT name, user_id, public FROM traces")
    assert trace == {"name": "chat", "user_id": "ada", "public": 1}
    (score,) = collector.wait_for_rows("SELECT name, value, data_type FROM scores")
    assert score == {"name": "good", "value": 1.0, "data_type": "NUMERIC"}
    (generation,) = collector.wait_for_rows("SELECT * FROM observations WHERE total_usage = 1100")
    assert (generation["type"], generation["trace_id"]) == ("GENERATION", "t1")
    assert generation["total_cost"] > 0
    assert len(collector.query("SELECT 1 FROM raw_events")) == 4


def test_a_hangup_during_the_start_is_a_reload(tmp_path: Path) -> None:
    """The first look at the keys ends when the test has hung up, and put a file in the place of the pipe."""
    keys = tmp_path / "keys.yaml"
    os.mkfifo(keys)
    pipes: list[int] = []

    def opened() -> bool:
        with suppress(OSError):  # nobody reads it yet
            pipes.append(os.open(keys, os.O_WRONLY | os.O_NONBLOCK))
        return bool(pipes)

    sets = {"extensions.api_keys.file": keys, "service.extensions": "[health_check, api_keys]"}
    collector = CollectorProcess(tmp_path / "collector", sets=sets)
    with ThreadPoolExecutor(1) as pool:
        ready = pool.submit(collector.start)
        try:
            wait_until(opened, lambda: f"it does not read the keys: {collector.log}", 60)
            os.kill(collector.pid, signal.SIGHUP)
            keys.unlink()
            keys.write_text("projects: [{id: a, keys: [{public_key: pk, secret_key: sk}]}]")
            os.write(pipes[0], keys.read_bytes())
            os.close(pipes[0])
            ready.result()
            wait_until(lambda: "keys reloaded" in collector.log, lambda: collector.log, 60)
        finally:
            collector.kill()

"""What goes wrong between the exporter and the server: nothing is lost, rows are there once, and the log says what is the matter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from greptimedb_kit import Server, export, exporter
from structlog.testing import capture_logs

from openfuse_collector.component import ComponentID
from openfuse_collector.config.types import Address, Duration, Secret
from openfuse_collector.errors import PermanentError, RetryableError
from openfuse_collector.events.event import Event
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from openfuse_collector.pipeline.retry import RetryConfig
from openfuse_collector.pipeline.worker import ExporterWorker
from openfuse_collector.signals import Delivery
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import batch, event, item, metric, settings
from tests.greptimedb_double import Double, Fault, StatusCode, faults

QUICK = RetryConfig(initial_interval=Duration(0.01), max_interval=Duration(0.05))
ENTITIES = 30


def events(count: int = ENTITIES) -> list[Event]:
    """Observations and traces with side rows."""
    observations = [
        event(f"o{n}", id=f"obs-{n}", name=f"n{n}", metadata={"k": "v"}, usageDetails={"cached": n})
        for n in range(count)
    ]
    return [*observations, *(event(f"t{n}", "trace", id=f"trace-{n}", tags=["a", "b"]) for n in range(count))]


def assert_all_there_once(server: Server, count: int = ENTITIES) -> None:
    """Projection rows once each, side rows visible, raw events at least once each."""
    assert server.counts()["observations"] == server.counts()["traces"] == count
    assert len({found["event_id"] for found in server.table("raw_events")}) == 2 * count
    assert len(server.visible("observations_metadata", "observations")) == count
    assert len(server.visible("traces_tags", "traces")) == 2 * count


class Worker:
    """The exporter behind its worker, as in a service."""

    def __init__(self, server: Server, directory: Path, retry: RetryConfig, **config: Any) -> None:
        self.metrics = Metrics()
        self.settings = settings("greptimedb", self.metrics, directory=directory)
        self.stopping = threading.Event()
        self.done = threading.Event()
        self._exporter = exporter(server, self.metrics, **config)
        made = self._exporter.__enter__()
        log = structlog.get_logger()
        self._worker = ExporterWorker(
            ComponentID("greptimedb"), made, retry, self.settings.dead_letters, self.stopping, self.metrics, log
        )
        self._worker.start()

    def send(self, found: list[Event]) -> None:
        """One batch; `done` is set when it is dealt with."""
        self._worker.consume(batch(item(found), delivery=Delivery(self.done.set)))

    def stop(self) -> None:
        self.stopping.set()
        self._worker.join(30)
        self._exporter.__exit__(None, None, None)


@contextmanager
def working(server: Server, directory: Path, retry: RetryConfig = QUICK, **config: Any) -> Iterator[Worker]:
    worker = Worker(server, directory, retry, **config)
    try:
        yield worker
    finally:
        worker.stop()


PASSING: dict[str, Callable[[], Fault]] = {
    "storage unavailable": faults.unavailable_status,
    "region busy": faults.region_busy,
    "write buffer full": faults.rejected_write,
    "out of memory": faults.memory_exhausted,
    "disk full": faults.disk_full,
    "rate limited": faults.rate_limited,
    "reset before": lambda: faults.reset(applied=0),
    "reset in the middle": lambda: faults.reset(applied=0.5),
    "reset after": lambda: faults.reset(applied=1),
    "failed after all": lambda: faults.status(StatusCode.DEADLINE_EXCEEDED, applied=1),
}


@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize("table", ["raw_events", "observations_metadata", "observations", "traces"])
def test_a_fault_that_passes_loses_nothing(faulty: Server, tmp_path: Path, name: str, table: str) -> None:
    fault = PASSING[name]().on(table).over("grpc").times(3)
    faulty.double.fail(fault)
    with working(faulty, tmp_path) as worker:
        worker.send(events())
        assert worker.done.wait(30)
        assert faulty.double.struck(fault) >= (1 if fault.applied else 3)
        assert metric(worker.metrics, "openfuse_dead_letters_total") == 0
    assert_all_there_once(faulty)


@pytest.mark.parametrize("name", ["storage unavailable", "region busy", "rate limited", "reset after"])
def test_faults_of_sql_lose_nothing_either(faulty: Server, tmp_path: Path, name: str) -> None:
    with exporter(faulty) as made:
        export(made, events())
    fault = PASSING[name]().over("http").times(1)
    faulty.double.fail(fault)
    with working(faulty, tmp_path) as worker:
        worker.send(events())
        assert worker.done.wait(30)
    assert_all_there_once(faulty)


def test_a_server_that_is_away_and_comes_back(faulty: Server, tmp_path: Path) -> None:
    faulty.double.fail(away := faults.unavailable())
    with capture_logs() as logs, working(faulty, tmp_path) as worker:
        worker.send(events())
        waited = until(lambda: [one for one in logs if one["event"] == "export failed, will retry"])
        assert "no answer from GreptimeDB" in waited[0]["error"]
        faulty.double.heal(away)
        assert worker.done.wait(30)
    assert_all_there_once(faulty)


def until(found: Callable[[], list[Any]]) -> list[Any]:
    """What is found once there is something."""
    blocked = threading.Event()
    for _ in range(3000):
        if now := found():
            return now
        blocked.wait(0.01)
    raise TimeoutError


def test_a_crash_between_any_two_calls_is_made_good_by_the_repetition(faulty: Server) -> None:
    """The collector dies at the n-th row call of a flush; another one gets the batch again."""
    for number in range(1, 12):
        with exporter(faulty) as made:
            fault = faults.status(StatusCode.INTERNAL).over("grpc").method("insert", "delete").nth(number)
            faulty.double.fail(fault)
            with pytest.raises(RetryableError):
                export(made, events())
            faulty.double.heal()
        with exporter(faulty) as made:
            export(made, events())
        assert_all_there_once(faulty)
        for table in ("raw_events", "observations", "traces", "observations_metadata", "traces_tags"):
            faulty.double.query(f"TRUNCATE TABLE {table}")


def said(trace: str, second: int, type: str = "trace-create", **body: Any) -> Event:
    """A trace event of a client at a second of the minute, received in the same order."""
    made = event(trace, "trace", id=f"{trace}-{second}", **body)
    made.type, made.timestamp, made.metadata = type, f"2026-11-21T06:00:{second:02}Z", None
    made.ingested_at += second
    return made


MOVE = {"timestamp": "2026-11-21T06:00:10Z"}
CHANGES: dict[str, tuple[Callable[[str], list[Event]], list[tuple[int, str | None]]]] = {
    "moved": (lambda trace: [said(trace, 10, **MOVE)], [(10, "u")]),
    "cleared": (lambda trace: [said(trace, 40, userId=None)], [(30, None)]),
    "moved and cleared": (lambda trace: [said(trace, 10, **MOVE), said(trace, 40, userId=None)], [(10, None)]),
    "deleted": (lambda trace: [said(trace, 50, "langfuse-tombstone")], []),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_crash_while_rows_are_replaced_is_made_good_too(faulty: Server, name: str) -> None:
    """The same for batches that delete, dying at every call of them in turn."""
    change, expected = CHANGES[name]
    died = number = 1
    while died:
        trace = f"t{number}"
        with exporter(faulty) as made:
            export(made, [said(trace, 30, timestamp="2026-11-21T06:00:30Z", userId="u", tags=["a", "b"])])
        died = dies_at_call(faulty, number, change(trace))
        rows = faulty.table("traces", f"`id` = '{trace}'")
        assert [(row["timestamp"] // 1000 % 60, row["user_id"]) for row in rows] == expected
        sides = faulty.table("traces_tags", f"entity_id = '{trace}'")
        assert [(row["timestamp"] // 1000 % 60, row["tag"]) for row in sides] == [
            (second, tag) for second, _ in expected for tag in "ab"
        ]
        number += 1
    assert number > 3


def dies_at_call(server: Server, number: int, found: list[Event]) -> int:
    """Exports a batch that fails at its n-th row call, then again from nothing. How many calls failed: 0 when it had fewer calls."""
    fault = faults.status(StatusCode.INTERNAL).over("grpc").method("insert", "delete").nth(number)
    server.double.fail(fault)
    with exporter(server) as made:
        try:
            export(made, found)
        except RetryableError:
            pass
    struck = server.double.struck(fault)
    server.double.heal()
    with exporter(server) as made:
        export(made, found)
    return struck


def test_a_wrong_password_waits_and_alarms_once_a_minute(faulty: Server, tmp_path: Path) -> None:
    faulty.double.require("writer", "right")
    login = {"username": "writer", "password": Secret("wrong-secret")}
    with capture_logs() as logs, exporter(faulty, **login) as made:
        with pytest.raises(RetryableError) as caught:
            export(made, events())
        assert caught.value.after == 60
        assert "refuses the credentials" in str(caught.value)
        faulty.double.require("writer", "wrong-secret")
        export(made, events())
    assert_all_there_once(with_login(faulty, login))
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "wrong-secret" not in f"{chain} {chain!r}"
        chain = chain.__cause__
    assert "wrong-secret" not in str(logs)


def with_login(server: Server, login: dict[str, Any]) -> Server:
    """The same database, read with a login."""
    server.sql.close()
    server.sql = SqlClient(server.config(**login))
    return server


@pytest.mark.parametrize("fault", [faults.locked_out, faults.forbidden])
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_refused_credentials_are_no_reason_to_drop_anything(
    faulty: Server, fault: Callable[[], Fault], protocol: str
) -> None:
    faulty.double.fail(fault().over(protocol))
    with exporter(faulty) as made:
        with pytest.raises(RetryableError) as caught:
            export(made, events())
        assert caught.value.after == 60
        faulty.double.heal()
        export(made, events())
    assert_all_there_once(faulty)


def test_one_bad_row_becomes_a_dead_letter_and_its_neighbours_are_stored(faulty: Server, tmp_path: Path) -> None:
    faulty.double.fail(faults.bad_row(id="o7"))
    with working(faulty, tmp_path) as worker:
        worker.send(events())
        assert worker.done.wait(60)
        assert metric(worker.metrics, "openfuse_dead_letters_total", component="greptimedb") == 1
    assert {found["id"] for found in faulty.table("observations")} == {f"o{n}" for n in range(ENTITIES)} - {"o7"}
    assert faulty.counts()["traces"] == ENTITIES


@pytest.mark.parametrize("code", [StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.CANCELLED])
def test_one_row_the_server_fails_with_becomes_a_dead_letter_too(
    faulty: Server, tmp_path: Path, code: StatusCode
) -> None:
    """It never says that it is the row."""
    faulty.double.fail(faults.bad_row(id="o7", code=code))
    with working(faulty, tmp_path) as worker:
        worker.send(events())
        assert worker.done.wait(60)
        assert metric(worker.metrics, "openfuse_dead_letters_total", component="greptimedb") == 1
    assert {found["id"] for found in faulty.table("observations")} == {f"o{n}" for n in range(ENTITIES)} - {"o7"}
    assert faulty.counts()["traces"] == ENTITIES


@pytest.mark.parametrize("tables", [("observations",), ("traces_tags", "raw_events"), ()], ids=["one", "two", "all"])
def test_missing_tables_are_created_once_and_the_batch_goes_on(faulty: Server, tables: tuple[str, ...]) -> None:
    with exporter(faulty) as made:
        export(made, events())
        faulty.double.fail(faults.schema_missing(*tables))
        export(made, [event("late", id="late", metadata={"k": "v"}), event("late", "trace", id="late-t", tags=["x"])])
    assert [found["id"] for found in faulty.table("observations", "id = 'late'")] == ["late"]
    assert [found["tag"] for found in faulty.table("traces_tags", "entity_id = 'late'")] == ["x"]


def test_missing_tables_are_waited_for_where_the_collector_may_not_create_them(faulty: Server) -> None:
    with exporter(faulty) as made:
        export(made, events())
    faulty.double.fail(faults.schema_missing("observations"))
    incomplete = pytest.raises(RetryableError, match="the schema is not complete")
    with exporter(faulty, create_schema=False) as made, incomplete:
        export(made, [event("late", id="late")])


def test_a_table_is_never_made_up_by_the_server(faulty: Server) -> None:
    faulty.double.query(f"CREATE DATABASE {faulty.database}", "public")
    with exporter(faulty, create_schema=False) as made, pytest.raises(RetryableError):
        export(made, events())
    assert faulty.double.query("SHOW TABLES") == []


def test_a_call_that_takes_too_long_is_repeated(faulty: Server) -> None:
    with exporter(faulty) as made:
        export(made, events())
    faulty.double.fail(faults.stuck().on("observations").over("grpc"))
    with exporter(faulty, timeout=Duration(0.3)) as made:
        with pytest.raises(RetryableError, match="the outcome is unknown"):
            export(made, [event("o1", id="obs-1", name="changed")])
        faulty.double.heal()
        export(made, [event("o1", id="obs-1b", name="changed")])
    assert [found["name"] for found in faulty.table("observations", "id = 'o1'")] == ["changed"]


def test_the_next_endpoint_is_used_when_one_does_not_answer(faulty: Server) -> None:
    nobody = Address("127.0.0.1:1")
    with exporter(faulty, endpoints=(nobody, faulty.grpc), http_endpoints=(nobody, faulty.http)) as made:
        export(made, events())
    assert_all_there_once(faulty)


def test_no_call_has_more_than_a_thousand_rows_or_a_mebibyte(faulty: Server) -> None:
    with exporter(faulty) as made:
        export(made, [event(f"o{n}", id=f"{n}") for n in range(2500)])
        export(made, [event(f"big{n}", id=f"big{n}", input="x" * 300_000) for n in range(12)])
    sizes = [(call.rows, call.bytes) for call in faulty.double.calls if call.method == "insert"]
    assert max(rows for rows, _ in sizes) == 1000
    assert max(size for _, size in sizes) < 1_400_000
    assert faulty.counts()["observations"] == 2512


def test_what_is_too_large_for_the_server_is_divided(faulty: Server) -> None:
    with Double(max_message_bytes=200_000) as double, Server(double.grpc, double.http, double) as server:
        with exporter(server) as made:
            export(made, [event(f"o{n}", id=f"{n}", input="x" * 50_000) for n in range(12)])
            with pytest.raises(PermanentError, match="too large"):
                export(made, [event("huge", id="huge", input="x" * 300_000)])
        assert server.counts()["observations"] == 12


def test_an_entity_is_written_in_order_and_its_projection_last(faulty: Server) -> None:
    with exporter(faulty) as made:
        export(made, [event("o1", id="1", metadata={"k": "v"}, usageDetails={"cached": 1})])
    tables = [call.table for call in faulty.double.calls if call.method == "insert"]
    assert tables == ["raw_events", "observations_metadata", "observations_usage_cost", "observations"]


def test_rows_and_failures_are_counted(faulty: Server) -> None:
    metrics = Metrics()
    faulty.double.fail(faults.region_busy().over("grpc").on("raw_events").times(1))
    with exporter(faulty, metrics, encoder_workers=1) as made:
        with pytest.raises(RetryableError):
            export(made, events())
        export(made, events())
        export(made, events())
    written = "openfuse_store_written_rows_total"
    assert metric(metrics, written, exporter="greptimedb", table="raw_events") == 2 * ENTITIES
    assert metric(metrics, "openfuse_greptimedb_failed_exports_total", exporter="greptimedb", cause="busy") == 1
    assert metric(metrics, "openfuse_store_duplicate_events_total", exporter="greptimedb") == 2 * ENTITIES

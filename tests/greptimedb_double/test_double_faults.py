"""Each fault as the real client and an HTTP client meet it, what it leaves behind, and that healing ends it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from greptimedb_ingester import Client, GreptimeError

from tests.greptimedb_double import Double, Fault, StatusCode, faults
from tests.greptimedb_double.double_kit import ID, NO_CREATION, TS, client, create, field, put, sql
from tests.greptimedb_double.writes import Batch

COLUMNS = [TS, ID, field("value")]

# fault, what the client library says, HTTP status and code
ANSWERED: list[tuple[Callable[[], Fault], str, int, int]] = [
    (faults.unavailable_status, "The service is currently unavailable", 503, 5000),
    (faults.rejected_write, "The service is currently unavailable", 503, 5000),
    (faults.region_busy, "Some resource has been exhausted", 503, 4009),
    (faults.memory_exhausted, "Some resource has been exhausted", 500, 6000),
    (faults.rate_limited, "Some resource has been exhausted", 429, 6001),
    (faults.disk_full, "Internal error.*No space left on device", 500, 1003),
    (faults.locked_out, "does not have valid authentication credentials", 401, 7002),
    (faults.forbidden, "does not have permission", 403, 7006),
]


def count(db: Double) -> Any:
    return db.query("SELECT count(*) AS n FROM t")[0]["n"]


@pytest.mark.parametrize(("fault", "phrase", "status", "code"), ANSWERED)
def test_an_error_is_answered_to_both_protocols_until_healed(
    fault: Callable[[], Fault], phrase: str, status: int, code: int
) -> None:
    with Double() as db:
        create(db)
        db.fail(fault())
        with pytest.raises(GreptimeError, match=phrase):
            put(db, [1, "x", "v"])
        with pytest.raises(GreptimeError, match=phrase):
            client(db).health_check()
        answer = sql(db, "SELECT 1")
        assert (answer.status, answer.body["code"]) == (status, code)
        assert count(db) == 0
        db.heal()
        assert put(db, [1, "x", "v"]) == 1
        assert sql(db, "SELECT 1").status == 200


@pytest.mark.parametrize("code", [code for code in StatusCode if code is not StatusCode.SUCCESS])
def test_every_code_of_the_server_reaches_both_clients(code: StatusCode) -> None:
    with Double() as db:
        create(db)
        db.fail(faults.status(code, "said the server"))
        with pytest.raises(GreptimeError, match="said the server"):
            put(db, [1, "x", "v"])
        assert sql(db, "SELECT 1").body["code"] == code


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_nobody_listens_and_then_somebody_does_at_the_same_address(protocol: str) -> None:
    with Double() as db:
        create(db)
        kept = client(db)
        kept.health_check()
        db.fail(faults.unavailable().over(protocol))
        if protocol == "grpc":
            with pytest.raises(GreptimeError, match=r"The service is currently unavailable|transport error"):
                kept.insert("t", COLUMNS, [[1, "x", "v"]])
            with pytest.raises(GreptimeError, match="Connection refused"):
                put(db, [1, "x", "v"])
            assert sql(db, "SELECT 1").status == 200
        else:
            with pytest.raises(OSError, match="refused"):
                sql(db, "SELECT 1")
            assert put(db, [0, "x", "v"]) == 1
        db.heal()
        assert kept.insert("t", COLUMNS, [[1, "x", "v"]]) == 1
        assert sql(db, "SELECT 1").status == 200


@pytest.mark.parametrize(("applied", "left"), [(0.0, 0), (0.5, 2), (1.0, 4)])
def test_the_connection_breaks_in_a_call_that_did_nothing_half_or_everything(applied: float, left: int) -> None:
    with Double() as db:
        create(db)
        sender = client(db)
        rows = [[at, "x", "v"] for at in range(4)]
        db.fail(faults.reset(applied=applied).times(1))
        with pytest.raises(GreptimeError, match="transport error"):
            sender.insert("t", COLUMNS, rows)
        assert count(db) == left
        assert insert_once_connected(sender, rows) == 4  # the same client connects again
        assert count(db) == 4
        assert [call.outcome for call in db.calls] == ["reset", "ok"]


def insert_once_connected(sender: Client, rows: list[list[object]]) -> int:
    """Insert with a client whose connection has just broken. It may still be busy closing it; such a call never leaves the client."""
    for _ in range(1000):
        try:
            return int(sender.insert("t", COLUMNS, rows))
        except GreptimeError as error:
            assert "connection closed" in str(error)
    raise AssertionError("the client does not connect again")


def test_breaking_connections_leaves_no_descriptors_behind() -> None:
    with Double() as db:
        create(db)
        sender = client(db)
        db.fail(faults.reset(applied=0.0).method("insert"))
        open_after = []
        for _ in range(12):
            with pytest.raises(GreptimeError):
                sender.insert("t", COLUMNS, [[1, "x", "v"]])
            open_after.append(len(os.listdir("/proc/self/fd")))
        assert open_after[-1] <= open_after[1] + 4  # the kernel may take a moment over the last connections


@pytest.mark.parametrize(("applied", "left"), [(0.0, 0), (1.0, 1)])
def test_the_connection_breaks_in_a_statement(applied: float, left: int) -> None:
    with Double() as db:
        create(db)
        db.fail(faults.reset(applied=applied).over("http"))
        with pytest.raises(ConnectionResetError):
            sql(db, "INSERT INTO t VALUES (1, 'x', 'v')")
        assert count(db) == left


def test_an_error_may_come_after_the_rows_were_written() -> None:
    with Double() as db:
        create(db)
        db.fail(faults.status(StatusCode.DEADLINE_EXCEEDED, "too late", applied=1.0).times(1))
        with pytest.raises(GreptimeError, match="too late"):
            put(db, [1, "x", "v"])
        assert count(db) == 1


def test_a_slow_server_runs_into_the_timeout_of_the_client_and_writes_all_the_same() -> None:
    with Double() as db:
        create(db)
        fault = faults.stuck()
        db.fail(fault)
        impatient = Client([db.grpc], timeout_secs=1.0)
        with pytest.raises(GreptimeError, match="Timeout expired"):
            impatient.insert("t", COLUMNS, [[1, "x", "v"]])
        db.wait(lambda: db.struck(fault) == 1)
        assert count(db) == 0
        db.heal(fault)
        db.wait(lambda: count(db) == 1)


def test_calls_that_are_stuck_go_on_when_healed() -> None:
    with Double() as db, ThreadPoolExecutor(3) as pool:
        create(db)
        fault = faults.stuck().on("t")
        db.fail(fault)
        calls = [pool.submit(put, db, [at, "x", "v"]) for at in range(2)]
        calls.append(pool.submit(lambda: sql(db, "SELECT 1").status))
        db.wait(lambda: db.struck(fault) == 2)
        assert calls[2].result() == 200  # names no table
        assert count(db) == 0
        db.heal(fault)
        assert [call.result() for call in calls] == [1, 1, 200]
        assert count(db) == 2


def test_slowness_is_over_after_its_time() -> None:
    with Double() as db:
        create(db)
        fault = faults.slow(0.01)
        db.fail(fault)
        assert put(db, [1, "x", "v"]) == 1
        assert db.struck(fault) == 1


@pytest.mark.parametrize(
    "fault",
    [faults.bad_row(value="bad"), faults.bad_row(lambda table, row: table == "t" and row["value"] == "bad")],
    ids=["values", "predicate"],
)
def test_one_bad_row_refuses_its_call_and_no_other(fault: Fault) -> None:
    with Double() as db:
        create(db)
        db.fail(fault)
        with pytest.raises(GreptimeError, match="Client specified an invalid argument"):
            put(db, [1, "x", "good"], [2, "x", "bad"])
        assert count(db) == 0
        assert put(db, [1, "x", "good"]) == 1
        assert count(db) == 1


def test_a_fault_is_chosen_for_each_call() -> None:
    asked: list[list[Any]] = []

    def choice(batches: Sequence[Batch]) -> Fault | None:
        values = [row["value"] for batch in batches for row in batch.dicts()]
        asked.append(values)
        return {"torn": faults.reset(applied=0.5), "busy": faults.region_busy()}.get(values[0])

    with Double() as db:
        create(db)
        db.fail(faults.chosen(choice).method("insert"))
        with pytest.raises(GreptimeError, match="Some resource has been exhausted"):
            put(db, [1, "x", "busy"])
        assert count(db) == 0
        with pytest.raises(GreptimeError):
            put(db, [1, "x", "torn"], [2, "x", "torn"])
        assert count(db) == 1
        assert put(db, [3, "x", "good"]) == 1
        assert asked == [["busy"], ["torn", "torn"], ["good"]]
        db.heal()
        assert put(db, [4, "x", "busy"]) == 1


def test_tables_get_lost() -> None:
    with Double() as db:
        create(db)
        db.query("CREATE TABLE u (ts TIMESTAMP TIME INDEX)")
        db.fail(faults.schema_missing("t"))
        assert db.query("SHOW TABLES") == [{"Tables_in_public": "u"}]
        with pytest.raises(GreptimeError, match="Table `t` does not exist"):
            put(db, [1, "x", "v"])
        assert sql(db, "SELECT * FROM t").body["code"] == 4001
        create(db)
        assert put(db, [1, "x", "v"]) == 1
        db.fail(faults.schema_missing())
        assert db.query("SHOW TABLES") == []


def test_faults_strike_the_calls_they_are_meant_for() -> None:
    with Double() as db:
        create(db)
        db.query("CREATE TABLE u (ts TIMESTAMP TIME INDEX)")
        db.fail(faults.region_busy().nth(2).on("t").method("insert"))
        sql(db, "SELECT * FROM t")
        client(db).insert("u", [TS], [[1]])
        outcomes = []
        for at in range(3):
            with suppress(GreptimeError):
                put(db, [at, "x", "v"])
            outcomes.append(db.calls[-1].outcome)
        assert outcomes == ["ok", "REGION_BUSY", "ok"]


def test_two_faults_at_once_and_healing_one_of_them() -> None:
    with Double() as db:
        create(db)
        busy, broken = faults.region_busy().over("grpc"), faults.disk_full().over("http")
        db.fail(busy, broken)
        db.heal(busy)
        assert put(db, [1, "x", "v"]) == 1
        assert sql(db, "SELECT 1").status == 500


@pytest.mark.parametrize(
    ("login", "phrase", "status", "code"),
    [
        (None, "does not have valid authentication credentials", 401, 7003),
        (("me", "wrong"), "does not have valid authentication credentials", 401, 7002),
        # The server has no gRPC status of its own for an unknown user.
        (("you", "secret"), "Some requested entity was not found", 401, 7000),
    ],
)
def test_logins(login: tuple[str, str] | None, phrase: str, status: int, code: int) -> None:
    with Double("me", "secret") as db:
        create(db)
        settings = {} if login is None else {"username": login[0], "password": login[1]}
        with pytest.raises(GreptimeError, match=phrase):
            client(db, **settings).insert("t", COLUMNS, [[1, "x", "v"]], NO_CREATION)
        answer = sql(db, "SELECT 1", login=login)
        assert (answer.status, answer.body["code"]) == (status, code)
        assert client(db, username="me", password="secret").insert("t", COLUMNS, [[1, "x", "v"]]) == 1
        assert sql(db, "SELECT 1", login=("me", "secret")).status == 200
        db.require(None)
        assert client(db, **settings).insert("t", COLUMNS, [[2, "x", "v"]]) == 1


def test_waiting_for_what_does_not_come_ends() -> None:
    with Double() as db, pytest.raises(TimeoutError):
        db.wait(lambda: bool(db.calls), timeout=0.01)

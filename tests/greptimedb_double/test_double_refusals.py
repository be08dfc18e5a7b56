"""What the double refuses, as the server does: with which status, and with nothing written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc
import pytest
from greptimedb_ingester import Client, Column, ColumnDataType, GreptimeError, SemanticType

from tests.greptimedb_double import Double, wire
from tests.greptimedb_double.double_kit import (
    APPENDING,
    ID,
    NO_CREATION,
    TS,
    client,
    create,
    field,
    put,
    raw_call,
    raw_insert,
    sql,
)

VALUE = field("value")
INVALID = "Client specified an invalid argument"
NOT_FOUND = "Some requested entity was not found"

REFUSED_INSERTS: dict[str, tuple[Sequence[Column], Sequence[Any], str]] = {
    "unknown column": ((TS, ID, VALUE, field("nobody")), (1, "x", "v", "w"), r"unknown columns: \['nobody'\]"),
    "wrong type": ((TS, ID, field("value", "INT64")), (1, "x", 5), "column value expect type String, given: Int64"),
    "wrong unit": (
        (Column("ts", ColumnDataType.TIMESTAMP_SECOND, SemanticType.TIMESTAMP), ID, VALUE),
        (1, "x", "v"),
        "column ts expect type TimestampMillisecond, given: TimestampSecond",
    ),
    "field sent as tag": (
        (TS, ID, Column("value", ColumnDataType.STRING, SemanticType.TAG)),
        (1, "x", "v"),
        "column value has semantic type FIELD, given: TAG",
    ),
    "null tag": ((TS, ID, VALUE), (1, None, "v"), "column id is not null but input has null"),
    "missing tag": ((TS, VALUE), (1, "v"), "missing column id"),
    "missing time": ((ID, VALUE), ("x", "v"), "missing column ts"),
    "duplicate column": ((TS, ID, VALUE, VALUE), (1, "x", "v", "w"), "duplicate columns"),
    "wrong scale": ((TS, ID, field("value", "DECIMAL128", 38, 6)), (1, "x", None), "given: Decimal\\(38, 6\\)"),
}


@pytest.mark.parametrize("case", REFUSED_INSERTS)
def test_rows_that_do_not_fit_their_table_are_refused_whole(case: str) -> None:
    columns, row, reason = REFUSED_INSERTS[case]
    good = [{TS.name: 9, ID.name: "good"}.get(column.name, cell) for column, cell in zip(columns, row, strict=True)]
    with Double() as db:
        create(db)
        with pytest.raises(GreptimeError, match=f"{INVALID}.*{reason}"):
            client(db).insert("t", list(columns), [good, row], NO_CREATION)
        assert db.query("SELECT * FROM t") == []
        assert [(call.outcome, call.rows) for call in db.calls] == [("INVALID_ARGUMENTS", 2)]


TIMESTAMP_MS, STRING, INT8, JSON = (16, 2), (12, 0), (1, 1), (31, 1)
TS_MS: dict[str, Any] = {"TimestampMillisecond": 1}

REFUSED_MESSAGES: dict[str, tuple[tuple[int, int], Sequence[dict[str, Any]], str]] = {
    "null time": (STRING, ({}, {"String": "x"}), "column ts is not null but input has null"),
    "value of another type": (STRING, (TS_MS, {"Int64": 1}), "column v expect type String, given: Int64"),
    "integer out of range": (INT8, (TS_MS, {"Int8": 300}), "300 is out of range for Int8"),
    "text that is no JSON": (JSON, (TS_MS, {"String": "{'a': 1}"}), "Invalid JSON text"),
    "JSON with NaN": (JSON, (TS_MS, {"String": "NaN"}), "Invalid JSON text"),
    "too few values": (STRING, (TS_MS,), "row has 1 columns but schema has 2"),
    "unknown type": ((99, 1), (TS_MS, {}), "Unknown column data type: 99"),
    "unknown role": ((12, 7), (TS_MS, {}), "Unknown semantic type: 7"),
}


@pytest.mark.parametrize("case", REFUSED_MESSAGES)
def test_messages_the_client_library_would_not_send_are_refused(case: str) -> None:
    (datatype, semantic), row, reason = REFUSED_MESSAGES[case]
    with Double() as db:
        db.query("CREATE TABLE t (ts TIMESTAMP(3), v STRING, PRIMARY KEY (v), TIME INDEX (ts))")
        request = raw_insert("t", [("ts", *TIMESTAMP_MS), ("v", datatype, semantic)], row)
        with pytest.raises(grpc.RpcError) as caught:
            raw_call(db, request)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason in str(caught.value.details())
        metadata = {pair.key: str(pair.value) for pair in caught.value.trailing_metadata()}
        assert metadata["x-greptime-err-code"] == "1004"
        assert db.query("SELECT * FROM t") == []


def _insert(client: Client) -> Any:
    return client.insert("t", [TS, ID, VALUE], [[1, "x", "v"]], NO_CREATION)


def _delete(client: Client) -> Any:
    return client.delete("t", [TS, ID], [[1, "x"]])


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        # Not TABLE_NOT_FOUND: with creation off the server calls a missing table an invalid request.
        (_insert, f"{INVALID}.*Table `t` does not exist, and `auto_create_table` hint is disabled"),
        (_delete, f"{NOT_FOUND}.*Table not found: greptime.public.t"),
    ],
)
def test_a_missing_table(call: Callable[[Client], Any], reason: str) -> None:
    with Double() as db, pytest.raises(GreptimeError, match=reason):
        call(client(db))


@pytest.mark.parametrize("call", [_insert, _delete])
def test_a_missing_database(call: Callable[[Client], Any]) -> None:
    with Double() as db:
        with pytest.raises(GreptimeError, match=f"{NOT_FOUND}.*Database not found: greptime.nowhere"):
            call(client(db, "nowhere"))
        answer = sql(db, "SELECT 1", "nowhere")
        assert (answer.status, answer.body["code"]) == (400, 4004)


def test_without_the_hint_tables_and_columns_are_made_up() -> None:
    with Double() as db:
        sender = client(db)
        sender.insert("t", [TS, ID], [[1, "x"]], [("append_mode", "true")])
        sender.insert("t", [TS, ID, VALUE], [[2, "x", "v"]])
        assert db.query("SELECT * FROM t ORDER BY ts") == [
            {"ts": 1, "id": "x", "value": None},
            {"ts": 2, "id": "x", "value": "v"},
        ]
        assert "'append_mode' = 'true'" in db.query("SHOW CREATE TABLE t")[0]["Create Table"]


def test_a_server_may_have_creation_off_for_everybody() -> None:
    with Double(auto_create_table=False) as db:
        with pytest.raises(GreptimeError, match="auto-create table is disabled by frontend config"):
            client(db).insert("t", [TS, ID], [[1, "x"]])
        assert db.query("SHOW TABLES") == []


@pytest.mark.parametrize(
    ("columns", "row", "reason"),
    [
        ((TS,), (1,), "delete requests need column id"),
        ((TS, ID, Column("value", ColumnDataType.STRING, SemanticType.TAG)), (1, "x", "v"), "value is no key column"),
    ],
)
def test_deletes_name_the_whole_key_and_nothing_else(
    columns: Sequence[Column], row: Sequence[Any], reason: str
) -> None:
    with Double() as db:
        create(db)
        put(db, [1, "x", "v"])
        with pytest.raises(GreptimeError, match=f"{INVALID}.*{reason}"):
            client(db).delete("t", list(columns), [row])
        assert db.query("SELECT count(*) AS n FROM t") == [{"n": 1}]


def test_a_message_above_the_limit_is_refused_before_it_is_read() -> None:
    with Double(max_message_bytes=10_000) as db:
        create(db)
        assert put(db, [1, "x", "v" * 5_000]) == 1
        with pytest.raises(GreptimeError, match=r"past the valid range.*decoded message length too large") as caught:
            put(db, [2, "x", "v" * 20_000])
        assert "10000 bytes" in str(caught.value)
        assert db.query("SELECT count(*) AS n FROM t") == [{"n": 1}]


def test_requests_that_are_neither_inserts_nor_deletes() -> None:
    with Double() as db:
        with pytest.raises(grpc.RpcError) as caught:
            raw_call(db, wire.GreptimeRequest())
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# statement, HTTP status, code, part of the text
REFUSED_SQL = [
    ("SELECT * FROM nobody", 400, 4001, "greptime.public.nobody"),
    ("SELECT nobody FROM t", 400, 3000, "No field named nobody"),
    ("SELECT t.nobody FROM t", 400, 3000, "No field named t.nobody"),
    ('SELECT "nobody" FROM t', 400, 3000, "No field named nobody"),
    ("SELECT nobody(ts) FROM t", 400, 3000, "nobody"),
    ("SELECT 1 +", 400, 2000, ""),
    ("EXTERMINATE", 400, 2000, "EXTERMINATE"),
    ("", 400, 2000, ""),
    ("DELETE FROM nobody WHERE 1 = 1", 400, 4001, "nobody"),
    ("DELETE FROM t WHERE nobody = 1", 400, 3000, "nobody"),
    ("DELETE FROM a WHERE ts = 1", 400, 1004, "append mode"),
    ("INSERT INTO t (ts, nobody) VALUES (1, 'x')", 400, 4002, "nobody"),
    ("INSERT INTO t (ts, `value`) VALUES (1, 'x')", 400, 1004, "missing column id"),
    ("INSERT INTO t (ts, `id`) VALUES (NULL, 'x')", 400, 1004, "ts is not null"),
    ("INSERT INTO t (ts, `id`) VALUES ('yesterday', 'x')", 400, 1004, "yesterday"),
    ("INSERT INTO t (ts, `id`) VALUES (1)", 400, 1004, "Expected 2 values"),
    ("SELECT * FROM t WHERE ts > 'yesterday'", 400, 3000, "yesterday"),
    ("CREATE TABLE t (ts TIMESTAMP TIME INDEX)", 400, 4000, "already exists"),
    ("CREATE TABLE u (`id` STRING)", 400, 2000, "time index"),
    ("CREATE TABLE u (ts TIMESTAMP TIME INDEX, t2 TIMESTAMP TIME INDEX)", 400, 2000, "time index"),
    ("CREATE TABLE u (ts BIGINT TIME INDEX)", 400, 1004, "must be a timestamp"),
    ("CREATE TABLE u (ts TIMESTAMP, PRIMARY KEY (ts), TIME INDEX (ts))", 400, 1004, "primary key"),
    ("CREATE TABLE u (ts TIMESTAMP TIME INDEX, PRIMARY KEY (x))", 400, 1004, "x not found"),
    ("CREATE TABLE u (ts TIMESTAMP TIME INDEX, id STRING)", 400, 2000, "keyword 'id'"),
    ("CREATE TABLE u (ts TIMESTAMP TIME INDEX, a INT, a INT)", 400, 1004, "Duplicate"),
    ("CREATE TABLE u (ts TIMESTAMP TIME INDEX, a NONSENSE)", 400, 2000, "NONSENSE"),
    ("CREATE TABLE u (ts TIMESTAMP TIME INDEX, a DECIMAL(39, 2))", 400, 1004, "precision 39"),
    ("CREATE TABLE u (ts TIMESTAMP TIME INDEX, a STRING PRIMARY KEY, b STRING PRIMARY KEY)", 400, 2000, "constraint"),
    ("CREATE TABLE u (ts TIMESTAMP TIME INDEX) WITH (speed = 'high')", 400, 1004, "speed"),
    ("CREATE TABLE u (ts TIMESTAMP TIME INDEX) WITH ('append_mode'='true', 'merge_mode'='last_non_null')", 400, 1004, "merge_mode"),
    ("CREATE TABLE u (ts TIMESTAMP TIME INDEX, n INT FULLTEXT INDEX)", 400, 1004, "must be a string"),
    ("CREATE TABLE u (ts TIMESTAMP TIME INDEX, s STRING SKIPPING INDEX WITH (size = 1))", 400, 1004, "size"),
    ("CREATE DATABASE public", 400, 4011, "already exists"),
    ("CREATE DATABASE d WITH (ttl = 'instant')", 400, 1004, "instant"),
    ("ALTER DATABASE `public` SET 'ttl' = '7d'", 400, 1004, "`public`"),
    ("ALTER DATABASE nobody SET 'ttl' = '7d'", 400, 4004, "nobody"),
    ("ALTER TABLE nobody ADD COLUMN c STRING", 400, 4001, "nobody"),
    ("ALTER TABLE t ADD COLUMN `value` STRING", 400, 4003, "already exists"),
    ("ALTER TABLE t ADD COLUMN c STRING NOT NULL", 400, 1004, "no default"),
    ("ALTER TABLE t DROP COLUMN `id`", 400, 1004, "id"),
    ("ALTER TABLE t MODIFY COLUMN nobody SET INVERTED INDEX", 400, 4002, "nobody"),
    ("ALTER TABLE t MODIFY COLUMN `id` BIGINT", 400, 1004, "id"),
    ("ALTER TABLE t SET 'append_mode' = 'true'", 400, 1004, "merge_mode"),
    ("DROP TABLE nobody", 400, 4001, "nobody"),
    ("ADMIN flush_table('nobody')", 400, 4001, "nobody"),
    ("ADMIN discard('t')", 400, 1001, "discard"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "status", "code", "part"), REFUSED_SQL)
def test_sql_that_the_server_refuses(text: str, status: int, code: int, part: str) -> None:
    with Double() as db:
        create(db)
        db.query(f"CREATE TABLE a (ts TIMESTAMP TIME INDEX, v STRING) {APPENDING}")
        answer = sql(db, text)
        assert (answer.status, answer.body["code"]) == (status, code)
        assert part in answer.body["error"]
        assert answer.headers["x-greptime-err-code"] == str(code)
        assert db.query("SHOW TABLES") == [{"Tables_in_public": "a"}, {"Tables_in_public": "t"}]
        assert db.query("SELECT count(*) AS n FROM t") == [{"n": 0}]


def test_statements_before_the_one_that_fails_have_been_done() -> None:
    with Double() as db:
        assert sql(db, "CREATE TABLE x (ts TIMESTAMP TIME INDEX); DROP TABLE y; DROP TABLE x").status == 400
        assert db.query("SHOW TABLES") == [{"Tables_in_public": "x"}]

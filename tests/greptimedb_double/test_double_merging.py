"""Which rows are one row, and what becomes of it: dedup, append mode, merge modes, defaults, deletes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from greptimedb_ingester import GreptimeError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.greptimedb_double import Double, wire
from tests.greptimedb_double.double_kit import (
    APPENDING,
    ID,
    MERGING,
    TS,
    client,
    create,
    field,
    put,
    raw_call,
    raw_insert,
    sql,
)

LAST_ROW = "WITH('merge_mode' = 'last_row')"
A, B = field("a"), field("b")


def rows(db: Double) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in db.query("SELECT * FROM t ORDER BY `id`, ts")]


@pytest.mark.parametrize("options", [MERGING, LAST_ROW])
def test_rows_with_one_key_and_time_are_one_row(options: str) -> None:
    with Double() as db:
        create(db, options)
        put(db, [1, "x", "old"], [2, "x", "later"], [1, "y", "other"])
        put(db, [1, "x", "new"])
        assert rows(db) == [(1, "x", "new"), (2, "x", "later"), (1, "y", "other")]


def test_within_one_call_the_last_row_wins() -> None:
    with Double() as db:
        create(db)
        assert put(db, [1, "x", "first"], [1, "x", "second"]) == 2
        assert rows(db) == [(1, "x", "second")]


def test_an_append_table_keeps_every_copy() -> None:
    with Double() as db:
        create(db, APPENDING)
        put(db, [1, "x", "a"], [1, "x", "a"])
        put(db, [1, "x", "a"])
        assert rows(db) == [(1, "x", "a")] * 3


def test_last_non_null_never_lets_null_overwrite() -> None:
    with Double() as db:
        create(db, MERGING, "a STRING, b STRING")
        put(db, [1, "x", "a1", "b1"], columns=[TS, ID, A, B])
        put(db, [1, "x", None, "b2"], columns=[TS, ID, A, B])
        put(db, [1, "x", "a3"], columns=[TS, ID, A])
        assert rows(db) == [(1, "x", "a3", "b2")]


def test_last_row_lets_null_and_absence_overwrite() -> None:
    with Double() as db:
        create(db, LAST_ROW, "a STRING, b STRING")
        put(db, [1, "x", "a1", "b1"], columns=[TS, ID, A, B])
        put(db, [1, "x", "a2"], columns=[TS, ID, A])
        assert rows(db) == [(1, "x", "a2", None)]


ROWS = st.tuples(st.integers(1, 2), st.sampled_from("xy"), st.none() | st.text("ab", max_size=2))


@given(st.lists(st.lists(ROWS, max_size=4), max_size=4))
@settings(max_examples=25, deadline=None)
def test_last_non_null_is_the_last_value_written_that_is_not_null(
    calls: list[list[tuple[int, str, str | None]]],
) -> None:
    expected: dict[tuple[str, int], str | None] = {}
    for ts, id, value in (row for call in calls for row in call):
        expected[id, ts] = value if value is not None else expected.get((id, ts))
    with Double() as db:
        create(db)
        for call in filter(None, calls):
            put(db, *call)
        assert rows(db) == [(ts, id, value) for (id, ts), value in sorted(expected.items())]


def test_a_column_left_out_takes_its_default_and_an_explicit_null_does_not() -> None:
    with Double() as db:
        create(db, MERGING, "gone BOOLEAN DEFAULT false, generation BIGINT DEFAULT 0")
        put(db, [1, "absent"], columns=[TS, ID])
        put(db, [1, "null", None], columns=[TS, ID, field("gone", "BOOLEAN")])
        assert rows(db) == [(1, "absent", False, 0), (1, "null", None, 0)]


def test_missing_tags_are_a_key_like_any_other() -> None:
    with Double() as db:
        client(db).insert("t", [TS, ID, A], [[1, None, "first"], [1, None, "second"], [1, "x", "third"]])
        assert rows(db) == [(1, None, "second"), (1, "x", "third")]
        assert client(db).delete("t", [TS, ID], [[1, None]]) == 1
        assert rows(db) == [(1, "x", "third")]


def test_delete_takes_the_rows_with_that_key_and_time_and_counts_keys() -> None:
    with Double() as db:
        create(db)
        put(db, [1, "x", "a"], [2, "x", "b"], [1, "y", "c"])
        assert client(db).delete("t", [TS, ID], [[1, "x"], [9, "x"]]) == 2
        assert rows(db) == [(2, "x", "b"), (1, "y", "c")]


def test_after_a_delete_nothing_of_the_old_row_comes_back() -> None:
    with Double() as db:
        create(db, MERGING, "a STRING, b STRING")
        put(db, [1, "x", "a1", "b1"], columns=[TS, ID, A, B])
        client(db).delete("t", [ID, TS], [["x", 1]])
        put(db, [1, "x", "a2"], columns=[TS, ID, A])
        assert rows(db) == [(1, "x", "a2", None)]


def test_deletes_by_rows_and_streams_of_requests() -> None:
    schema = [("ts", 16, 2), ("id", 12, 0)]
    with Double() as db, grpc.insecure_channel(db.grpc) as channel:
        create(db)
        handle = channel.stream_unary(f"/{wire.DATABASE_SERVICE}/HandleRequests", None, None)
        requests = [
            raw_insert("t", schema, [{"TimestampMillisecond": at}, {"String": "x"}]).SerializeToString()
            for at in range(3)
        ]
        response = wire.GreptimeResponse.FromString(handle(iter(requests), timeout=30))
        assert response.affected_rows.value == 3
        deleting = wire.GreptimeRequest()
        inserting = raw_insert("t", schema, [{"TimestampMillisecond": 1}, {"String": "x"}])
        deleting.row_deletes.deletes.add().CopyFrom(inserting.row_inserts.inserts[0])
        assert raw_call(db, deleting).affected_rows.value == 1
        assert [row[0] for row in rows(db)] == [0, 2]


def test_a_request_for_several_tables_is_not_atomic() -> None:
    schema = [("ts", 16, 2), ("id", 12, 0)]
    with Double() as db:
        create(db)
        row: list[dict[str, Any]] = [{"TimestampMillisecond": 1}, {"String": "x"}]
        request = raw_insert("t", schema, row)
        request.row_inserts.inserts.add().CopyFrom(raw_insert("u", [("id", 12, 0)], row[1:]).row_inserts.inserts[0])
        with pytest.raises(grpc.RpcError):
            raw_call(db, request)
        assert rows(db) == [(1, "x", None)]
        assert [call.tables for call in db.calls] == [(("t", 1), ("u", 1))]


def test_append_tables_refuse_deletes_over_both_protocols() -> None:
    with Double() as db:
        create(db, APPENDING)
        put(db, [1, "x", "a"])
        with pytest.raises(GreptimeError, match=r"invalid argument.*DELETE is not allowed under append mode"):
            client(db).delete("t", [TS, ID], [[1, "x"]])
        answer = sql(db, "DELETE FROM t WHERE `id` = 'x'")
        assert (answer.status, answer.body["code"]) == (400, 1004)
        assert rows(db) == [(1, "x", "a")]


def test_delete_by_sql_counts_rows() -> None:
    with Double() as db:
        create(db)
        put(db, [1, "x", "a"], [2, "x", "b"], [3, "y", "c"])
        assert sql(db, "DELETE FROM t WHERE `id` IN ('x') AND ts < '1970-01-01 00:00:00.002'").affected == 1
        assert rows(db) == [(2, "x", "b"), (3, "y", "c")]


def test_rows_may_come_compressed() -> None:
    with Double() as db:
        create(db)
        client(db, send_compression="gzip", accept_compression="gzip").insert(
            "t", [TS, ID, field("value")], [[1, "x", "v" * 10_000]]
        )
        assert rows(db) == [(1, "x", "v" * 10_000)]


def test_many_clients_at_once_lose_nothing() -> None:
    with Double() as db, ThreadPoolExecutor(8) as pool:
        create(db)
        shared = client(db)
        columns = [TS, ID, field("value")]
        written = pool.map(lambda n: shared.insert("t", columns, [[at, f"{n}", "v"] for at in range(50)]), range(40))
        assert sum(written) == 2000
        assert db.query("SELECT count(*) AS n FROM t") == [{"n": 2000}]
        assert [call.outcome for call in db.calls] == ["ok"] * 40

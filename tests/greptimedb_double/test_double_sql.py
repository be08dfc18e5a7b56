"""SQL over HTTP: definitions, queries in GreptimeDB's dialect, what the server tells about itself."""

from __future__ import annotations

import urllib.request
from typing import Any

import pytest

from tests.greptimedb_double import Double
from tests.greptimedb_double.double_kit import ID, TS, client, create, field, put, sql

DAY = 86_400_000
EVENTS = f"""
CREATE TABLE `events` (
  `timestamp` TIMESTAMP(3) NOT NULL, -- when
  `id` STRING NOT NULL,
  `type` STRING NULL INVERTED INDEX,
  `cost` DECIMAL(38, 12) NULL,
  `latency` DOUBLE NULL,
  `done` BOOLEAN DEFAULT false,
  `details` JSON NULL,
  `text` STRING NULL FULLTEXT INDEX WITH (analyzer = 'English', case_sensitive = 'false'),
  TIME INDEX (`timestamp`),
  PRIMARY KEY (`id`)
) ENGINE=mito WITH ('merge_mode' = 'last_non_null');
INSERT INTO `events` VALUES
  (0, 'a', 'GENERATION', 0.25, 1.0, false, '{{"model": "m1", "n": {{"deep": [1, 2.5]}}}}', 'the quick brown fox'),
  ('1970-01-02 00:00:00', 'b', 'GENERATION', '10.000000000001', 2.0, true, '{{"model": "m2"}}', 'Quickly done'),
  ({DAY + 3_600_000}, 'c', 'SPAN', NULL, 3.0, true, NULL, NULL);
"""

# query, rows, types of its columns
QUERIES: list[tuple[str, list[list[Any]], str]] = [
    ("SELECT `id` FROM `events` WHERE `id` IN ('a', 'c') ORDER BY `id` DESC LIMIT 1", [["c"]], "String"),
    ("SELECT id FROM events WHERE timestamp >= '1970-01-02 00:00:00' ORDER BY id", [["b"], ["c"]], "String"),
    ("SELECT id FROM events WHERE '1970-01-01T12:00:00Z' > timestamp", [["a"]], "String"),
    ("SELECT id FROM events e WHERE e.`timestamp` BETWEEN '1970-01-01' AND '1970-01-01 23:59:59.999'", [["a"]], "String"),
    ("SELECT id FROM events WHERE `timestamp` IN ('1970-01-01 00:00:00', 86400000) ORDER BY 1", [["a"], ["b"]], "String"),
    ("SELECT id FROM events WHERE `timestamp` < 86400000", [["a"]], "String"),
    ("SELECT id FROM events WHERE `timestamp` > TIMESTAMP '1970-01-02 00:30:00'", [["c"]], "String"),
    ("SELECT id FROM events WHERE `timestamp` >= '1970-01-02'::TIMESTAMP(3) + INTERVAL '1 hour'", [["c"]], "String"),
    ("SELECT count(*) AS n, max(`timestamp`) AS t FROM `events`", [[3, DAY + 3_600_000]], "Int64|TimestampMillisecond"),
    ("SELECT `cost` FROM `events` ORDER BY `cost` DESC LIMIT 2", [["10.000000000001"], ["0.250000000000"]], "Decimal(38, 12)"),
    ("SELECT id FROM events WHERE cost > 9 AND cost < 100", [["b"]], "String"),
    ("SELECT sum(cost) AS total FROM events WHERE type = 'GENERATION' AND cost < 1", [[0.25]], "Float64"),
    ("SELECT type, sum(cost), avg(latency) FROM events GROUP BY 1 HAVING count(*) > 1",
     [["GENERATION", 10.250000000001, 1.5]], "String|Float64|Float64"),
    ("SELECT done FROM events WHERE done = true ORDER BY id", [[True], [True]], "Boolean"),
    ("SELECT id FROM events WHERE NOT done AND cost IS NOT NULL", [["a"]], "String"),
    ("SELECT json_to_string(`details`) AS d FROM events WHERE id = 'a'", [['{"model":"m1","n":{"deep":[1,2.5]}}']], "String"),
    ("SELECT json_get_string(details, 'model') AS m FROM events ORDER BY id", [["m1"], ["m2"], [None]], "String"),
    ("SELECT json_get_float(details, 'n.deep[1]'), json_get_int(details, '$.n.deep[0]') FROM events WHERE id = 'a'",
     [[2.5, 1]], "Float64|Int64"),
    ("SELECT id FROM events WHERE matches_term(lower(text), 'quick')", [["a"]], "String"),
    ("SELECT id FROM events WHERE text @@ 'Quickly'", [["b"]], "String"),
    ("SELECT id FROM events WHERE text LIKE '%quick%'", [["a"]], "String"),
    ("SELECT e.id FROM (SELECT id, cost FROM events WHERE timestamp < '1970-01-03') e WHERE e.cost IS NULL", [["c"]], "String"),
    ("SELECT cost FROM (SELECT cost FROM events WHERE id = 'b')", [["10.000000000001"]], "Decimal(38, 12)"),
    ("WITH w AS (SELECT id, latency FROM events) SELECT max(latency) AS m FROM w", [[3.0]], "Float64"),
    ("SELECT a.id, b.id FROM events a JOIN events b ON a.timestamp < b.timestamp WHERE b.id = 'b'", [["a", "b"]], "String|String"),
    ("SELECT date_bin(INTERVAL '1 day', timestamp) AS day, count(*) AS n FROM events GROUP BY day ORDER BY day",
     [[0, 1], [DAY, 2]], "Int64|Int64"),
    ("SELECT date_trunc('hour', timestamp) AS h FROM events WHERE id = 'c'", [[DAY + 3_600_000]], "Int64"),
    ("SELECT approx_percentile_cont(latency, 0.5) AS p FROM events", [[2.0]], "Float64"),
    ("SELECT uddsketch_calc(1.0, uddsketch_state(128, 0.01, latency)) AS p FROM events", [[3.0]], "Float64"),
    ("SELECT CAST(latency AS BIGINT) AS l, latency::STRING AS s, '7'::BIGINT AS i FROM events WHERE id = 'a'",
     [[1, "1.0", 7]], "Int64|String|Int64"),
    ("SELECT id, row_number() OVER (PARTITION BY type ORDER BY timestamp DESC) FROM events ORDER BY id",
     [["a", 2], ["b", 1], ["c", 1]], "String|Int64"),
    ("SELECT count(DISTINCT type) AS n FROM `public`.`events`", [[2]], "Int64"),
    ("SELECT id FROM events WHERE id = 'it''s' OR text = 'a -- b; /* c */'", [], "String"),
    ("SELECT id, cost IS NULL AS n, latency > 1 FROM events WHERE id = 'c'", [["c", True, True]], "String|Boolean|Boolean"),
    ("SELECT id FROM events WHERE id IN ('a', 'b') AND '1970-01-01 00:00:01' > timestamp", [["a"]], "String"),
    ("SELECT id FROM events WHERE timestamp > 5 AND text = '1970-01-01'", [], "String"),
    ("SELECT 1", [[1]], "Int64"),
]  # fmt: skip


@pytest.fixture(scope="module")
def events() -> Any:
    with Double() as db:
        answer = sql(db, EVENTS)
        assert (answer.status, answer.body["output"]) == (200, [{"affectedrows": 0}, {"affectedrows": 3}])
        yield db


@pytest.mark.parametrize(("query", "rows", "types"), QUERIES)
def test_a_query(events: Double, query: str, rows: list[list[Any]], types: str) -> None:
    answer = sql(events, query)
    assert answer.status == 200, answer.body
    assert (answer.rows, "|".join(answer.types)) == (rows, types)
    assert answer.body["output"][0]["records"]["total_rows"] == len(rows)


def test_another_database_by_name(events: Double) -> None:
    sql(events, "CREATE DATABASE IF NOT EXISTS `other`")
    assert sql(events, "SELECT count(*) FROM `public`.`events`", "other").rows == [[3]]
    assert sql(events, "SELECT 1 FROM events", "other").body["code"] == 4001
    assert sql(events, "SHOW TABLES", "other").rows == []
    assert [row[0] for row in sql(events, "SHOW DATABASES").rows] == ["public", "other"]


def test_queries_may_come_by_get_as_well(events: Double) -> None:
    with urllib.request.urlopen(f"{events.http}/v1/sql?db=public&sql=SELECT%201") as response:
        assert b'"rows": [[1]]' in response.read()
    with urllib.request.urlopen(f"{events.http}/health") as response:
        assert response.status == 200


def test_insert_from_a_query_and_explicit_columns() -> None:
    with Double() as db:
        create(db)
        sql(db, "INSERT INTO t (`id`, ts, `value`) VALUES ('a', 1, 'x'), ('b', 2, NULL)")
        assert sql(db, "INSERT INTO t (ts, `id`) SELECT ts + 10, upper(`id`) FROM t").affected == 2
        assert db.query("SELECT ts, id FROM t ORDER BY ts") == [
            {"ts": 1, "id": "a"},
            {"ts": 2, "id": "b"},
            {"ts": 11, "id": "A"},
            {"ts": 12, "id": "B"},
        ]


def test_alter_table_adds_columns_to_rows_that_are_there() -> None:
    with Double() as db:
        create(db)
        put(db, [1, "x", "v"])
        sql(db, "ALTER TABLE t ADD COLUMN n BIGINT DEFAULT 0, ADD COLUMN IF NOT EXISTS `value` STRING")
        sql(db, "ALTER TABLE t ADD COLUMN s STRING")
        assert db.query("SELECT * FROM t") == [{"ts": 1, "id": "x", "value": "v", "n": 0, "s": None}]
        put(db, [1, "x", 5], columns=[TS, ID, field("n", "INT64")])
        sql(db, "ALTER TABLE t DROP COLUMN s")
        sql(db, "ALTER TABLE t MODIFY COLUMN n STRING")
        sql(db, "ALTER TABLE t RENAME u")
        assert db.query("SELECT * FROM u") == [{"ts": 1, "id": "x", "value": "v", "n": "5"}]


def test_indexes_may_be_set_again_but_not_changed() -> None:
    with Double() as db:
        create(db)
        setting = "ALTER TABLE t MODIFY COLUMN `value` SET SKIPPING INDEX WITH (granularity = 1024, type = 'BLOOM')"
        assert [sql(db, setting).status for _ in range(2)] == [200, 200]
        assert sql(db, "ALTER TABLE t MODIFY COLUMN `value` SET SKIPPING INDEX").body["code"] == 1004
        assert sql(db, "ALTER TABLE t MODIFY COLUMN `value` SET INVERTED INDEX").status == 200
        assert sql(db, "SHOW INDEX FROM t").rows == [
            ["t", "TIME INDEX", 1, "ts"],
            ["t", "PRIMARY", 1, "id"],
            ["t", "SKIPPING INDEX", 1, "value"],
            ["t", "INVERTED INDEX", 2, "value"],
        ]
        sql(db, "ALTER TABLE t MODIFY COLUMN `value` UNSET SKIPPING INDEX")
        assert "SKIPPING" not in db.query("SHOW CREATE TABLE t")[0]["Create Table"]


def test_show_create_table_makes_the_same_table_again(events: Double) -> None:
    shown = events.query("SHOW CREATE TABLE events")[0]["Create Table"]
    with Double() as db:
        db.query(shown)
        assert db.query("SHOW CREATE TABLE events")[0]["Create Table"] == shown


def test_ttl_of_a_database() -> None:
    with Double() as db:
        assert sql(db, "ALTER DATABASE public SET 'ttl'='730d'").status == 200
        assert "'ttl' = '730d'" in db.query("SHOW CREATE DATABASE public")[0]["Create Database"]
        assert db.query("SELECT options FROM information_schema.schemata") == [{"options": "ttl=730d"}]
        sql(db, "ALTER DATABASE public UNSET 'ttl'")
        assert db.query("SELECT options FROM information_schema.schemata") == [{"options": ""}]


def test_information_schema_describes_tables_and_columns(events: Double) -> None:
    columns = events.query(
        "SELECT column_name, greptime_data_type, data_type, semantic_type, column_key, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'events' ORDER BY ordinal_position"
    )
    assert [tuple(row.values()) for row in columns[:4]] == [
        ("timestamp", "TimestampMillisecond", "timestamp(3)", "TIMESTAMP", "TIME INDEX", "No", None),
        ("id", "String", "string", "TAG", "PRI", "No", None),
        ("type", "String", "string", "FIELD", "", "Yes", None),
        ("cost", "Decimal(38, 12)", "decimal(38, 12)", "FIELD", "", "Yes", None),
    ]
    assert columns[5]["column_default"] == "false"
    assert events.query("SELECT table_name, engine, create_options FROM information_schema.tables") == [
        {"table_name": "events", "engine": "mito", "create_options": "merge_mode=last_non_null"}
    ]
    usage = "SELECT column_name FROM information_schema.key_column_usage WHERE constraint_name = 'FULLTEXT INDEX'"
    assert events.query(usage) == [{"column_name": "text"}]
    assert events.query("DESC TABLE events")[0]["Semantic Type"] == "TIMESTAMP"


def test_region_statistics_follow_flushes_and_compactions() -> None:
    statistics = (
        "SELECT r.region_rows, r.sst_num FROM information_schema.region_statistics r "
        "JOIN information_schema.tables t ON r.table_id = t.table_id WHERE t.table_name = 't' AND t.engine = 'mito'"
    )
    with Double() as db:
        create(db)
        for at in range(3):
            put(db, [at, "x", "v"])
            assert sql(db, "ADMIN flush_table('t')").status == 200
        sql(db, "ADMIN flush_table('t')")
        assert db.query(statistics) == [{"region_rows": 3, "sst_num": 3}]
        db.set_files("t", 250)
        assert db.query(statistics) == [{"region_rows": 3, "sst_num": 250}]
        sql(db, "ADMIN compact_table('t', 'strict_window', '86400')")
        assert db.query(statistics) == [{"region_rows": 3, "sst_num": 1}]


def test_files_after_a_compaction_are_those_of_the_windows() -> None:
    """Each is as wide as its rows; more of them than one scan may open cannot be read, but merged."""
    day = 86_400_000
    manifest = "SELECT min_ts, max_ts FROM information_schema.ssts_manifest ORDER BY min_ts"
    with Double() as db:
        create(db)
        put(db, *([at, "x", "v"] for at in (-1, 0, day - 1, 5 * day)))
        sql(db, "ADMIN flush_table('t')")
        assert db.query(manifest) == [{"min_ts": -(10**6), "max_ts": 5 * day * 10**6}]
        db.set_files("t", 385)
        assert sql(db, "SELECT count(*) FROM t").status == 429
        sql(db, "ADMIN compact_table('t', 'strict_window', '86400')")
        times = [(row["min_ts"] // 10**6, row["max_ts"] // 10**6) for row in db.query(manifest)]
        assert times == [(-1, -1), (0, day - 1), (5 * day, 5 * day)]
        sql(db, "ADMIN compact_table('t', 'strict_window', '172800')")
        assert len(db.query(manifest)) == 3
        sql(db, "ADMIN compact_table('t')")
        assert len(db.query(manifest)) == 1


def test_the_log_tells_tables_rows_and_bytes_of_each_call() -> None:
    with Double() as db:
        create(db)
        sender = client(db)
        sender.health_check()
        sender.insert("t", [TS, ID], [[1, "x"], [2, "x"]])
        sender.delete("t", [TS, ID], [[1, "x"]])
        sql(db, "SELECT count(*) FROM t")
        log = [(call.number, call.protocol, call.method, call.table, call.rows, call.outcome) for call in db.calls]
        assert log == [
            (1, "grpc", "health", "", 0, "ok"),
            (2, "grpc", "insert", "t", 2, "ok"),
            (3, "grpc", "delete", "t", 1, "ok"),
            (4, "http", "sql", "t", 0, "ok"),
        ]
        assert db.calls[1].bytes > 20
        assert db.calls[3].sql == "SELECT count(*) FROM t"

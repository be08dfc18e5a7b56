"""The double in a process of its own: the same answers, death without warning, data that outlives it."""

from __future__ import annotations

from pathlib import Path

import pytest
from greptimedb_ingester import GreptimeError

from tests.greptimedb_double import Double, DoubleProcess, ServerError, faults
from tests.greptimedb_double.double_kit import ID, TS, client, sql

CREATE = "CREATE TABLE t (ts TIMESTAMP TIME INDEX, `id` STRING, PRIMARY KEY (`id`)) WITH ('append_mode' = 'true')"
COLUMNS = [TS, ID]


def test_a_killed_server_comes_back_with_its_files_at_the_same_address(tmp_path: Path) -> None:
    with DoubleProcess(directory=tmp_path) as db:
        assert sql(db, CREATE).status == 200
        sender = client(db)
        assert sender.insert("t", COLUMNS, [[1, "x"]]) == 1
        db.kill()
        with pytest.raises(GreptimeError):
            sender.insert("t", COLUMNS, [[2, "x"]])
        with pytest.raises(OSError):
            sql(db, "SELECT 1")
        db.start()
        assert sender.insert("t", COLUMNS, [[3, "x"]]) == 1
        assert db.query("SELECT ts FROM t ORDER BY ts") == [{"ts": 1}, {"ts": 3}]
        assert [call.table for call in db.calls] == ["t"]
    with Double(directory=tmp_path) as later:
        assert later.query("SELECT count(*) AS n FROM t") == [{"n": 2}]
        assert "'append_mode' = 'true'" in later.query("SHOW CREATE TABLE t")[0]["Create Table"]


def test_faults_and_errors_cross_the_process_border() -> None:
    with DoubleProcess() as db:
        sql(db, CREATE)
        bad, busy = faults.bad_row(id="bad"), faults.region_busy().over("http")
        db.fail(bad, busy)
        with pytest.raises(GreptimeError, match="invalid argument"):
            client(db).insert("t", COLUMNS, [[1, "bad"]])
        assert sql(db, "SELECT 1").status == 503
        assert (db.struck(bad), db.struck(busy)) == (1, 1)
        db.heal()
        db.require("me", "secret")
        assert sql(db, "SELECT 1").status == 401
        with pytest.raises(ServerError, match="Table not found"):
            db.query("SELECT * FROM nobody")

"""Waiting for others at the store, whatever it is they are doing: here, putting the index of the write-ahead log together."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from openfuse_collector.config.types import Duration
from openfuse_collector.errors import CollectorError
from openfuse_collector.exporters.sqlite import locking
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from openfuse_collector.exporters.sqlite.locking import transaction
from openfuse_collector.exporters.sqlite.operations import SqliteOperations
from openfuse_collector.exporters.sqlite.statements import has_table
from openfuse_collector.exporters.sqlite.store import connect
from openfuse_collector.exporters.sqlite.wal import begin_anew
from tests.builders import settings

RECOVERY = """
import fcntl, os, sys
index = os.open(sys.argv[1], os.O_RDWR)
for lock in (120, 122):  # of writers, of recovery
    fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, lock)
whole = os.pread(index, 48, 0)
os.pwrite(index, bytes([whole[8] ^ 1]), 8)
print("begun", flush=True)
sys.stdin.read()
os.pwrite(index, whole, 0)
"""
"""A process that was killed left an index whose two headers differ, and another is at mending it until its input ends; see "WAL-Index
Format" and "WAL Locks" in https://sqlite.org/walformat.html."""


@pytest.fixture
def config(tmp_path: Path) -> SqliteConfig:
    return SqliteConfig(path=str(tmp_path / "openfuse.db"))


@pytest.fixture
def connection(config: SqliteConfig) -> Iterator[sqlite3.Connection]:
    with closing(connect(config)) as connection:
        connection.execute("CREATE TABLE others (value)")
        yield connection


@contextmanager
def recovery(config: SqliteConfig) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", RECOVERY, f"{config.path}-shm"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        yield other
        other.communicate("")
    assert other.returncode == 0


def end_at_the_third_look(connection: sqlite3.Connection, statement: str, other: subprocess.Popen[str]) -> list[str]:
    """The looks, as they are taken."""
    looks: list[str] = []

    def look(sql: str) -> None:
        if sql == statement:
            looks.append(sql)
            if len(looks) == 3:
                other.communicate("")

    connection.set_trace_callback(look)
    return looks


def test_a_transaction_waits_for_it(config: SqliteConfig, connection: sqlite3.Connection) -> None:
    with recovery(config) as other:
        looks = end_at_the_third_look(connection, "BEGIN IMMEDIATE", other)
        with transaction(connection, 600):
            connection.execute("INSERT INTO others VALUES (1)")
    assert len(looks) >= 3
    assert connection.execute("SELECT * FROM others").fetchall() == [(1,)]


def test_beginning_the_log_anew_waits_for_it(config: SqliteConfig, connection: sqlite3.Connection) -> None:
    with recovery(config) as other:
        looks = end_at_the_third_look(connection, "PRAGMA wal_checkpoint(TRUNCATE)", other)
        assert begin_anew(connection, 600)
    assert len(looks) >= 3


def test_who_has_waited_long_enough_is_told_that_the_file_is_in_use(
    config: SqliteConfig, connection: sqlite3.Connection
) -> None:
    with recovery(config):
        assert not begin_anew(connection, 0)
        with pytest.raises(sqlite3.OperationalError) as raised, transaction(connection, 0):
            pass
    assert raised.value.sqlite_errorcode == sqlite3.SQLITE_BUSY_RECOVERY
    assert "try again when it is done" in SqliteOperations(config).explain(raised.value)


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_store_is_opened_as_soon_as_a_busy_writer_gives_way(
    config: SqliteConfig, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself looks too seldom to meet that moment, and where a file is just being made not even that."""
    with closing(sqlite3.connect(config.path, isolation_level=None)) as other:
        other.execute(f"PRAGMA journal_mode = {mode}")
        other.execute("CREATE TABLE others (value)")
        other.execute("BEGIN EXCLUSIVE")
        given_way = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: other.execute("ROLLBACK"))
        monkeypatch.setattr(locking, "time", given_way)
        with closing(connect(replace(config, busy_timeout=Duration(0.05)))) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert has_table(connection, "raw_events")


def test_a_start_in_vain_says_that_the_file_is_in_use(config: SqliteConfig) -> None:
    with closing(connect(config)) as other, transaction(other, 0), pytest.raises(CollectorError) as raised:
        SqliteExporter(settings("sqlite"), replace(config, busy_timeout=Duration(0.05)))
    assert "in use by another program for 0.05s: try again" in str(raised.value)


def test_other_errors_are_not_waited_for(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "openfuse.db", isolation_level=None)) as connection:
        connection.execute("BEGIN")
        with pytest.raises(sqlite3.OperationalError, match="within a transaction"), transaction(connection, 600):
            pass

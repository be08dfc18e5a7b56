"""The write-ahead log stays near the size it may have, whoever else is at the file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import structlog

from openfuse_collector.config.types import Duration, Size
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from openfuse_collector.exporters.sqlite.locking import writing
from openfuse_collector.exporters.sqlite.operations import SqliteOperations
from openfuse_collector.exporters.sqlite.wal import WriteAheadLog
from tests.builders import batch, event, item, settings

MIB = 1 << 20
BATCHES = 60
BATCH = "x" * MIB


@pytest.fixture
def config(tmp_path: Path) -> SqliteConfig:
    return SqliteConfig(path=str(tmp_path / "openfuse.db"), wal_size=Size(MIB), busy_timeout=Duration(0.2))


@contextmanager
def another_writer(config: SqliteConfig) -> Iterator[None]:
    """A maintenance connection that writes one small transaction after the other."""
    over = threading.Event()

    def write() -> None:
        with closing(SqliteOperations(config)) as operations:
            connection = operations._connection(read_only=False)
            connection.execute("CREATE TABLE others (value)")
            while not over.is_set():
                with writing(connection, 60):
                    connection.execute("INSERT INTO others VALUES (1)")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def sizes(exporter: SqliteExporter, log: WriteAheadLog) -> Iterator[int]:
    """Of the log, after each of many batches."""
    for number in range(BATCHES):
        exporter.export(batch(item([event(f"o{number}", name="chat", input=f"{number} {BATCH}")])))
        yield log.size


def test_another_busy_writer_does_not_make_it_grow(config: SqliteConfig) -> None:
    exporter = SqliteExporter(settings("sqlite"), config)
    log = exporter._store.log
    with another_writer(config):
        seen = list(sizes(exporter, log))
    exporter._store.close()
    assert max(seen) <= 8 * MIB


def test_a_reader_that_never_ends_is_told_of_and_outlived(config: SqliteConfig) -> None:
    with structlog.testing.capture_logs() as lines:
        exporter = SqliteExporter(settings("sqlite"), config)
        log = exporter._store.log
        exporter.export(batch(item([event("first", name="chat")])))
        with closing(sqlite3.connect(config.path)) as reader:
            reading = reader.execute("SELECT * FROM observations UNION ALL SELECT * FROM observations")
            reading.fetchone()
            assert max(sizes(exporter, log)) > BATCHES * MIB
            reading.close()
        log._next = 0.0
        exporter.export(batch(item([event("last", name="chat")])))
        assert log.size <= 4 * MIB
    exporter._store.close()
    (line,) = [line for line in lines if "write-ahead log grows" in line["event"]]
    assert line["log_level"] == "warning" and "reads the store" in line["error"] and line["mib"] >= 1

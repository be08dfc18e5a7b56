"""The write-ahead log stays near the size it may have, whoever else is at the file."""

from __future__ import annotations

import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from openfuse_collector.config.types import Duration, Size
from openfuse_collector.errors import RetryableError
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from openfuse_collector.exporters.sqlite.locking import writing
from openfuse_collector.exporters.sqlite.operations import SqliteOperations
from openfuse_collector.exporters.sqlite.wal import ROOM, WriteAheadLog
from openfuse_collector.store.retention import RetentionConfig
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
            with writing(connection, 60):
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


@contextmanager
def reading(config: SqliteConfig) -> Iterator[None]:
    """Somebody is in the middle of a query: what is committed meanwhile stays in the log."""
    with closing(sqlite3.connect(config.path)) as reader:
        rows = reader.execute("SELECT * FROM observations UNION ALL SELECT * FROM observations")
        rows.fetchone()
        yield
        rows.close()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes, which is what a disk without room does to the log."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def export_large(exporter: SqliteExporter, number: int) -> None:
    exporter.export(batch(item([event(f"o{number}", name="chat", input=f"{number} {BATCH}")])))


def export_until_full(exporter: SqliteExporter) -> None:
    """Ends with the first batch that does not fit."""
    for number in range(BATCHES):
        try:
            export_large(exporter, number)
        except RetryableError:
            return
    pytest.fail("the log never filled the disk")


def sizes(exporter: SqliteExporter, log: WriteAheadLog) -> Iterator[int]:
    """Of the log, after each of many batches."""
    for number in range(BATCHES):
        export_large(exporter, number)
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
        with reading(config):
            assert max(sizes(exporter, log)) > BATCHES * MIB
        log._next = 0.0
        exporter.export(batch(item([event("last", name="chat")])))
        assert log.size <= 4 * MIB
    exporter._store.close()
    (line,) = [line for line in lines if "write-ahead log grows" in line["event"]]
    assert line["log_level"] == "warning" and "reads the store" in line["error"] and line["mib"] >= 1


def test_a_log_that_has_filled_the_disk_is_begun_anew_by_an_export_that_fails(config: SqliteConfig) -> None:
    """Nothing can be committed, so nobody else would ever fold it: SQLite does that after a commit."""
    exporter = SqliteExporter(settings("sqlite"), config)
    log = exporter._store.log
    exporter.export(batch(item([event("first", name="chat")])))
    with full_disk(12 * MIB):
        with reading(config):
            export_until_full(exporter)
        log._next = 0.0
        with pytest.raises(RetryableError):
            export_large(exporter, BATCHES)
        export_large(exporter, BATCHES)
    exporter._store.close()
    assert log.size == 0


def test_a_log_that_grew_while_nothing_comes_is_begun_anew(config: SqliteConfig) -> None:
    """Retention beside an idle collector writes a log, and does not fold it before it is several times too large."""
    exporter = SqliteExporter(settings("sqlite"), config)
    log = exporter._store.log
    exporter.export(batch(item([event(f"o{number}", input=f"{number} {BATCH}") for number in range(8)])))
    assert log.size == 0, "a batch of many times the size is folded at once"
    with closing(SqliteOperations(config)) as operations:
        list(operations.expiry(dry_run=False).expire(RetentionConfig(default=Duration(1)), 2**43))
        assert log.size > ROOM * config.wal_size
        exporter.idle()
        assert log.size <= ROOM * config.wal_size
    exporter._store.close()


def test_what_went_wrong_with_the_batch_is_told_not_what_went_wrong_with_the_log(config: SqliteConfig) -> None:
    """The disk has no room for what is in the log either, so that folding it fails too."""
    exporter = SqliteExporter(settings("sqlite"), config)
    log = exporter._store.log
    exporter.export(batch(item([event(f"o{number}", input=f"{number} {BATCH}") for number in range(-6, 0)])))
    log._next = 0.0
    assert log.hold()
    with structlog.testing.capture_logs() as lines, full_disk(12 * MIB):
        with reading(config):
            export_until_full(exporter)
        log._next, before = 0.0, log.size
        with pytest.raises(RetryableError, match="disk"):
            export_large(exporter, BATCHES)
        assert log.size == before and log._next > 0.0, "folding was tried, in vain, and is not tried at every attempt"
    told = [line for line in lines if "write-ahead log grows" in line["event"]]
    assert "disk" in told[-1]["error"] and "has room" in told[-1]["remedy"]
    log._next = 0.0
    exporter.idle()
    assert log.size == 0
    export_large(exporter, BATCHES)
    exporter._store.close()


@pytest.mark.parametrize("exists", [True, False], ids=["a file", "nothing yet"])
def test_a_link_has_its_log_beside_the_file_it_leads_to(tmp_path: Path, exists: bool) -> None:
    link, file = tmp_path / "openfuse.db", tmp_path / "volume" / "real.db"
    file.parent.mkdir()
    config = SqliteConfig(path=str(link), wal_size=Size(MIB))
    if exists:
        SqliteExporter(settings("sqlite"), replace(config, path=str(file)))._store.close()
    link.symlink_to(Path("volume", "real.db"))
    exporter = SqliteExporter(settings("sqlite"), config)
    log = exporter._store.log
    exporter.export(batch(item([event("first", name="chat")])))
    with reading(config):
        assert max(sizes(exporter, log)) > BATCHES * MIB
    assert log.size == file.with_name("real.db-wal").stat().st_size
    log._next = 0.0
    exporter.export(batch(item([event("last", name="chat")])))
    assert log.size <= 4 * MIB
    exporter._store.close()
    assert [one.name for one in tmp_path.rglob("*.db*")] == ["openfuse.db", "real.db"]

"""The embedded store: one transaction per batch, no event twice, rows that do not depend on what was in memory."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog

from openfuse_collector.config.types import Size
from openfuse_collector.dead_letters.file import NAME, LetterFile
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.errors import PermanentError, RetryableError
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from openfuse_collector.exporters.sqlite.schema import MIGRATIONS
from openfuse_collector.exporters.sqlite.store import Store
from openfuse_collector.signals import Signal
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import batch, event, item, kept_letters, settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "openfuse.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store(SqliteConfig(path=str(path)))
    yield opened
    opened.close()


def query(path: Path, sql: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(sql)]
    finally:
        connection.close()


def test_events_and_rows_are_readable_while_the_writer_is_open(store: Store, path: Path) -> None:
    store.write([event("o1", name="chat", traceId="t1"), event("t1", "trace", name="session")], ("c", "traces", 77))
    (observation,) = query(path, "SELECT * FROM observations")
    assert (observation["id"], observation["name"], observation["trace_id"]) == ("o1", "chat", "t1")
    assert isinstance(observation["start_time"], int)
    assert [row["name"] for row in query(path, "SELECT name FROM traces")] == ["session"]
    assert len(query(path, "SELECT * FROM raw_events")) == 2
    assert store.cursor("c", "traces") == 77
    assert store.cursor("other", "traces") is None


def test_a_resend_is_stored_once(store: Store, path: Path) -> None:
    one, two = event("o1", name="first"), event("o1", name="second")
    store.write([one, two, one])
    changes = store.write([two, one])
    assert changes.raw == []
    assert changes.rows == {}
    assert len(query(path, "SELECT * FROM raw_events")) == 2


def test_history_is_read_from_the_store(path: Path) -> None:
    late, early = event("o1", name="late", input="question"), event("o1", output="answer")
    late.timestamp, early.timestamp = "2026-11-21T06:00:02Z", "2026-11-21T06:00:01Z"
    for one in (late, early):  # a new process each time
        store = Store(SqliteConfig(path=str(path)))
        store.write([one])
        store.close()
    (row,) = query(path, "SELECT name, input, output, start_time FROM observations")
    assert (row["name"], row["input"], row["output"]) == ("late", "question", "answer")


def test_rows_do_not_depend_on_the_cache(tmp_path: Path) -> None:
    events = [event(f"o{n % 5}", **{f"key{n}": n, "metadata": {f"m{n}": n}, "name": f"n{n}"}) for n in range(40)]
    rows = []
    for name, cache in (("none", 0), ("large", 1 << 20)):
        path = tmp_path / name
        store = Store(SqliteConfig(path=str(path), fold_cache_size=Size(cache)))
        for one in events:
            store.write([one])
        store.close()
        rows.append(query(path, "SELECT * FROM observations ORDER BY id"))
    assert rows[0] == rows[1]


def test_another_writer_is_noticed(store: Store, path: Path) -> None:
    store.write([event("o1", name="ours", input="kept")])
    other = Store(SqliteConfig(path=str(path)))
    theirs = event("o1", output="theirs")
    theirs.timestamp = "2026-11-21T06:00:09Z"
    other.write([theirs])
    other.close()
    last = event("o1", statusMessage="done")
    last.timestamp = "2026-11-21T06:00:10Z"
    store.write([last])
    (row,) = query(path, "SELECT name, input, output, status_message FROM observations")
    assert row == {"name": "ours", "input": "kept", "output": "theirs", "status_message": "done"}


def test_nothing_is_written_when_an_entity_cannot_be_folded(store: Store, path: Path) -> None:
    bad = event("bad")
    bad.timestamp = 17  # type: ignore[assignment]
    with pytest.raises(PermanentError, match="observation bad"):
        store.write([event("good"), bad], ("c", "traces", 5))
    assert query(path, "SELECT * FROM raw_events") == []
    assert store.cursor("c", "traces") is None
    store.write([event("good")])
    assert len(query(path, "SELECT * FROM observations")) == 1


def test_a_locked_file_is_retried_not_lost(path: Path) -> None:
    exporter = SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path), busy_timeout=0))  # type: ignore[arg-type]
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    some = batch(item([event("o1")]))
    with pytest.raises(RetryableError, match="locked"):
        exporter.export(some)
    lock.execute("ROLLBACK")
    exporter.export(some)
    assert len(query(path, "SELECT * FROM observations")) == 1


def test_a_part_of_a_batch_leaves_the_cursor(path: Path) -> None:
    exporter = SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path)))
    exporter.export(batch(item([event("o1")]), end=None))
    assert exporter.cursor("traces") is None
    exporter.export(batch(item([event("o2")]), end=9))
    assert exporter.cursor("traces") == 9


def test_migrations_are_recorded_and_applied_once(store: Store, path: Path) -> None:
    Store(SqliteConfig(path=str(path))).close()
    assert [row["name"] for row in query(path, "SELECT name FROM openfuse_schema_migrations")] == [
        name for name, _ in MIGRATIONS
    ]


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("SELECT id FROM observations WHERE trace_id = 't'", "observations_by_trace"),
        ("SELECT id FROM observations WHERE project_id = 'p' AND start_time > 5", "observations_by_time"),
        (
            "SELECT id FROM observations WHERE project_id = 'p' AND name = 'n' ORDER BY start_time",
            "observations_by_name",
        ),
        ("SELECT id FROM observations WHERE project_id = 'p' AND provided_model_name = 'm'", "observations_by_model"),
        ("SELECT id FROM traces WHERE project_id = 'p' AND session_id = 's' ORDER BY timestamp", "traces_by_session"),
        ("SELECT id FROM traces WHERE project_id = 'p' AND user_id = 'u' ORDER BY timestamp", "traces_by_user"),
        ("SELECT id FROM traces WHERE project_id = 'p' ORDER BY timestamp DESC", "traces_by_time"),
        ("SELECT body FROM raw_events WHERE openfuse_entity IN (1, 2)", "raw_events_entity"),
        (
            "SELECT id FROM dataset_run_items WHERE project_id = 'p' AND dataset_run_id = 'r' "
            "ORDER BY dataset_run_created_at",
            "dataset_run_items_by_run",
        ),
    ],
)
def test_questions_people_ask_have_an_index(store: Store, path: Path, sql: str, index: str) -> None:
    plan = " ".join(row["detail"] for row in query(path, f"EXPLAIN QUERY PLAN {sql}"))
    assert index in plan
    assert "TEMP B-TREE" not in plan


def test_dead_letters_are_copied_into_the_store(path: Path, tmp_path: Path) -> None:
    made = settings("sqlite", directory=tmp_path / "letters")
    exporter = SqliteExporter(made, SqliteConfig(path=str(path)))
    letter = made.dead_letters.add(item([event("odd")]), "traces", "sqlite", "too odd", Signal.EVENTS)
    made.dead_letters.sync()
    for _ in range(2):
        exporter.export(batch(item([event("o1")])))
    (row,) = query(path, "SELECT * FROM openfuse_dead_letters")
    assert (row["id"], row["reason"], row["component"]) == (letter.id, "too odd", "sqlite")
    assert "odd" in row["payload"]
    assert made.dead_letters.changes() == ([], [])


def test_the_copy_of_a_letter_goes_with_it(path: Path, tmp_path: Path) -> None:
    made = settings("sqlite", directory=tmp_path / "letters")
    exporter = SqliteExporter(made, SqliteConfig(path=str(path)))
    for number in range(3):
        made.dead_letters.add(item([event(f"odd {number}")]), "traces", "sqlite", "too odd", Signal.EVENTS)
    made.dead_letters.sync()
    exporter.idle()
    ids = [row["id"] for row in query(path, "SELECT id FROM openfuse_dead_letters ORDER BY rowid")]
    assert len(ids) == 3
    with closing(file_of(tmp_path / "letters")) as command:
        assert command.remove("id = ?", (ids[1],)) == 1
    made.dead_letters.tend()
    exporter.idle()
    assert [row["id"] for row in query(path, "SELECT id FROM openfuse_dead_letters ORDER BY rowid")] == [ids[0], ids[2]]
    assert [letter.id for letter in kept_letters(tmp_path / "letters")] == [ids[0], ids[2]]


def file_of(directory: Path) -> LetterFile:
    file = LetterFile.existing(directory)
    assert file is not None
    return file


ODD_IDS = {
    "NUL": ("a\0b", "a\ufffdb"),
    "half a character": ("a\ud800b", "a\ufffdb"),
    "both": ("\0\udfff", "\ufffd\ufffd"),
}


@pytest.mark.parametrize("name", ODD_IDS)
def test_an_id_no_store_takes_is_one_entity_however_often_it_comes_back(tmp_path: Path, name: str) -> None:
    """Also beside events that state the id as it is stored: one row, of which the history is found."""
    sent, kept = ODD_IDS[name]
    events = [
        event(sent, id=sent, name="first"),
        event(sent, id="e2", input="question"),
        event(kept, id="e3", output="answer"),
    ]
    for restart in (False, True):
        path = tmp_path / f"{restart}.db"
        store = Store(SqliteConfig(path=str(path)))
        written = 0
        for one in [*events, *events]:
            if restart:
                store.close()
                store = Store(SqliteConfig(path=str(path)))
            written += len(store.write([one]).raw)
        store.close()
        assert written == 3
        (row,) = query(path, "SELECT id, name, input, output FROM observations")
        assert row == {"id": kept, "name": "first", "input": "question", "output": "answer"}
        found = query(path, "SELECT DISTINCT entity_id, event_id FROM raw_events ORDER BY event_id")
        assert sorted((row["entity_id"], row["event_id"]) for row in found) == sorted(
            (kept, n) for n in ("e2", "e3", kept)
        )


def damaged(directory: Path) -> DeadLetters:
    """Dead letters of an earlier start, in a file of which all but the first page is no longer one."""
    earlier = DeadLetters(directory, threading.Event(), Metrics(), structlog.get_logger())
    for number in range(50):
        earlier.add(item([event(f"x{number}", input="x" * 5000)]), "traces", "store", "too odd", Signal.EVENTS)
    earlier.sync()
    earlier.close()
    file = directory / NAME
    file.write_bytes(file.read_bytes()[:4096] + b"\xa5" * (file.stat().st_size - 4096))
    return DeadLetters(directory, threading.Event(), Metrics(), structlog.get_logger())


def impossible(directory: Path) -> DeadLetters:
    """Dead letters whose file cannot be opened."""
    (directory / NAME).mkdir(parents=True)
    return DeadLetters(directory, threading.Event(), Metrics(), structlog.get_logger())


@pytest.mark.parametrize("make", [damaged, impossible])
def test_the_store_takes_data_whatever_became_of_the_dead_letters(
    make: Callable[[Path], DeadLetters], path: Path, tmp_path: Path
) -> None:
    letters = make(tmp_path / "letters")
    made = dataclasses.replace(settings("sqlite"), dead_letters=letters)
    exporter = SqliteExporter(made, SqliteConfig(path=str(path)))
    exporter.export(batch(item([event("o1")]), end=7))
    assert [row["id"] for row in query(path, "SELECT id FROM observations")] == ["o1"]
    assert exporter.cursor("traces") == 7


def test_a_damaged_file_is_put_aside_when_it_is_read(tmp_path: Path) -> None:
    letters = damaged(tmp_path / "letters")
    with pytest.raises(sqlite3.DatabaseError):
        letters.changes()
    letters.add(item([event("new")]), "traces", "store", "too odd", Signal.EVENTS)
    letters.sync()
    assert len(kept_letters(tmp_path / "letters")) == 1
    assert list((tmp_path / "letters").glob(f"{NAME}.damaged-*"))

"""Dead letters: written in groups, whole enough to be offered again, bounded, and readable whatever became of the file."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from openfuse_collector.component import Kind
from openfuse_collector.config.types import Duration, Size
from openfuse_collector.dead_letters.config import DeadLettersConfig
from openfuse_collector.dead_letters.file import NAME, LetterFile
from openfuse_collector.dead_letters.letter import item_of
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.payloads import decode_letter
from openfuse_collector.pipeline.retry import Stopped
from openfuse_collector.signals import Item, Origin, RawSpan, Signal
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import RECEIVED_AT, event, item, kept_letters, metric

ORIGIN = Origin(Signal.TRACES, "otlp/eu", RECEIVED_AT, "p1", "pk-lf-1", "python", "3.1")


def letters_in(directory: Path, metrics: Metrics | None = None, **bounds: Any) -> DeadLetters:
    """Dead letters with some bounds."""
    log = structlog.get_logger()
    return DeadLetters(directory, threading.Event(), metrics or Metrics(), log, DeadLettersConfig(**bounds))


def refuse(letters: DeadLetters, *names: str, size: int = 0) -> None:
    """One letter each, on disk."""
    for name in names:
        letters.add(item([event(name, id=name, input="x" * size)]), "traces", "store", "too odd", Signal.EVENTS)
    letters.sync()


def names(directory: Path) -> list[str]:
    return [decode_letter(letter)[0].entity.id for letter in kept_letters(directory)]


def rows(directory: Path) -> int:
    """Of letters and of those that were dropped."""
    with closing(sqlite3.connect(directory / NAME)) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM letters")
    return int(count)


def test_what_was_refused_can_be_offered_again_as_it_was(tmp_path: Path) -> None:
    letters = letters_in(tmp_path / "letters")
    odd = Event(
        Entity("p1", "score", "s'1\"; --"),
        "event-1",
        "score-create",
        "2026-11-21T06:00:00.000000001Z",
        {"id": "s1", "value": 2**70, "comment": "\u2028\r\n"},
        1_795_000_000_003,
        {"client": [1]},
    )
    spans = (RawSpan("digest", "00" * 16, "00" * 8, 17, b"\x00\xff"),)
    letters.add(Item(ORIGIN, 42, [odd], 100, spans), "traces", "sqlite", "no", Signal.EVENTS, kind=Kind.EXPORTER)
    letters.sync()
    (letter,) = kept_letters(tmp_path / "letters")
    again = item_of(letter, decode_letter(letter))
    assert (again.origin, again.position, again.data, again.spans) == (ORIGIN, 42, [odd], list(spans))
    assert (letter.kind, letter.component, letter.reason) == (Kind.EXPORTER, "sqlite", "no")


def test_surrogates_are_replaced_and_what_is_no_json_is_kept_as_text(tmp_path: Path) -> None:
    letters = letters_in(tmp_path)
    refuse_this = [event("\ud800", id="a", name="\udfff"), event("odd", input=object())]
    letters.add(item(refuse_this), "traces", "store", "reason \ud800", Signal.EVENTS)
    letters.sync()
    (letter,) = kept_letters(tmp_path)
    assert letter.payload.count("\N{REPLACEMENT CHARACTER}".encode()) >= 2
    assert b"object object" in letter.payload


def test_nesting_beyond_any_encoder_does_not_stop_the_pipeline(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    letters = letters_in(tmp_path)
    letters.add(item([event("deep", input=deep), event("good")]), "traces", "store", "too deep", Signal.EVENTS)
    letters.sync()
    (letter,) = kept_letters(tmp_path)
    assert b"cannot be written" in letter.payload
    assert b"good" in letter.payload


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    letters = letters_in(tmp_path / "letters")
    refuse(letters, "a")
    assert (tmp_path / "letters").stat().st_mode & 0o777 == 0o700
    files = list((tmp_path / "letters").iterdir())
    assert {path.name for path in files} >= {NAME}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_flood_is_written_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction, and so one sync of the write-ahead log, per thousand letters; one line of log a minute, not one each."""
    groups: list[int] = []
    add = LetterFile.add

    def counting(file: LetterFile, some: Any) -> None:
        groups.append(len(some))
        add(file, some)

    monkeypatch.setattr(LetterFile, "add", counting)
    metrics = Metrics()
    letters = letters_in(tmp_path, metrics)
    with capture_logs() as logs:
        refuse(letters, *(f"span {number}" for number in range(5_500)))
    assert groups == [1000] * 5 + [500]
    assert metric(metrics, "openfuse_dead_letters_total", component="store") == 5_500
    assert metric(metrics, "openfuse_dead_letters_kept") == 5_500
    assert [line["letters"] for line in logs if line["event"] == "set aside as dead letter"] == [1000]


def test_the_same_refusal_is_one_letter_with_the_last_reason(tmp_path: Path) -> None:
    letters = letters_in(tmp_path)
    for reason in ("first", "second"):
        letters.add(item([event("a", id="same")]), "traces", "store", reason, Signal.EVENTS)
        letters.sync()
    assert [letter.reason for letter in kept_letters(tmp_path)] == ["second"]


def test_at_its_bound_the_oldest_go_counted_and_logged(tmp_path: Path) -> None:
    metrics = Metrics()
    letters = letters_in(tmp_path, metrics, max_size=Size(2**20))
    assert metrics.registry.get_sample_value("openfuse_dead_letters_dropped_total", {"bound": "max_size"}) == 0
    with capture_logs() as logs:
        refuse(letters, *(f"span {number}" for number in range(40)), size=50_000)
    left = names(tmp_path)
    assert left == [f"span {number}" for number in range(40 - len(left), 40)]
    assert 15 <= len(left) <= 20
    assert metric(metrics, "openfuse_dead_letters_dropped_total", bound="max_size") == 40 - len(left)
    assert 0.9 * 2**20 < metric(metrics, "openfuse_dead_letters_bytes") <= 2**20
    (line,) = (line for line in logs if line["event"].startswith("dead letters dropped"))
    assert (line["letters"], line["bound"], line["log_level"]) == (
        40 - len(left),
        "service::dead_letters::max_size",
        "error",
    )
    letters.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 * 2**20


def test_what_waits_for_its_replay_is_not_dropped(tmp_path: Path) -> None:
    letters = letters_in(tmp_path, max_size=Size(2**20))
    refuse(letters, "first", size=50_000)
    letters.use(lambda file: file.ask_for_replay("1"))
    refuse(letters, *(f"span {number}" for number in range(40)), size=50_000)
    assert names(tmp_path)[0] == "first"


def test_nothing_is_remembered_of_dropped_letters_where_no_store_keeps_copies(tmp_path: Path) -> None:
    """Dropped by the collector, or by a command beside it."""
    letters = letters_in(tmp_path)
    refuse(letters, "first", "second")
    letters.change(lambda file: file.remove("number = 1"))
    assert rows(tmp_path) == 1
    command = LetterFile.existing(tmp_path)
    assert command is not None
    with closing(command):
        assert command.remove("TRUE") == 1
    letters.tend()
    assert rows(tmp_path) == 0


def test_letters_older_than_max_age_go(tmp_path: Path) -> None:
    refuse(letters_in(tmp_path), "old", "new")
    with closing(sqlite3.connect(tmp_path / NAME)) as connection, connection:
        connection.execute("UPDATE letters SET at = at - 7200000 WHERE number = 1")
    metrics = Metrics()
    letters_in(tmp_path, metrics, max_age=Duration(3600)).tend()
    assert names(tmp_path) == ["new"]
    assert metric(metrics, "openfuse_dead_letters_dropped_total", bound="max_age") == 1


def test_a_letter_larger_than_the_bound_is_dropped_like_any_other(tmp_path: Path) -> None:
    metrics = Metrics()
    letters = letters_in(tmp_path, metrics, max_size=Size(2**20))
    refuse(letters, "huge", size=2**21)
    assert names(tmp_path) == []
    assert metric(metrics, "openfuse_dead_letters_dropped_total", bound="max_size") == 1


def test_a_damaged_file_is_put_aside_and_nothing_new_is_lost(tmp_path: Path) -> None:
    refuse(letters_in(tmp_path), "a")
    (tmp_path / NAME).write_bytes(os.urandom(8192))
    for beside in ("-wal", "-shm"):
        (tmp_path / f"{NAME}{beside}").unlink(missing_ok=True)
    with capture_logs() as logs:
        refuse(letters_in(tmp_path), "b")
    assert names(tmp_path) == ["b"]
    assert any("damaged" in path.name for path in tmp_path.iterdir())
    assert any("damaged" in line["event"] for line in logs)


def test_a_disk_that_refuses_is_waited_for_and_the_group_is_kept(tmp_path: Path) -> None:
    blocked = tmp_path / "letters"
    blocked.write_text("a file where the directory should be")
    log = structlog.get_logger()
    stopping = threading.Event()
    letters = DeadLetters(blocked, stopping, Metrics(), log)
    outcome: list[str] = []
    letters.add(item([event("a")]), "traces", "store", "no", Signal.EVENTS)

    def write() -> None:
        try:
            letters.sync()
            outcome.append("written")
        except Stopped:
            outcome.append("stopped")

    with capture_logs() as logs:
        writer = threading.Thread(target=write)
        writer.start()
        while not logs:
            stopping.wait(0.01)
        blocked.unlink()
        writer.join(60)
    assert outcome == ["written"]
    assert names(blocked) == ["a"]
    assert logs[0]["event"] == "dead letters cannot be written, will retry"


def test_a_stop_ends_the_wait_for_the_disk(tmp_path: Path) -> None:
    blocked = tmp_path / "letters"
    blocked.write_text("")
    letters = DeadLetters(blocked, threading.Event(), Metrics(), structlog.get_logger())
    letters.stopping.set()
    letters.add(item([event("a")]), "traces", "store", "no", Signal.EVENTS)
    with pytest.raises(Stopped):
        letters.sync()


@pytest.mark.parametrize(
    "config, message",
    [
        (DeadLettersConfig(max_size=Size(1000)), "max_size must be at least 1MiB"),
        (DeadLettersConfig(max_age=Duration(-1)), "max_age must not be negative"),
    ],
)
def test_config(config: DeadLettersConfig, message: str) -> None:
    assert list(DeadLettersConfig().validate()) == []
    assert list(config.validate()) == [message]

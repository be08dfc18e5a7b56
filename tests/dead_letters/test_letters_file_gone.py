"""The file of the dead letters goes away while it is in use: what is refused from then on is where a restart finds it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from openfuse_collector.dead_letters.file import NAME, LetterFile
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.payloads import decode_letter
from openfuse_collector.signals import Signal
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import event, item, kept_letters, metric


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """In a journal, as a collector has it."""
    return tmp_path / "journal" / "dead-letters"


@pytest.fixture
def letters(directory: Path, metrics: Metrics) -> Iterator[DeadLetters]:
    """Dead letters with one in the file, which is open."""
    made = DeadLetters(directory, threading.Event(), metrics, structlog.get_logger())
    refuse(made, "before")
    yield made
    made.close()


@pytest.fixture
def logs(letters: DeadLetters) -> Iterator[list[Any]]:
    """What is logged once there is a letter."""
    with capture_logs() as lines:
        yield lines


def refuse(letters: DeadLetters, name: str) -> None:
    """One letter, on disk as far as `sync` knows."""
    letters.add(item([event(name, id=name)]), "traces", "store", "too odd", Signal.EVENTS)
    letters.sync()


def names(directory: Path) -> list[str]:
    return [decode_letter(letter)[0].entity.id for letter in kept_letters(directory)]


def removals(logs: list[Any]) -> list[Any]:
    return [line for line in logs if "removed or replaced" in line["event"]]


def test_letters_after_a_removal_are_in_a_new_file(letters: DeadLetters, directory: Path, logs: list[Any]) -> None:
    shutil.rmtree(directory.parent)
    refuse(letters, "after")
    refuse(letters, "later")
    assert names(directory) == ["after", "later"]
    assert {path.stat().st_mode & 0o777 for path in (directory, directory.parent)} == {0o700}
    (line,) = removals(logs)
    assert (line["log_level"], line["path"]) == ("error", str(directory / NAME))
    letters.close()
    assert names(directory) == ["after", "later"]


def test_a_file_that_goes_while_it_is_written_to_does_not_count(
    letters: DeadLetters, directory: Path, logs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    add = LetterFile.add

    def add_and_remove(file: LetterFile, some: Iterable[DeadLetter]) -> None:
        monkeypatch.undo()
        add(file, some)
        shutil.rmtree(directory.parent)

    monkeypatch.setattr(LetterFile, "add", add_and_remove)
    refuse(letters, "after")
    assert names(directory) == ["after"]
    assert len(removals(logs)) == 1


def test_another_file_in_its_place_is_used(
    letters: DeadLetters, directory: Path, tmp_path: Path, logs: list[Any]
) -> None:
    """A backup that is put back, for one: its letters can be replayed and copied at once."""
    assert letters.changes()[0] and not letters.changes()[1]
    other = DeadLetters(tmp_path / "other", threading.Event(), Metrics(), structlog.get_logger())
    refuse(other, "saved")
    other.close()
    shutil.rmtree(directory)
    (tmp_path / "other").rename(directory)
    letters.tend()
    assert [decode_letter(letter)[0].entity.id for letter in letters.changes()[0]] == ["saved"]
    assert letters.use(lambda file: file.ask_for_replay("1")) == 1
    refuse(letters, "after")
    assert names(directory) == ["saved", "after"]
    assert len(removals(logs)) == 1


def test_a_removal_is_seen_without_another_letter(
    letters: DeadLetters, directory: Path, metrics: Metrics, logs: list[Any]
) -> None:
    assert metric(metrics, "openfuse_dead_letters_kept") == 1
    shutil.rmtree(directory)
    letters.tend()
    assert letters.use(LetterFile.totals) is None
    assert not directory.exists()
    (line,) = removals(logs)
    assert line["letters"] == 1
    assert metric(metrics, "openfuse_dead_letters_kept") == metric(metrics, "openfuse_dead_letters_bytes") == 0

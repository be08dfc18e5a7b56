"""The file as commands find it, whatever a collector is just doing to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from openfuse_collector.component import Kind
from openfuse_collector.dead_letters.file import NAME, LetterFile
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.signals import Origin, Signal
from tests.builders import RECEIVED_AT

ORIGIN = Origin(Signal.TRACES, "otlp", RECEIVED_AT)
LETTER = DeadLetter(1, "traces", "store", Kind.EXPORTER, "too odd", Signal.EVENTS, ORIGIN, 0, b"[]")


def test_a_file_that_is_just_being_made_has_no_letters_yet(tmp_path: Path) -> None:
    assert LetterFile.existing(tmp_path) is None
    with closing(sqlite3.connect(tmp_path / NAME)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    assert (tmp_path / NAME).stat().st_size > 0
    assert LetterFile.existing(tmp_path) is None
    LetterFile.create(tmp_path).close()
    found = LetterFile.existing(tmp_path)
    assert found is not None
    with closing(found):
        assert found.totals() == (0, 0)


def test_a_dropped_letter_stays_dropped_when_its_replay_fails(tmp_path: Path) -> None:
    """Somebody drops it while it is on its way."""
    with closing(LetterFile.create(tmp_path)) as file:
        file.add([LETTER])
        assert file.ask_for_replay("TRUE") == 1
        assert file.remove("TRUE") == 1
        assert file.remove("TRUE") == 0
        file.keep_again(LETTER.id, "cannot be replayed")
        assert file.rows("state != 'gone'") == []

"""The file as commands find it, whatever a collector is just doing to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from openfuse_collector.dead_letters.file import NAME, LetterFile


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

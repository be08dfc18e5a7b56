"""The place of the dead letters: their file is opened when it is needed, made anew when it was removed, set aside when it is damaged."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from openfuse_collector.dead_letters.file import NAME, LetterFile
from openfuse_collector.telemetry.limited import Limited


class Place:
    """One directory. Not thread-safe. What is given is what the path names at that moment; methods raise OSError, sqlite3.Error."""

    def __init__(self, directory: Path, log: Limited) -> None:
        self._directory = directory
        self._log = log
        self._file: LetterFile | None = None

    def find(self) -> LetterFile | None:
        """The file; None as long as no letter was ever written."""
        self._let_go_of_removed()
        if self._file is None and (self._directory / NAME).exists():
            return self.make()
        return self._file

    def make(self) -> LetterFile:
        """The file, made where there is none. One that is no longer a database is put beside it: what comes must be kept."""
        self._let_go_of_removed()
        if self._file is None:
            try:
                self._file = LetterFile.create(self._directory)
            except sqlite3.DatabaseError as error:
                if not self.set_aside(error):
                    raise
                self._file = LetterFile.create(self._directory)
        return self._file

    def set_aside(self, error: sqlite3.DatabaseError) -> bool:
        """After an error: rename the file if that says it is damaged, for people to save what was written. Whether it was so."""
        if not _is_damage(error):
            return False
        self.close()
        damaged = self._directory / f"{NAME}.damaged-{time.time_ns()}"
        for suffix in ("", "-wal", "-shm"):
            path = self._directory / f"{NAME}{suffix}"
            if path.exists():
                path.replace(f"{damaged}{suffix}")
        self._log.error(
            "damaged",
            "the file of the dead letters is damaged, a new one is begun",
            set_aside=str(damaged),
            error=str(error),
        )
        return True

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _let_go_of_removed(self) -> None:
        """What is written to a file that was removed, or replaced by another, would be gone with the process."""
        if self._file is None or not self._file.replaced():
            return
        lost, (file, self._file) = None, (self._file, None)
        with closing(file), suppress(sqlite3.Error):
            lost, _ = file.totals()
        self._log.error(
            "removed",
            "the file of the dead letters was removed or replaced while in use; what was in it is gone, but for the copies a store has",
            path=str(self._directory / NAME),
            letters=lost,
        )


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is no longer what it was. All else is about the moment, or about one value."""
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

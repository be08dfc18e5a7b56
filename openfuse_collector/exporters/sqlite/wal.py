"""The write-ahead log of the embedded store, and how it stays small while others use the file too.

SQLite folds the log into the file at a commit, and begins it anew when everything in it is folded and nobody reads from it at that
moment. With a second busy connection, such as retention beside a full load, that moment never comes: each commit folds some more
and the log grows without end ("checkpoint starvation", https://sqlite.org/wal.html#avoiding_excessively_large_wal_files).
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from openfuse_collector.exporters.sqlite.locking import LOOK_AGAIN

ROOM = 1.5
"""The log may be so many times as large as configured before others are made to wait for it: a commit writes beyond the mark."""

BESIDE = 4
"""A command or retention folds the log only when it is so many times as large: a collector that runs does it before, an idle one
once a second."""

PATIENCE = 0.2
"""Seconds that others at the file are waited for."""

PAUSE = 2.0
"""Seconds until the next attempt after one in vain: a reader that never ends costs the pipeline a tenth."""


class WriteAheadLog:
    """The log of one writing connection in autocommit mode; `bound` is its size in bytes as configured.

    `store` may be a link. SQLite follows it, and has the log beside the file it leads to.
    """

    def __init__(self, connection: sqlite3.Connection, store: Path, bound: int) -> None:
        self._connection = connection
        self._path = Path(f"{store.resolve()}-wal")
        self._bound = bound
        self._next = 0.0

    @property
    def size(self) -> int:
        """Bytes; 0 where there is none, or none to be seen."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def hold(self) -> bool:
        """Begin a log that is too large anew. False when others did not let go of it for `PATIENCE` seconds.

        To be called between transactions, those that failed too: costs a look at the size of a file. Raises sqlite3.Error.
        """
        if self.size <= ROOM * self._bound or time.monotonic() < self._next:
            return True
        held = False
        try:
            held = begin_anew(self._connection, PATIENCE)
        finally:
            self._next = 0.0 if held else time.monotonic() + PAUSE
        return held


def begin_anew(connection: sqlite3.Connection, patience: float) -> bool:
    """Fold what can be folded, and empty the log once nobody is in the way; False when somebody is for `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy or time.monotonic() > deadline:
            return not busy
        time.sleep(LOOK_AGAIN)

"""A store that stands still: somebody else holds the write lock of the SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Nobody else writes to the store meanwhile; the lock goes with the connection, whatever happens."""
    with closing(sqlite3.connect(store, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")

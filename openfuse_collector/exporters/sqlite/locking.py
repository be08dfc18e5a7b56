"""Whose turn it is at the store: the collector, its retention and commands write to one file, and none may starve another.

SQLite itself looks every 100 ms whether the lock is free. Between two batches of a busy collector, or two pages of a command, it is free
for a millisecond; so all of them look more often than that. Connections here have `PRAGMA busy_timeout = 0`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 60.0
"""A command can wait longer for another writer than a pipeline, which tries again anyway."""

LOOK_AGAIN = 0.0005
"""Seconds between two looks at the lock."""

GIVE_WAY = 0.002
"""Seconds in which whoever waits gets its turn, after each transaction of a command or of retention."""


def begin(connection: sqlite3.Connection, patience: float) -> None:
    """Begin to write. Waits as `execute` does."""
    execute(connection, "BEGIN IMMEDIATE", patience)


def execute(connection: sqlite3.Connection, statement: str, patience: float) -> None:
    """Waits at most `patience` seconds for whoever else is at the file; raises sqlite3.OperationalError then."""
    deadline = time.monotonic() + patience
    while not _executed(connection, statement, last=time.monotonic() > deadline):
        time.sleep(LOOK_AGAIN)


def _executed(connection: sqlite3.Connection, statement: str, *, last: bool) -> bool:
    try:
        connection.execute(statement)
    except sqlite3.OperationalError as error:
        if last or not is_busy(error):
            raise
        return False
    return True


def is_busy(error: Exception) -> bool:
    """Whether somebody else is at the file, whatever they are doing to it: writing, or mending the index of the log after a crash.

    The low byte of a code is the error, the others tell more of it (https://sqlite.org/rescode.html, "Primary Result Codes versus
    Extended Result Codes").
    """
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


@contextmanager
def transaction(connection: sqlite3.Connection, patience: float) -> Iterator[None]:
    """All or nothing. Waits as `begin` does."""
    begin(connection, patience)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def writing(connection: sqlite3.Connection, patience: float) -> Iterator[None]:
    """One transaction of several, which gives way afterwards."""
    with transaction(connection, patience):
        yield
    time.sleep(GIVE_WAY)


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """One state of the file for several queries."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")

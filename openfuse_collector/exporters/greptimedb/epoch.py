"""The store epoch: how a command that changes the store tells running collectors that what they remember may be wrong.

A command bumps before its first write and after its last one. Collectors read the epoch before each batch and while they are idle: where
it has changed they forget what they remember of entities and go over those they have written lately (`settle`).
"""

from __future__ import annotations

from typing import Protocol

from openfuse_collector.clock import epoch_millis
from openfuse_collector.crash_points import crash_point
from openfuse_collector.exporters.greptimedb import ddl
from openfuse_collector.exporters.greptimedb.schema import PROJECT_TOMBSTONES, STORE_EPOCH
from openfuse_collector.exporters.greptimedb.sql import Rows

_TABLE = ddl.quoted(STORE_EPOCH.name)
_AT, _REASON = (ddl.quoted(column.name) for column in STORE_EPOCH.columns)
_DELETED_PROJECTS = f"({ddl.select(('count(*)',), ddl.quoted(PROJECT_TOMBSTONES.name), 'TRUE')})"
READ = ddl.select(("count(*)", f"max({_AT})", _DELETED_PROJECTS), _TABLE, "TRUE")
"""The query behind `read`: (bumps, time of the newest, projects deleted: Openfuse does that without telling anybody)."""
_COUNTED = 2**32


class Sql(Protocol):
    """What is needed of `sql.SqlClient`."""

    def rows(self, statement: str) -> Rows:
        """The rows of a query."""
        ...

    def run(self, statement: str) -> None:
        """A statement without rows."""
        ...


def read(sql: Sql) -> int:
    """The epoch of the store: a number that says nothing but whether it is still the same. Raises CallError."""
    return of(sql.rows(READ))


def of(rows: Rows) -> int:
    """The epoch in the answer to `READ`.

    Rows are only ever added, so each bump counts, also when two of them have one time. Where the database lets rows expire (ttl) the
    count goes back, and a bump at that moment is told by its time.
    """
    ((bumps, newest, deleted),) = rows
    return int(newest or 0) * _COUNTED + int(bumps) + int(deleted)


def bump(sql: Sql, reason: str) -> None:
    """Change the epoch. Several processes may at once; one time too many is harmless, so repeat after an unknown outcome.

    `reason` is for people who look into the table: the command and what it was about. Raises CallError.
    """
    values = f"{epoch_millis()}, {ddl.literal(reason)}"
    crash_point("greptimedb.epoch.before")
    sql.run(f"INSERT INTO {_TABLE} ({_AT}, {_REASON}) VALUES ({values})")  # noqa: S608
    crash_point("greptimedb.epoch.after")

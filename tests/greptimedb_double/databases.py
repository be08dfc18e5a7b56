"""All databases of a server, by name."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from tests.greptimedb_double.catalog import TABLE_OPTIONS, Table
from tests.greptimedb_double.database import Database
from tests.greptimedb_double.status import ServerError, StatusCode, invalid

FIRST_TABLE_ID = 1024
_SUFFIX = ".sqlite"


class Databases:
    """`public` is always there. With a directory, each is one file in it."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._by_name: dict[str, Database] = {}
        for path in sorted(directory.glob(f"*{_SUFFIX}")) if directory else ():
            self._open(path.stem)
        if "public" not in self._by_name:
            self._open("public")

    def _open(self, name: str) -> None:
        path = str(self._directory / (name + _SUFFIX)) if self._directory else ":memory:"
        self._by_name[name] = Database(name, path)

    def get(self, name: str) -> Database:
        """Raises DatabaseNotFound."""
        database = self._by_name.get(name)
        if database is None:
            raise ServerError(StatusCode.DATABASE_NOT_FOUND, f"Database not found: greptime.{name}")
        return database

    def all(self) -> list[Database]:
        return list(self._by_name.values())

    def create(self, name: str, options: dict[str, str], *, if_not_exists: bool) -> None:
        """Creates a database; an existing one is fine only with `if_not_exists`."""
        if name in self._by_name:
            if not if_not_exists:
                raise ServerError(StatusCode.DATABASE_ALREADY_EXISTS, f"Database {name} already exists")
            return
        if not re.fullmatch(r"[a-zA-Z_][\w\-]*", name):
            raise invalid(f"Invalid database name: {name}")
        self._open(name)
        self._by_name[name].set_options(checked_options(options))

    def drop(self, name: str, *, if_exists: bool) -> None:
        if name not in self._by_name and if_exists:
            return
        self.get(name).close()
        self._by_name.pop(name)
        if self._directory:
            (self._directory / (name + _SUFFIX)).unlink()

    def create_table(self, database: Database, table: Table) -> None:
        """Gives the table the next free id and, like the server, options it inherits for good from its database."""
        taken = [known.table_id for each in self._by_name.values() for known in each.tables.values()]
        inherited = {
            key: value
            for key, value in database.options.items()
            if not key.startswith(("ttl", "compaction.")) and key not in table.options
        }
        table_id = max(taken, default=FIRST_TABLE_ID - 1) + 1
        database.create(msgspec.structs.replace(table, table_id=table_id, options=inherited | table.options))

    def close(self) -> None:
        for database in self._by_name.values():
            database.close()


def checked_options(options: dict[str, str]) -> dict[str, str]:
    """Options of a database. Raises InvalidArguments for a key it does not know and for ttl 'instant'."""
    for key, value in options.items():
        if key not in TABLE_OPTIONS:
            raise invalid(f"Unrecognized database option key: {key}")
        if key == "ttl" and value == "instant":
            raise invalid("A database cannot have the ttl 'instant'")
    return options

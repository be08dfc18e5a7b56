"""The server behind both protocols: databases, row writes, and SQL, one request at a time."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec

from tests.greptimedb_double import sql, writes
from tests.greptimedb_double.catalog import Table
from tests.greptimedb_double.database import Database, presented
from tests.greptimedb_double.databases import Databases
from tests.greptimedb_double.sql import Answer
from tests.greptimedb_double.status import invalid
from tests.greptimedb_double.writes import Batch


class Instance:
    """Thread-safe. With a `directory`, databases are files there and survive the process."""

    def __init__(self, directory: Path | None = None, *, auto_create_table: bool = True) -> None:
        self.lock = threading.RLock()
        self.databases = Databases(directory)
        self.auto_create_table = auto_create_table

    def close(self) -> None:
        with self.lock:
            self.databases.close()

    def execute(self, text: str, database: str) -> list[Answer]:
        """Runs statements one after the other; raises at the first that fails."""
        with self.lock:
            return sql.execute(self.databases, text, database)

    def query(self, text: str, database: str) -> list[dict[str, Any]]:
        """The rows of the last statement, values as Python has them."""
        answer = self.execute(text, database)[-1]
        if isinstance(answer, int):
            return [{"affectedrows": answer}]
        return [
            {name: presented(value, kind) for name, kind, value in zip(answer.names, answer.types, row, strict=True)}
            for row in answer.rows
        ]

    def insert(self, name: str, batch: Batch, hints: dict[str, str]) -> int:
        """Writes one table's rows, creating the table and its missing columns first unless told not to."""
        with self.lock:
            database = self.databases.get(name)
            table = self._on_demand(database, batch, hints)
            writes.check(table, batch)
            names, rows = writes.filled(database, table, batch)
            database.write(table, names, rows)
            return len(rows)

    def _on_demand(self, database: Database, batch: Batch, hints: dict[str, str]) -> Table:
        table = database.tables.get(batch.table)
        disabled = self._auto_create_disabled(hints)
        if table is None:
            if disabled is not None:
                raise invalid(f"Invalid insert request, reason: Table `{batch.table}` does not exist, and {disabled}")
            self.databases.create_table(database, writes.created_for(batch, hints))
            return database.table(batch.table)
        added = writes.new_columns(table, batch)
        if added and disabled is None:
            altered = msgspec.structs.replace(table, columns=(*table.columns, *added))
            database.alter(table, altered)
            return altered
        return table

    def _auto_create_disabled(self, hints: dict[str, str]) -> str | None:
        hint = hints.get("auto_create_table", "true").lower()
        if hint not in ("true", "false"):
            raise invalid("`auto_create_table` hint must be a boolean")
        if not self.auto_create_table:
            return "auto-create table is disabled by frontend config"
        return "`auto_create_table` hint is disabled" if hint == "false" else None

    def delete(self, name: str, batch: Batch) -> int:
        """Deletes one table's rows by key. Raises TableNotFound; the number is that of keys, not of rows that were there."""
        with self.lock:
            database = self.databases.get(name)
            table = database.table(batch.table)
            database.check_deletable(table)
            return database.delete(table, writes.key_rows(table, batch))

    def drop_tables(self, names: frozenset[str]) -> None:
        """Loses these tables, or all of them, in every database."""
        with self.lock:
            for database in self.databases.all():
                for name in [name for name in database.tables if not names or name in names]:
                    database.drop(name)

    def set_files(self, table: str, files: int, database: str) -> None:
        """Makes region_statistics report that many SST files for a table."""
        with self.lock:
            found = self.databases.get(database)
            found.storage[found.table(table).name].files = [None] * files

"""One database in one sqlite file: its catalogue, its rows under the server's merge rules, its queries.

Not thread-safe; `Instance` holds the lock.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tests.greptimedb_double import functions
from tests.greptimedb_double.catalog import Column, Table
from tests.greptimedb_double.datatypes import DataType, of_declaration
from tests.greptimedb_double.status import ServerError, StatusCode, invalid

CATALOGUE = "double_catalogue"
Span = tuple[int, int]
_BLANKS = re.compile(r" (?=[(),.])|(?<=[(.]) ")
_EXTREME = re.compile(r"\b(?:min|max) \( ((?:\S+ \. )?`[^`]+`) \)", re.IGNORECASE)


class Records(msgspec.Struct, frozen=True):
    """A query's answer: values as they rest (see datatypes), types as far as they are known."""

    names: list[str]
    types: list[DataType]
    rows: list[tuple[Any, ...]]


class Storage(msgspec.Struct):
    """What region_statistics and ssts_manifest tell of a table: rows in the memtable, files on disk.

    A file is known by its least and greatest time in nanoseconds, None where it is that of all rows.
    """

    memtable_rows: int = 0
    files: list[Span | None] = []


class Database:
    """Tables and rows. `path` is a file, or `:memory:`."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.options: dict[str, str] = {}
        self.tables: dict[str, Table] = {}
        self.storage: dict[str, Storage] = {}
        self.sqlite = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.sqlite.execute("PRAGMA synchronous = OFF")
        functions.register(self.sqlite)
        self.sqlite.execute(f"CREATE TABLE IF NOT EXISTS {CATALOGUE} (name TEXT PRIMARY KEY, definition BLOB)")
        for key, definition in self.sqlite.execute(f"SELECT name, definition FROM {CATALOGUE}"):
            if key == "":
                self.options = msgspec.json.decode(definition)
            else:
                self._know(msgspec.json.decode(definition, type=Table))

    def close(self) -> None:
        self.sqlite.close()

    # catalogue

    def table(self, name: str) -> Table:
        """The table of that name. Raises TableNotFound."""
        table = self.tables.get(name)
        if table is None:
            raise ServerError(StatusCode.TABLE_NOT_FOUND, f"Table not found: greptime.{self.name}.{name}")
        return table

    def set_options(self, options: dict[str, str]) -> None:
        self.options = options
        self._save("", msgspec.json.encode(options))

    def create(self, table: Table) -> None:
        """Creates the table and, where rows merge, the unique key by which they do."""
        columns = ", ".join(f"{quote(column.name)} {column.type.declared}" for column in table.columns)
        self.sqlite.execute(f"CREATE TABLE {quote(table.name)} ({columns})")
        self._index(table)
        self._know(table)
        self._save(table.name, msgspec.json.encode(table))

    def _index(self, table: Table) -> None:
        unique = "" if table.append_mode else "UNIQUE "
        self.sqlite.execute(
            f"CREATE {unique}INDEX {quote('key of ' + table.name)} ON {quote(table.name)} ({_key(table)})"
        )

    def alter(self, old: Table, new: Table) -> None:
        """Makes `new` of `old`, and of the rows what the new columns ask."""
        if new.name != old.name and new.name in self.tables:
            raise ServerError(StatusCode.TABLE_ALREADY_EXISTS, f"Table already exists: {new.name}")
        for column in old.columns:
            if new.column(column.name) is None:
                self.sqlite.execute(f"ALTER TABLE {quote(old.name)} DROP COLUMN {quote(column.name)}")
        for column in new.columns:
            known = old.column(column.name)
            if known is None:
                self._add_column(old.name, column)
            elif known.type != column.type:
                self._retype(old.name, column)
        if new.name != old.name:
            self.sqlite.execute(f"ALTER TABLE {quote(old.name)} RENAME TO {quote(new.name)}")
        self.sqlite.execute(f"DROP INDEX {quote('key of ' + old.name)}")
        self._index(new)
        self.storage[new.name] = self.storage[old.name]
        self._forget(old.name)
        self._know(new)
        self._save(new.name, msgspec.json.encode(new))

    def _add_column(self, table: str, column: Column) -> None:
        self.sqlite.execute(f"ALTER TABLE {quote(table)} ADD COLUMN {quote(column.name)} {column.type.declared}")
        value = self.default(column)
        if value is not None:
            self.sqlite.execute(f"UPDATE {quote(table)} SET {quote(column.name)} = ?", (value,))

    def _retype(self, table: str, column: Column) -> None:
        name, kind = quote(column.name), column.type.declared
        self.sqlite.execute(f"ALTER TABLE {quote(table)} RENAME COLUMN {name} TO `double_retyped`")
        self.sqlite.execute(f"ALTER TABLE {quote(table)} ADD COLUMN {name} {kind}")
        self.sqlite.execute(f"UPDATE {quote(table)} SET {name} = greptime_cast(`double_retyped`, '{kind}')")
        self.sqlite.execute(f"ALTER TABLE {quote(table)} DROP COLUMN `double_retyped`")

    def drop(self, name: str) -> None:
        self.table(name)
        self.sqlite.execute(f"DROP TABLE {quote(name)}")
        self._forget(name)

    def _know(self, table: Table) -> None:
        self.tables[table.name] = table
        self.storage.setdefault(table.name, Storage())

    def _forget(self, name: str) -> None:
        self.tables.pop(name)
        if name in self.storage:
            self.storage.pop(name)
        self.sqlite.execute(f"DELETE FROM {CATALOGUE} WHERE name = ?", (name,))

    def _save(self, name: str, definition: bytes) -> None:
        self.sqlite.execute(f"INSERT OR REPLACE INTO {CATALOGUE} VALUES (?, ?)", (name, definition))

    def default(self, column: Column) -> Any:
        """What a row without that column holds there."""
        if column.default is None or column.default.upper() == "NULL":
            return None
        sql = f"SELECT greptime_cast({column.default}, '{column.type.declared}')"
        return self.sqlite.execute(sql).fetchone()[0]

    # rows

    def write(self, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Appends rows, or merges them in this order by the table's mode: all of them or, when one fails, none."""
        before = self.sqlite.total_changes
        self.sqlite.execute("BEGIN")
        try:
            cursor = self.sqlite.executemany(insert_sql(table, columns), rows)
        except BaseException:
            self.sqlite.execute("ROLLBACK")
            raise
        self.sqlite.execute("COMMIT")
        written = max(cursor.rowcount, self.sqlite.total_changes - before)
        self.storage[table.name].memtable_rows += written
        return written

    def delete(self, table: Table, keys: Sequence[Sequence[Any]]) -> int:
        """Deletes rows by full keys, in the order of `table.key`. Answers the number of keys, as the server does."""
        self.check_deletable(table)
        condition = " AND ".join(f"{quote(name)} IS ?" for name in table.key)
        self.sqlite.execute("BEGIN")
        self.sqlite.executemany(f"DELETE FROM {quote(table.name)} WHERE {condition}", keys)
        self.sqlite.execute("COMMIT")
        self.storage[table.name].memtable_rows += len(keys)
        return len(keys)

    @staticmethod
    def check_deletable(table: Table) -> None:
        """Raises InvalidArguments for a table in append mode."""
        if table.append_mode:
            raise invalid(f"Invalid request to region of {table.name}, reason: DELETE is not allowed under append mode")

    def spans(self, table: Table, window: int | None = None) -> list[Span]:
        """Least and greatest time of the rows in nanoseconds, or those of each window of so many seconds that has any."""
        time, unit = quote(table.time_index), table.ticks
        length = (window or 0) * unit
        grouped = f"GROUP BY {time} - (({time} % {length}) + {length}) % {length} ORDER BY 1" if length else ""
        rows = self._run(f"SELECT min({time}), max({time}) FROM {quote(table.name)} {grouped}")
        return [(first * (10**9 // unit), last * (10**9 // unit)) for first, last in rows if first is not None]

    # queries

    def execute(self, sql: str) -> int:
        """Runs a statement in sqlite's own SQL and counts the rows it changed."""
        return max(0, self._run(sql).rowcount)

    def select(self, sql: str, conditions: Mapping[int, bool] | None = None) -> Records:
        """Answers a query in sqlite's own SQL. `conditions` are the columns that hold true or false."""
        cursor = self._run(sql)
        names = [_BLANKS.sub("", column[0]).replace("`", "") for column in cursor.description]
        rows = cursor.fetchall()
        types = self._types(sql, rows, len(names))
        for at in (at for at, is_condition in (conditions or {}).items() if is_condition):
            types[at] = DataType("Boolean")
        return Records(names, types, rows)

    def _run(self, sql: str) -> sqlite3.Cursor:
        try:
            return self.sqlite.execute(sql)
        except sqlite3.Error as error:
            raise _translated(error, self.name) from error

    def _types(self, sql: str, rows: list[tuple[Any, ...]], width: int) -> list[DataType]:
        """Declared types where a column is one of a table's, or its least or greatest value, else what the first value suggests."""
        plain = _EXTREME.sub(r"\1", sql)
        self._run(f"CREATE TEMP VIEW double_described AS {plain}")
        described = self.sqlite.execute("PRAGMA temp.table_info(double_described)").fetchall()
        self.sqlite.execute("DROP VIEW temp.double_described")
        declared = [of_declaration(column[2]) for column in described]
        return [
            declared[at] or _suggested(next((r[at] for r in rows if r[at] is not None), None)) for at in range(width)
        ]


def _suggested(value: Any) -> DataType:
    names = {int: "Int64", float: "Float64", bytes: "Binary"}
    return DataType(names.get(type(value), "String"))


def quote(name: str) -> str:
    """An identifier for sqlite."""
    return "`" + name.replace("`", "``") + "`"


def _key(table: Table) -> str:
    """Key columns as index expressions: a missing tag is a value like any other, where NULLs would all differ."""
    nullable = {column.name for column in table.columns if column.nullable}
    return ", ".join(f"ifnull({quote(name)}, x'00')" if name in nullable else quote(name) for name in table.key)


def insert_sql(table: Table, columns: Sequence[str]) -> str:
    """An INSERT for these columns that merges as the table does: in the order of writing, by field or by row."""
    names = ", ".join(map(quote, columns))
    marks = ", ".join("?" * len(columns))
    insert = f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks})"
    if table.append_mode:
        return insert
    fields = [quote(name) for name in columns if name not in table.key]
    merged = "ifnull(excluded.{0}, {0})" if table.last_non_null else "excluded.{0}"
    updates = ", ".join(f"{field} = {merged.format(field)}" for field in fields)
    action = f"UPDATE SET {updates}" if updates else "NOTHING"
    return f"{insert} ON CONFLICT ({_key(table)}) DO {action}"


def _translated(error: sqlite3.Error, database: str) -> ServerError:
    text = str(error)
    if text.startswith("no such column"):
        return ServerError(StatusCode.PLAN_QUERY, f"Failed to plan SQL: No field named {text.split(': ', 1)[1]}.")
    if text.startswith("no such table"):
        return ServerError(StatusCode.TABLE_NOT_FOUND, f"Table not found: greptime.{database}.{text.split(': ', 1)[1]}")
    if text.startswith("no such function"):
        return ServerError(StatusCode.PLAN_QUERY, f"Failed to plan SQL: Invalid function {text.split(': ', 1)[1]}.")
    if "syntax error" in text or "unrecognized token" in text or "incomplete input" in text:
        return ServerError(StatusCode.INVALID_SYNTAX, f"Invalid SQL syntax: {text}")
    if "user-defined" in text:
        return ServerError(StatusCode.ENGINE_EXECUTE_QUERY, "A function refused its arguments")
    return ServerError(StatusCode.PLAN_QUERY, f"Failed to plan SQL: {text}")


def presented(value: Any, kind: DataType) -> Any:
    """A value at rest as Python would have it: bool, Decimal, parsed JSON, the rest as it is."""
    if value is None:
        return None
    if kind.name == "Boolean":
        return bool(value)
    if kind.name == "Decimal":
        return Decimal(value)
    if kind.name == "Json":
        return msgspec.json.decode(value)
    return value

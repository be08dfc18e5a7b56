"""What the server tells about itself: SHOW, DESC and the tables of information_schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from tests.greptimedb_double.catalog import Column, Table
from tests.greptimedb_double.database import Database, Records
from tests.greptimedb_double.databases import Databases
from tests.greptimedb_double.datatypes import DataType
from tests.greptimedb_double.lexer import Cursor
from tests.greptimedb_double.status import ServerError, StatusCode, syntax

STRING = DataType("String")
INTEGER = DataType("UInt64")
Rows = Iterator[tuple[Any, ...]]


def _schemata(databases: Databases) -> Rows:
    for database in databases.all():
        yield "greptime", database.name, "utf8", "utf8_bin", None, _options(database.options)


def _tables(databases: Databases) -> Rows:
    for database, table in _each(databases):
        yield (
            "greptime",
            database.name,
            table.name,
            "BASE TABLE",
            table.table_id,
            "mito",
            _options(table.options),
            table.options.get("comment"),
        )


def _columns(databases: Databases) -> Rows:
    for database, table in _each(databases):
        for position, column in enumerate(table.columns, start=1):
            semantic = table.semantic(column.name)
            yield (
                "greptime",
                database.name,
                table.name,
                column.name,
                position,
                {"TAG": "PRI", "TIMESTAMP": "TIME INDEX"}.get(semantic, ""),
                column.type.display,
                column.type.sql.lower(),
                semantic,
                column.default,
                "Yes" if column.nullable else "No",
                column.type.sql.lower(),
                column.comment,
            )


def _key_usage(databases: Databases) -> Rows:
    for database, table in _each(databases):
        for column in table.columns:
            names = ["TIME INDEX"] if column.name == table.time_index else []
            names += ["PRIMARY"] if column.name in table.primary_key else []
            for position, name in enumerate([*names, *(f"{kind} INDEX" for kind in column.indexes)], start=1):
                yield "def", database.name, name, "def", database.name, table.name, column.name, position


def _region_statistics(databases: Databases) -> Rows:
    for database, table in _each(databases):
        storage = database.storage[table.name]
        rows = database.select(f"SELECT count(*) FROM `{table.name}`").rows[0][0]
        region = table.table_id << 32
        sizes = (rows * 256, storage.memtable_rows * 256, 4096, rows * 256)
        yield region, table.table_id, 0, rows, *sizes, len(storage.files), 0, "mito", "Leader"


def _ssts_manifest(databases: Databases) -> Rows:
    for database, table in _each(databases):
        files = database.storage[table.name].files
        whole = next(iter(database.spans(table)), (None, None)) if None in files else (None, None)
        for number, span in enumerate(files):
            yield table.table_id << 32, table.table_id, 0, f"file-{number}", *(span or whole), 1


def _partitions(databases: Databases) -> Rows:
    for database, table in _each(databases):
        yield "greptime", database.name, table.name, "p0", 1, table.partitions or None, table.table_id << 32


# Columns by name, integers marked with #; only those a client asks for are here.
INFORMATION: dict[str, tuple[str, Callable[[Databases], Rows]]] = {
    "schemata": (
        "catalog_name schema_name default_character_set_name default_collation_name sql_path options",
        _schemata,
    ),
    "tables": (
        "table_catalog table_schema table_name table_type #table_id engine create_options table_comment",
        _tables,
    ),
    "columns": (
        "table_catalog table_schema table_name column_name #ordinal_position column_key greptime_data_type data_type"
        " semantic_type column_default is_nullable column_type column_comment",
        _columns,
    ),
    "key_column_usage": (
        "constraint_catalog constraint_schema constraint_name table_catalog table_schema table_name column_name"
        " #ordinal_position",
        _key_usage,
    ),
    "region_statistics": (
        "#region_id #table_id #region_number #region_rows #disk_size #memtable_size #manifest_size #sst_size #sst_num"
        " #index_size engine region_role",
        _region_statistics,
    ),
    "ssts_manifest": (
        "#region_id #table_id #region_number file_id #min_ts #max_ts #visible",
        _ssts_manifest,
    ),
    "partitions": (
        "table_catalog table_schema table_name partition_name #partition_ordinal_position partition_expression"
        " #greptime_partition_id",
        _partitions,
    ),
}


def _each(databases: Databases) -> Iterator[tuple[Database, Table]]:
    for database in databases.all():
        for table in database.tables.values():
            yield database, table


def fill_information(connection: sqlite3.Connection, databases: Databases, name: str) -> Table:
    """Puts a table of information_schema where queries of this connection find it, and describes it."""
    if name not in INFORMATION:
        raise ServerError(StatusCode.TABLE_NOT_FOUND, f"Table not found: greptime.information_schema.{name}")
    header, rows = INFORMATION[name]
    columns = tuple(Column(word.lstrip("#"), INTEGER if word[0] == "#" else STRING) for word in header.split())
    target = f"temp.`information_schema_{name}`"
    connection.execute(f"DROP TABLE IF EXISTS {target}")
    connection.execute(f"CREATE TABLE {target} ({', '.join(f'`{c.name}` {c.type.declared}' for c in columns)})")
    connection.executemany(f"INSERT INTO {target} VALUES ({', '.join('?' * len(columns))})", list(rows(databases)))
    return Table(name, columns, (), "")


def show(databases: Databases, cursor: Cursor, database: str) -> Records:
    """Reads and answers what follows SHOW."""
    cursor.take("FULL")
    if cursor.take("DATABASES") or cursor.take("SCHEMAS"):
        return _listing(["Database"], cursor, [(each.name,) for each in databases.all()])
    if cursor.take("TABLES"):
        name = _of_database(cursor, database)
        return _listing([f"Tables_in_{name}"], cursor, [(table,) for table in sorted(databases.get(name).tables)])
    if cursor.take("CREATE", "DATABASE"):
        found = databases.get(cursor.name())
        return _strings(["Database", "Create Database"], [(found.name, _create_database(found))])
    if cursor.take("CREATE", "TABLE"):
        owner, name = cursor.qualified()
        table = databases.get(owner or database).table(name)
        return _strings(["Table", "Create Table"], [(name, create_statement(table))])
    if cursor.take("COLUMNS"):
        return describe(databases, cursor, database)
    if cursor.take("INDEX") or cursor.take("INDEXES"):
        return _indexes(databases, cursor, database)
    raise syntax(f"Unsupported SHOW statement: {cursor.peek().text}")


def _of_database(cursor: Cursor, default: str) -> str:
    return cursor.name() if cursor.take("FROM") or cursor.take("IN") else default


def _listing(names: list[str], cursor: Cursor, rows: list[tuple[Any, ...]]) -> Records:
    """The rows, or those whose name is LIKE a pattern that % may end or begin."""
    if cursor.take("LIKE"):
        pattern = cursor.value()
        word = pattern.strip("%")
        rows = [row for row in rows if (word in row[0] if pattern != word else word == row[0])]
    cursor.done()
    return _strings(names, rows)


def _strings(names: list[str], rows: list[tuple[Any, ...]]) -> Records:
    return Records(names, [STRING] * len(names), rows)


def describe(databases: Databases, cursor: Cursor, database: str) -> Records:
    """DESC [TABLE] t, SHOW COLUMNS FROM t"""
    cursor.take("TABLE")
    cursor.take("FROM")
    owner, name = cursor.qualified()
    table = databases.get(owner or database).table(name)
    rows = [
        (
            column.name,
            column.type.display,
            "PRI" if column.name in table.key else "",
            "YES" if column.nullable else "NO",
            column.default or "",
            table.semantic(column.name),
        )
        for column in table.columns
    ]
    return _strings(["Column", "Type", "Key", "Null", "Default", "Semantic Type"], rows)


def _indexes(databases: Databases, cursor: Cursor, database: str) -> Records:
    cursor.expect("FROM")
    owner, name = cursor.qualified()
    table = databases.get(owner or database).table(name)
    rows = [
        (name, index, at, column.name)
        for column in table.columns
        for at, index in enumerate([*_key_names(table, column), *(f"{kind} INDEX" for kind in column.indexes)], start=1)
    ]
    return _strings(["Table", "Key_name", "Seq_in_index", "Column_name"], rows)


def _key_names(table: Table, column: Column) -> list[str]:
    return {"TAG": ["PRIMARY"], "TIMESTAMP": ["TIME INDEX"]}.get(table.semantic(column.name), [])


def _options(options: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(options.items()))


def _create_database(database: Database) -> str:
    options = ",\n".join(f"  '{key}' = '{value}'" for key, value in sorted(database.options.items()))
    return f"CREATE DATABASE IF NOT EXISTS `{database.name}`" + (f"\nWITH(\n{options}\n)" if options else "")


def create_statement(table: Table) -> str:
    """A CREATE TABLE that makes the same table again."""
    lines = [f"  {_column_line(column)}" for column in table.columns]
    lines.append(f"  TIME INDEX (`{table.time_index}`)")
    if table.primary_key:
        lines.append(f"  PRIMARY KEY ({', '.join(f'`{name}`' for name in table.primary_key)})")
    options = ",\n".join(f"  '{key}' = '{value}'" for key, value in sorted(table.options.items()))
    body = ",\n".join(lines)
    partitions = f"\n{table.partitions}" if table.partitions else ""
    return f"CREATE TABLE IF NOT EXISTS `{table.name}` (\n{body}\n){partitions}\nENGINE=mito" + (
        f"\nWITH(\n{options}\n)" if options else ""
    )


def _column_line(column: Column) -> str:
    parts = [f"`{column.name}` {column.type.sql}", "NULL" if column.nullable else "NOT NULL"]
    if column.default is not None:
        parts.append(f"DEFAULT {column.default}")
    if column.comment is not None:
        parts.append("COMMENT '" + column.comment.replace("'", "''") + "'")
    for kind, options in column.indexes.items():
        given = ", ".join(f"{key} = '{value}'" for key, value in sorted(options.items()))
        parts.append(f"{kind} INDEX" + (f" WITH({given})" if given else ""))
    return " ".join(parts)

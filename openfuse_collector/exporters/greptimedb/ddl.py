"""SQL for the tables of `schema`. Every identifier is quoted: id, key, value, type, level, timestamp and more are keywords."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from openfuse_collector.exporters.greptimedb.partitions import partition_column, ranges
from openfuse_collector.exporters.greptimedb.schema import TABLES, Column, Table

Present = Mapping[str, Mapping[str, Collection[str]]]
"""What there is: table -> column -> kinds of its indexes."""

_EPOCH = datetime(1970, 1, 1)
_OPTIONS = {
    True: {"append_mode": "true"},
    False: {"merge_mode": "last_non_null", "sst_format": "flat"},
}


def quoted(name: str) -> str:
    """An identifier. Backticks work over HTTP and over MySQL."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """A string. The server knows no backslash escapes over HTTP."""
    return "'" + text.replace("'", "''") + "'"


def moment(millis: int) -> str:
    """A time to compare a column with, from epoch milliseconds; connections are in UTC."""
    return literal((_EPOCH + timedelta(milliseconds=millis)).isoformat(" ", "milliseconds"))


def select(what: Iterable[str], table: str, where: str) -> str:
    """A query; what to select and the condition are SQL already."""
    return f"SELECT {', '.join(what)} FROM {table} WHERE {where}"  # noqa: S608


def create_database(name: str) -> str:
    """For a connection to any database."""
    return f"CREATE DATABASE IF NOT EXISTS {quoted(name)}"


def set_ttl(database: str, ttl: str) -> str:
    """The name stays unquoted: GreptimeDB refuses quoted ones here, with error 1210."""
    return f"ALTER DATABASE {database} SET 'ttl'={literal(ttl)}"


def create_table(table: Table, partitions: int = 1) -> str:
    """The table as it is today, with the first index of each column."""
    lines = [_column(column) for column in table.columns]
    lines.append(f"TIME INDEX ({quoted(table.time_index)})")
    lines.append(f"PRIMARY KEY ({', '.join(map(quoted, table.primary_key))})")
    options = ", ".join(f"{key!r} = {value!r}" for key, value in _OPTIONS[table.append].items())
    body = ",\n  ".join(lines)
    divided = _partitions(table, partitions)
    return f"CREATE TABLE IF NOT EXISTS {quoted(table.name)} (\n  {body}\n)\n{divided}ENGINE=mito\nWITH ({options})"


def _partitions(table: Table, count: int) -> str:
    column = partition_column(table)
    if count == 1 or column is None:
        return ""
    conditions = ",\n  ".join(ranges(quoted(column), count))
    return f"PARTITION ON COLUMNS ({quoted(column)}) (\n  {conditions}\n)\n"


def add_column(table: Table, column: Column) -> str:
    """The definition without indexes."""
    return f"ALTER TABLE {quoted(table.name)} ADD COLUMN {_definition(column)}"


def set_index(table: Table, column: Column, index: str) -> str:
    """Setting an index again that is there is no error and changes nothing."""
    return f"ALTER TABLE {quoted(table.name)} MODIFY COLUMN {quoted(column.name)} SET {index}"


def index_kind(index: str) -> str:
    """INVERTED, SKIPPING or FULLTEXT: a column has at most one of each."""
    return index.partition(" ")[0]


def merging(table: Table) -> Iterator[str]:
    """The options that say what becomes of rows with one key and time, as `key=value`."""
    return (f"{key}={value}" for key, value in _OPTIONS[table.append].items() if key in ("append_mode", "merge_mode"))


def creation(table: Table, partitions: int = 1) -> Iterator[str]:
    """The statements that make one table."""
    yield create_table(table, partitions)
    for column in table.columns:
        yield from (set_index(table, column, index) for index in column.indexes[1:])


def missing(present: Present, partitions: int = 1) -> Iterator[str]:
    """The statements between what is there and what should be; none when nothing is missing.

    `partitions` is for tables that have to be created. An index is there when one of its kind is, whatever its options.
    """
    for table in TABLES.values():
        if table.name not in present:
            yield from creation(table, partitions)
            continue
        for column in table.columns:
            there = present[table.name].get(column.name)
            if there is None:
                yield add_column(table, column)
            for index in missing_indexes(column, there or ()):
                yield set_index(table, column, index)


def missing_indexes(column: Column, there: Collection[str]) -> Iterator[str]:
    """The indexes of a column that has those kinds already."""
    return (index for index in column.indexes if index_kind(index) not in there)


def _column(column: Column) -> str:
    return " ".join((_definition(column), *column.indexes[:1]))


def _definition(column: Column) -> str:
    null = "NULL" if column.nullable else "NOT NULL"
    default = (f"DEFAULT {column.default}",) if column.default else ()
    return " ".join((quoted(column.name), column.type, null, *default))

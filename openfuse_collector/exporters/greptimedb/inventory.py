"""What a database has already: tables, columns and indexes, as the server's information_schema tells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from openfuse_collector.exporters.greptimedb import ddl
from openfuse_collector.exporters.greptimedb.sql import Rows, SqlClient

_PAIR = re.compile(r"([\w.]+) *= *(\S+)")

ADMINISTRATION = "public"
"""A database that is always there, for questions about one that may not be."""

INDEX_KINDS = frozenset(("INVERTED", "SKIPPING", "FULLTEXT"))

SERVER_TYPES: Final = {
    "TIMESTAMP(3)": "TimestampMillisecond",
    "TIMESTAMP(9)": "TimestampNanosecond",
    "STRING": "String",
    "JSON": "Json",
    "BOOLEAN": "Boolean",
    "INT": "Int32",
    "BIGINT": "Int64",
    "DOUBLE": "Float64",
    "DECIMAL(38, 12)": "Decimal(38, 12)",
    "BINARY": "Binary",
}
"""Type in SQL -> the server's own name, as `greptime_data_type` has it."""


@dataclass
class FoundColumn:
    """A column as the server has it."""

    kind: str
    """TAG, FIELD or TIMESTAMP."""
    type: str
    """The server's own name of the type, such as TimestampMillisecond."""
    indexes: set[str] = field(default_factory=set)
    """Of INDEX_KINDS."""


@dataclass
class FoundTable:
    """A table as the server has it."""

    options: frozenset[str] = frozenset()
    """`key=value` each."""
    columns: dict[str, FoundColumn] = field(default_factory=dict)


Inventory = dict[str, FoundTable]
"""By table name."""


def inventory(client: SqlClient, database: str) -> Inventory:
    """Everything in the database; nothing when there is no such database. Raises CallError."""

    def rows(table: str, *columns: str) -> Rows:
        query = ddl.select(columns, f"information_schema.{table}", f"table_schema = {ddl.literal(database)}")
        return client.rows(query, ADMINISTRATION)

    found = {
        name: FoundTable(_options(options or _definition(client, database, name)))
        for name, options in rows("tables", "table_name", "create_options")
    }
    for table, column, kind, type_ in rows(
        "columns", "table_name", "column_name", "semantic_type", "greptime_data_type"
    ):
        if table in found:
            found[table].columns[column] = FoundColumn(kind, type_)
    for table, column, constraints in rows("key_column_usage", "table_name", "column_name", "constraint_name"):
        if table in found and column in found[table].columns:
            found[table].columns[column].indexes.update(_kinds(constraints))
    return found


def _definition(client: SqlClient, database: str, table: str) -> str:
    """CREATE TABLE as the server would write it: for tables of which `create_options` says nothing."""
    ((_, statement),) = client.rows(f"SHOW CREATE TABLE {ddl.quoted(table)}", database)
    return str(statement)


def _options(text: str) -> frozenset[str]:
    """The pairs in `append_mode=true ttl=7days`, or in the WITH clause of a statement."""
    for mark in "'\",()":
        text = text.replace(mark, " ")
    return frozenset("=".join(pair) for pair in _PAIR.findall(text))


def _kinds(constraints: str) -> Iterable[str]:
    """Of `INVERTED INDEX`, or of several in one text, `PRIMARY, INVERTED INDEX`."""
    return INDEX_KINDS.intersection(constraints.replace(",", " ").split())


def same_type(found: str, sql: str) -> bool:
    """Whether a type of the server is the one that SQL calls so. Blanks and case say nothing."""
    return _plain(found) == _plain(SERVER_TYPES[sql])


def _plain(name: str) -> str:
    return name.replace(" ", "").lower()

"""Brings a database up to date: creates what is missing, remembers what was applied, and tells what differs.

Openfuse's own runner keeps no ledger and runs all of its migrations on every start. Both may run first, or at the same time: each
statement here passes over what is there already. What ours has applied is in `openfuse_schema_migrations`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from openfuse_collector.exporters.greptimedb import ddl
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.errors import ALREADY_THERE, CallError, Cause
from openfuse_collector.exporters.greptimedb.schema import LEDGER, TABLES, Table
from openfuse_collector.exporters.greptimedb.sql import SqlClient, StatementError

VERSION = "0004 store epoch, settle marks, retention"
"""Name of the newest state of `schema`. Give it a new number whenever a table or column is added there."""

_ADMINISTRATION = "public"
"""A database that is always there, for the statement that creates ours."""


class Difference(NamedTuple):
    """One thing in which the database is not what `schema` says. `statement` puts it right, if anything does."""

    what: str
    statement: str | None = None


def ensure(client: SqlClient, config: GreptimedbConfig, collector: str) -> int:
    """`apply`, unless the ledger says that it was done. Gives the number of statements that changed something."""
    if _recorded(client):
        if config.ttl is not None:
            client.run(ddl.set_ttl(config.database, config.ttl))
        return 0
    return apply(client, config, collector)


def apply(client: SqlClient, config: GreptimedbConfig, collector: str) -> int:
    """Creates the database and whatever is missing in it. Idempotent, and safe beside others doing the same. Raises CallError.

    Gives the number of statements for tables and columns that were missing.
    """
    client.run(ddl.create_database(config.database), _ADMINISTRATION)
    if config.ttl is not None:
        client.run(ddl.set_ttl(config.database, config.ttl))
    statements = list(ddl.missing(_columns(client, config.database)))
    for statement in statements:
        try:
            client.run(statement)
        except StatementError as error:  # somebody else has just done it
            if error.code not in ALREADY_THERE:
                raise
    if not _recorded(client):
        client.run(_record(collector))
    return len(statements)


def differences(client: SqlClient, database: str) -> Iterator[Difference]:
    """What is missing or of another kind. Extra tables and columns are nobody's business. Raises CallError."""
    kinds = _kinds(client, database)
    present = {name: frozenset(columns) for name, columns in kinds.items()}
    for table in TABLES.values():
        if table.name not in present:
            yield Difference(f"table {table.name} is missing", ddl.create_table(table))
        else:
            yield from _column_differences(table, kinds[table.name])


def _column_differences(table: Table, found: dict[str, str]) -> Iterator[Difference]:
    for column in table.columns:
        name = f"{table.name}.{column.name}"
        if column.name not in found:
            yield Difference(f"column {name} is missing", ddl.add_column(table, column))
        elif found[column.name] != (wanted := _semantic(table, column.name)):
            yield Difference(f"column {name} is {found[column.name]}, not {wanted}: it cannot be changed")


def _semantic(table: Table, column: str) -> str:
    return "TIMESTAMP" if column == table.time_index else "TAG" if column in table.primary_key else "FIELD"


def _recorded(client: SqlClient) -> bool:
    """Whether this state was applied, as the ledger has it. A database or ledger that is not there says no."""
    try:
        name = ddl.quoted("name")
        query = ddl.select([name], ddl.quoted(LEDGER.name), f"{name} = {ddl.literal(VERSION)} LIMIT 1")
        return bool(client.rows(query))
    except CallError as error:
        if error.cause is Cause.SCHEMA:
            return False
        raise


def _record(collector: str) -> str:
    names = ", ".join(map(ddl.quoted, ("applied_at", "name", "collector")))
    values = f"{time.time_ns() // 1_000_000}, {ddl.literal(VERSION)}, {ddl.literal(collector)}"
    return f"INSERT INTO {ddl.quoted(LEDGER.name)} ({names}) VALUES ({values})"  # noqa: S608


def _columns(client: SqlClient, database: str) -> dict[str, frozenset[str]]:
    return {table: frozenset(columns) for table, columns in _kinds(client, database).items()}


def _kinds(client: SqlClient, database: str) -> dict[str, dict[str, str]]:
    """Table -> column -> TAG, FIELD or TIMESTAMP, of everything in the database."""
    columns = ("table_name", "column_name", "semantic_type")
    query = ddl.select(columns, "information_schema.columns", f"table_schema = {ddl.literal(database)}")
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in client.rows(query, _ADMINISTRATION):  # ours may not exist yet
        found.setdefault(table, {})[column] = kind
    return found

"""Brings a database up to date: creates what is missing, remembers what was applied, and tells what differs.

Openfuse's own runner keeps no ledger and runs all of its migrations on every start. Both may run first, or at the same time: each
statement here passes over what is there already. What ours has applied is in `openfuse_schema_migrations`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from openfuse_collector.clock import epoch_millis
from openfuse_collector.exporters.greptimedb import ddl
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.errors import ALREADY_THERE, CallError, Cause
from openfuse_collector.exporters.greptimedb.inventory import (
    ADMINISTRATION,
    SERVER_TYPES,
    FoundColumn,
    FoundTable,
    Inventory,
    inventory,
    same_type,
)
from openfuse_collector.exporters.greptimedb.schema import LEDGER, TABLES, Column, Table
from openfuse_collector.exporters.greptimedb.sql import SqlClient, StatementError

VERSION = "0005 dead letters"
"""Name of the newest state of `schema`. Give it a new number whenever a table or column is added there."""


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


def apply(client: SqlClient, config: GreptimedbConfig, collector: str, partitions: int = 1) -> int:
    """Creates the database and whatever is missing in it. Idempotent, and safe beside others doing the same. Raises CallError.

    New tables get so many partitions. Gives the number of statements for tables, columns and indexes that were missing.
    """
    client.run(ddl.create_database(config.database), ADMINISTRATION)
    if config.ttl is not None:
        client.run(ddl.set_ttl(config.database, config.ttl))
    statements = list(ddl.missing(_present(inventory(client, config.database)), partitions))
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
    """What is missing or otherwise than it should be. Extra tables, columns and indexes are nobody's business. Raises CallError."""
    found = inventory(client, database)
    for table in TABLES.values():
        if table.name not in found:
            yield Difference(f"table {table.name} is missing", ddl.create_table(table))
            continue
        yield from _option_differences(table, found[table.name])
        for column in table.columns:
            yield from _column_differences(table, column, found[table.name].columns.get(column.name))


def _option_differences(table: Table, found: FoundTable) -> Iterator[Difference]:
    for option in ddl.merging(table):
        if option not in found.options:
            yield Difference(
                f"table {table.name} lacks {option}: it cannot be changed, rows of one key merge otherwise"
            )


def _column_differences(table: Table, column: Column, found: FoundColumn | None) -> Iterator[Difference]:
    name = f"{table.name}.{column.name}"
    if found is None:
        yield Difference(f"column {name} is missing", ddl.add_column(table, column))
        return
    if found.kind != (wanted := _semantic(table, column.name)):
        yield Difference(f"column {name} is {found.kind}, not {wanted}: it cannot be changed")
    if not same_type(found.type, column.type):
        yield Difference(f"column {name} is of type {found.type}, not {SERVER_TYPES[column.type]}: it is left alone")
    for index in ddl.missing_indexes(column, found.indexes):
        statement = ddl.set_index(table, column, index)
        yield Difference(f"column {name} has no {ddl.index_kind(index)} index", statement)


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
    values = f"{epoch_millis()}, {ddl.literal(VERSION)}, {ddl.literal(collector)}"
    return f"INSERT INTO {ddl.quoted(LEDGER.name)} ({names}) VALUES ({values})"  # noqa: S608


def _present(found: Inventory) -> ddl.Present:
    return {name: {column: has.indexes for column, has in table.columns.items()} for name, table in found.items()}

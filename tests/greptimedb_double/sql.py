"""Statements: read the first words, do the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tests.greptimedb_double import ddl, show
from tests.greptimedb_double.catalog import Table
from tests.greptimedb_double.database import Database, Records, quote
from tests.greptimedb_double.databases import Databases, checked_options
from tests.greptimedb_double.functions import cast
from tests.greptimedb_double.lexer import Cursor, Token, statements
from tests.greptimedb_double.status import ServerError, StatusCode, invalid, syntax
from tests.greptimedb_double.translate import INFORMATION_SCHEMA, Translation, boolean_items, referenced
from tests.greptimedb_double.writes import Batch, Sent, check, filled

Answer = Records | int
MOST_FILES = 384


def execute(databases: Databases, text: str, database: str) -> list[Answer]:
    """Runs every statement of the text; raises ServerError at the first that fails, later ones do not run."""
    answers = [_run(databases, statement, database) for statement in statements(text)]
    if not answers:
        raise syntax("No statement found")
    return answers


def _run(databases: Databases, statement: list[Token], database: str) -> Answer:
    cursor = Cursor(statement)
    for words, run in _STATEMENTS.items():
        if cursor.take(*words.split()):
            return run(databases, cursor, database)
    raise syntax(f"Unsupported statement: {statement[0].text}")


def _create_database(databases: Databases, cursor: Cursor, database: str) -> Answer:
    if_not_exists = cursor.take("IF", "NOT", "EXISTS")
    name = cursor.name()
    options = ddl.options_of(cursor) if cursor.take("WITH") else {}
    cursor.done()
    databases.create(name, options, if_not_exists=if_not_exists)
    return 1


def _drop_database(databases: Databases, cursor: Cursor, database: str) -> Answer:
    if_exists = cursor.take("IF", "EXISTS")
    databases.drop(cursor.name(), if_exists=if_exists)
    return 0


def _alter_database(databases: Databases, cursor: Cursor, database: str) -> Answer:
    """Unlike CREATE, this one refuses a quoted name (seen by Openfuse as MySQL error 1210)."""
    if cursor.peek().kind == "quoted":
        raise invalid(f"Invalid database name: {cursor.peek().text}")
    target = databases.get(cursor.name())
    if cursor.take("UNSET"):
        key = cursor.value()
        target.set_options({name: value for name, value in target.options.items() if name != key})
        return 0
    cursor.expect("SET")
    key = cursor.value()
    cursor.expect("=")
    target.set_options(checked_options(target.options | {key: cursor.value()}))
    cursor.done()
    return 0


def _create_table(databases: Databases, cursor: Cursor, database: str) -> Answer:
    created = ddl.create_table(cursor)
    target = databases.get(created.database or database)
    if created.table.name in target.tables:
        if not created.if_not_exists:
            raise ServerError(StatusCode.TABLE_ALREADY_EXISTS, f"Table already exists: {created.table.name}")
        return 0
    databases.create_table(target, created.table)
    return 0


def _alter_table(databases: Databases, cursor: Cursor, database: str) -> Answer:
    owner, name = cursor.qualified()
    target = databases.get(owner or database)
    old = target.table(name)
    new = old
    for change in ddl.alter_table(cursor):
        new = change(new)
    if new != old:
        target.alter(old, new)
    return 0


def _drop_table(databases: Databases, cursor: Cursor, database: str) -> Answer:
    if_exists = cursor.take("IF", "EXISTS")
    owner, name = cursor.qualified()
    cursor.done()
    target = databases.get(owner or database)
    if name in target.tables or not if_exists:
        target.drop(name)
    return 0


def _truncate(databases: Databases, cursor: Cursor, database: str) -> Answer:
    cursor.take("TABLE")
    owner, name = cursor.qualified()
    target = databases.get(owner or database)
    target.execute(f"DELETE FROM {quote(target.table(name).name)}")
    return 0


def _use(databases: Databases, cursor: Cursor, database: str) -> Answer:
    databases.get(cursor.name())
    return 0


def _describe(databases: Databases, cursor: Cursor, database: str) -> Answer:
    return show.describe(databases, cursor, database)


def _admin(databases: Databases, cursor: Cursor, database: str) -> Answer:
    """ADMIN function(literals): a flush makes one file of the memtable, a compaction one of all or of each window of time."""
    function = cursor.name()
    cursor.expect("(")
    arguments = [cursor.value()]
    while cursor.take(","):
        arguments.append(cursor.value())
    cursor.expect(")")
    if function not in ("flush_table", "compact_table", "build_index"):
        raise ServerError(StatusCode.UNSUPPORTED, f"Unsupported ADMIN function: {function}")
    target = databases.get(database)
    table = target.table(arguments[0].split(".")[-1].strip("`"))
    storage = target.storage[table.name]
    if function == "flush_table" and storage.memtable_rows:
        storage.memtable_rows, storage.files = 0, [*storage.files, None]
    elif function == "compact_table" and storage.files:
        window = int(arguments[2]) if arguments[1:2] == ["strict_window"] else None
        storage.files = list(target.spans(table, window))
    return Records([f"ADMIN {function}"], [show.INTEGER], [(0,)])


def _translated(databases: Databases, statement: list[Token], database: str) -> tuple[Database, str]:
    """The statement in sqlite's SQL, and the database it is about; its tables may name another than the current one."""
    tables: dict[str, Table] = {}
    sources = referenced(statement)
    owners = {owner for owner, _ in sources if owner not in (None, INFORMATION_SCHEMA)}
    if len(owners) > 1:
        raise ServerError(StatusCode.UNSUPPORTED, "One statement over several databases is not served here")
    target = databases.get(next(iter(owners)) or database if owners else database)
    for owner, name in sources:
        if owner == INFORMATION_SCHEMA:
            tables[f"{INFORMATION_SCHEMA}.{name}"] = show.fill_information(target.sqlite, databases, name)
        else:
            tables[name] = target.table(name)
            _check_readable(target, name)
    return target, Translation(statement, target.name, tables).sql()


def _check_readable(database: Database, name: str) -> None:
    """Raises RateLimited where a region has more files than may be open in one scan (max_concurrent_scan_files)."""
    files = len(database.storage[name].files)
    if files > MOST_FILES:
        message = f"Too many files to read concurrently: {files}, max allowed: {MOST_FILES}"
        raise ServerError(StatusCode.RATE_LIMITED, message)


def _select(first: str) -> Callable[[Databases, Cursor, str], Answer]:
    def run(databases: Databases, cursor: Cursor, database: str) -> Answer:
        statement = [Token("word", first), *cursor.rest()]
        target, sql = _translated(databases, statement, database)
        return target.select(sql, boolean_items(statement) if first == "SELECT" else None)

    return run


def _delete(databases: Databases, cursor: Cursor, database: str) -> Answer:
    statement = [Token("word", "DELETE"), Token("word", "FROM"), *cursor.rest()]
    owner, name = cursor.qualified()
    target = databases.get(owner or database)
    target.check_deletable(target.table(name))
    found, sql = _translated(databases, statement, database)
    count = found.execute(sql)
    found.storage[name].memtable_rows += count
    return count


def _insert(databases: Databases, cursor: Cursor, database: str) -> Answer:
    """INSERT INTO t [(columns)] VALUES … | SELECT …, with the conversions the server makes on the way."""
    owner, name = cursor.qualified()
    target = databases.get(owner or database)
    table = target.table(name)
    names = [column.name for column in table.columns]
    if cursor.peek().text == "(":
        names = ddl.names(cursor)
    _, sql = _translated(databases, cursor.rest(), owner or database)
    columns = tuple(_sent(table, column) for column in names)
    rows = [_converted(columns, row) for row in target.select(sql).rows]
    batch = Batch(name, columns, rows)
    check(table, batch)
    return target.write(table, *filled(target, table, batch))


def _sent(table: Table, name: str) -> Sent:
    column = table.column(name)
    if column is None:
        raise ServerError(StatusCode.COLUMN_NOT_FOUND, f"Column {name} not found in table {table.name}")
    return Sent(name, column.type, table.semantic(name))


def _converted(columns: tuple[Sent, ...], row: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(row) != len(columns):
        raise invalid(f"Expected {len(columns)} values, found {len(row)}")
    try:
        return tuple(cast(value, column.type.declared) for column, value in zip(columns, row, strict=True))
    except (ValueError, KeyError, TypeError, AttributeError, msgspec.DecodeError) as error:
        raise invalid(f"Failed to convert a value: {error}") from error


_STATEMENTS: dict[str, Callable[[Databases, Cursor, str], Answer]] = {
    "CREATE DATABASE": _create_database,
    "CREATE SCHEMA": _create_database,
    "CREATE TABLE": _create_table,
    "DROP DATABASE": _drop_database,
    "DROP TABLE": _drop_table,
    "ALTER DATABASE": _alter_database,
    "ALTER TABLE": _alter_table,
    "TRUNCATE": _truncate,
    "USE": _use,
    "SHOW": show.show,
    "DESCRIBE": _describe,
    "DESC": _describe,
    "ADMIN": _admin,
    "SELECT": _select("SELECT"),
    "WITH": _select("WITH"),
    "DELETE FROM": _delete,
    "INSERT INTO": _insert,
}

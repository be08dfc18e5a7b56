"""CREATE TABLE and ALTER TABLE: the grammar, and what each clause makes of a table."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tests.greptimedb_double.catalog import Column, Table, checked
from tests.greptimedb_double.datatypes import DataType, of_spelling
from tests.greptimedb_double.lexer import Cursor
from tests.greptimedb_double.status import ServerError, StatusCode, invalid, syntax

INDEX_DEFAULTS = {
    "INVERTED": {},
    "SKIPPING": {"granularity": "10240", "type": "BLOOM", "false_positive_rate": "0.01"},
    "FULLTEXT": {"analyzer": "English", "backend": "bloom", "case_sensitive": "false"},
}
INDEX_OPTIONS = {
    "INVERTED": frozenset[str](),
    "SKIPPING": frozenset({"granularity", "type", "false_positive_rate"}),
    "FULLTEXT": frozenset({"analyzer", "backend", "case_sensitive", "granularity", "false_positive_rate"}),
}


class CreateTable(msgspec.Struct, frozen=True):
    """A CREATE TABLE statement."""

    database: str | None
    table: Table
    if_not_exists: bool


class _Definition:
    """What the parts of a CREATE TABLE have said so far."""

    def __init__(self) -> None:
        self.columns: list[Column] = []
        self.primary_key: list[str] = []
        self.time_index: list[str] = []


def create_table(cursor: Cursor) -> CreateTable:
    """Reads what follows CREATE TABLE."""
    if_not_exists = cursor.take("IF", "NOT", "EXISTS")
    database, name = cursor.qualified()
    parts = _Definition()
    cursor.expect("(")
    while True:
        _item(cursor, parts)
        if not cursor.take(","):
            break
    cursor.expect(")")
    partitions = _partitions(cursor)
    if cursor.take("ENGINE"):
        cursor.expect("=")
        if cursor.value().lower() != "mito":
            raise ServerError(StatusCode.UNSUPPORTED, "Only tables of engine mito are served here")
    options = options_of(cursor) if cursor.take("WITH") else {}
    cursor.done()
    if len(parts.time_index) != 1:
        raise syntax(f"A table needs one time index, found: {parts.time_index}")
    table = Table(name, tuple(parts.columns), tuple(parts.primary_key), parts.time_index[0], options, 0, partitions)
    return CreateTable(database, checked(table), if_not_exists)


def _item(cursor: Cursor, parts: _Definition) -> None:
    if cursor.take("CONSTRAINT"):
        cursor.name()
    if cursor.take("TIME", "INDEX"):
        parts.time_index.extend(names(cursor, quoted_if_reserved=True))
    elif cursor.take("PRIMARY", "KEY"):
        parts.primary_key.extend(names(cursor, quoted_if_reserved=True))
    else:
        parts.columns.append(column_definition(cursor, parts))


def names(cursor: Cursor, *, quoted_if_reserved: bool = False) -> list[str]:
    """`(a, b, ...)`"""
    cursor.expect("(")
    names = [cursor.name(quoted_if_reserved=quoted_if_reserved)]
    while cursor.take(","):
        names.append(cursor.name(quoted_if_reserved=quoted_if_reserved))
    cursor.expect(")")
    return names


def data_type(cursor: Cursor) -> DataType:
    """`TYPE[(n[, m])] [UNSIGNED]`"""
    word = cursor.next().text
    arguments: list[int] = []
    if cursor.take("("):
        arguments.append(int(cursor.value()))
        while cursor.take(","):
            arguments.append(int(cursor.value()))
        cursor.expect(")")
    return of_spelling(word, tuple(arguments), unsigned=cursor.take("UNSIGNED"))


def column_definition(cursor: Cursor, parts: _Definition | None = None) -> Column:
    """`name TYPE` and its modifiers, in any order."""
    column = Column(cursor.name(quoted_if_reserved=True), data_type(cursor))
    while True:
        modified = _modifier(cursor, column, parts)
        if modified is None:
            return column
        column = modified


def _modifier(cursor: Cursor, column: Column, parts: _Definition | None) -> Column | None:
    if cursor.take("NOT", "NULL"):
        return msgspec.structs.replace(column, nullable=False)
    if cursor.take("NULL"):
        return msgspec.structs.replace(column, nullable=True)
    if cursor.take("DEFAULT"):
        return msgspec.structs.replace(column, default=_default(cursor))
    if cursor.take("COMMENT"):
        return msgspec.structs.replace(column, comment=cursor.value())
    if parts is not None and cursor.take("TIME", "INDEX"):
        parts.time_index.append(column.name)
        return column
    if parts is not None and cursor.take("PRIMARY", "KEY"):
        if parts.primary_key:
            raise syntax("PRIMARY KEY on more than one column: use a table constraint")
        parts.primary_key.append(column.name)
        return column
    index = next((kind for kind in INDEX_OPTIONS if cursor.take(kind, "INDEX")), None)
    return None if index is None else _with_index(column, index, _index_options(cursor, index))


def _default(cursor: Cursor) -> str:
    """The text of the default: a literal, or a call such as now()."""
    text = cursor.next().text
    if text in ("-", "+"):
        text += cursor.next().text
    if cursor.take("(", ")"):
        text += "()"
    return text


def options_of(cursor: Cursor) -> dict[str, str]:
    """`('key' = 'value', key.dotted = value, ...)`"""
    cursor.expect("(")
    options: dict[str, str] = {}
    while not cursor.take(")"):
        key = cursor.value()
        while cursor.take("."):
            key += "." + cursor.value()
        cursor.expect("=")
        options[key.lower()] = cursor.value()
        cursor.take(",")
    return options


def _index_options(cursor: Cursor, index: str) -> dict[str, str]:
    given = options_of(cursor) if cursor.take("WITH") else {}
    unknown = given.keys() - INDEX_OPTIONS[index]
    if unknown:
        raise invalid(f"Invalid {index.lower()} index options: {sorted(unknown)}")
    return INDEX_DEFAULTS[index] | given


def _with_index(column: Column, index: str, options: dict[str, str]) -> Column:
    present = column.indexes.get(index)
    if present is not None and present != options:
        raise invalid(f"Cannot change {index.lower()} index options of column {column.name}: unset the index first")
    if index == "FULLTEXT" and column.type.name != "String":
        raise invalid(f"Column {column.name} of a fulltext index must be a string")
    return msgspec.structs.replace(column, indexes=column.indexes | {index: options})


def _partitions(cursor: Cursor) -> str:
    """The partition clause as text: rows live in one place here, whatever it says."""
    if not cursor.take("PARTITION", "ON", "COLUMNS"):
        return ""
    text = "PARTITION ON COLUMNS"
    for _ in range(2):
        depth = 0
        while True:
            token = cursor.next()
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            text += " " + token.text
            if depth == 0:
                break
    return text


Change = Callable[[Table], Table]


def alter_table(cursor: Cursor) -> list[Change]:
    """Reads what follows `ALTER TABLE name`: one change per clause, to be applied in order."""
    changes = [_clause(cursor)]
    while cursor.take(","):
        changes.append(_clause(cursor))
    cursor.done()
    return changes


def _clause(cursor: Cursor) -> Change:
    if cursor.take("ADD"):
        cursor.take("COLUMN")
        return _add_column(cursor)
    if cursor.take("DROP", "COLUMN"):
        return _drop_column(cursor.name(quoted_if_reserved=True))
    if cursor.take("MODIFY"):
        cursor.take("COLUMN")
        return _modify_column(cursor)
    if cursor.take("SET"):
        options = _assignments(cursor)
        return lambda table: checked(msgspec.structs.replace(table, options=table.options | options))
    if cursor.take("UNSET"):
        key = cursor.value()
        return lambda table: msgspec.structs.replace(
            table, options={name: value for name, value in table.options.items() if name != key}
        )
    if cursor.take("RENAME"):
        cursor.take("TO")
        renamed = cursor.name()
        return lambda table: msgspec.structs.replace(table, name=renamed)
    raise syntax(f"Unsupported ALTER TABLE clause: {cursor.peek().text}")


def _assignments(cursor: Cursor) -> dict[str, str]:
    options: dict[str, str] = {}
    while True:
        key = cursor.value()
        cursor.expect("=")
        options[key.lower()] = cursor.value()
        if not cursor.take(","):
            return options


def _add_column(cursor: Cursor) -> Change:
    if_not_exists = cursor.take("IF", "NOT", "EXISTS")
    column = column_definition(cursor)
    after = None if not cursor.take("AFTER") else cursor.name(quoted_if_reserved=True)
    first = cursor.take("FIRST")

    def change(table: Table) -> Table:
        if table.column(column.name) is not None:
            if if_not_exists:
                return table
            raise ServerError(StatusCode.COLUMN_EXISTS, f"Column {column.name} already exists in table {table.name}")
        if not column.nullable and column.default is None:
            raise invalid(f"no default value for column {column.name}, which is not null")
        names = [old.name for old in table.columns]
        at = 0 if first else len(names) if after is None else names.index(after) + 1
        return msgspec.structs.replace(table, columns=(*table.columns[:at], column, *table.columns[at:]))

    return change


def _existing(table: Table, name: str) -> Column:
    column = table.column(name)
    if column is None:
        raise ServerError(StatusCode.COLUMN_NOT_FOUND, f"Column {name} not exists in table {table.name}")
    return column


def _drop_column(name: str) -> Change:
    def change(table: Table) -> Table:
        _existing(table, name)
        if name in table.key:
            raise invalid(f"Not allowed to remove index column {name} from table {table.name}")
        return msgspec.structs.replace(table, columns=tuple(c for c in table.columns if c.name != name))

    return change


def _modify_column(cursor: Cursor) -> Change:
    name = cursor.name(quoted_if_reserved=True)
    if cursor.take("SET"):
        index = next((kind for kind in INDEX_OPTIONS if cursor.take(kind, "INDEX")), None)
        if index is None:
            cursor.expect("DEFAULT")
            default = _default(cursor)
            return lambda table: table.replacing(msgspec.structs.replace(_existing(table, name), default=default))
        options = _index_options(cursor, index)
        return lambda table: table.replacing(_with_index(_existing(table, name), index, options))
    if cursor.take("UNSET"):
        removed = cursor.next().upper
        cursor.expect("INDEX")
        return lambda table: table.replacing(_without_index(_existing(table, name), removed))
    kind = data_type(cursor)
    return lambda table: table.replacing(_retyped(table, _existing(table, name), kind))


def _without_index(column: Column, index: str) -> Column:
    indexes = {kind: options for kind, options in column.indexes.items() if kind != index}
    return msgspec.structs.replace(column, indexes=indexes)


def _retyped(table: Table, column: Column, kind: DataType) -> Column:
    if column.name in table.key or not column.nullable:
        raise invalid(f"Not allowed to change the type of column {column.name}")
    return msgspec.structs.replace(column, type=kind)

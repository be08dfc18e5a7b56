"""Row requests from the wire: decoded, checked as the server checks them, made ready for the table.

A request is checked whole before any of its rows is written. Messages follow the server's, so that what reads them is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, localcontext
from typing import Any

import msgspec
from google.protobuf.message import DecodeError

from tests.greptimedb_double.catalog import Column, Table, checked
from tests.greptimedb_double.database import Database
from tests.greptimedb_double.datatypes import INTEGER_RANGES, DataType, of_wire
from tests.greptimedb_double.functions import canonical_json
from tests.greptimedb_double.status import ServerError, StatusCode, invalid
from tests.greptimedb_double.wire import SEMANTICS, Value

_REMEMBERED_BYTES = 64
_REMEMBERED_VALUES = 20_000
_KNOWN: dict[DataType, dict[bytes, Any]] = {}
_OPTION_HINTS = frozenset(("append_mode", "merge_mode", "ttl", "sst_format", "skip_wal"))


class Sent(msgspec.Struct, frozen=True):
    """A column as a request describes it."""

    name: str
    type: DataType
    semantic: str


class Batch(msgspec.Struct, frozen=True):
    """Rows of one table: as sent (`columns`), with values as they rest in the database."""

    table: str
    columns: tuple[Sent, ...]
    rows: list[tuple[Any, ...]]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def dicts(self) -> Iterator[dict[str, Any]]:
        names = self.names
        return (dict(zip(names, row, strict=True)) for row in self.rows)


def decode_rows(request: Any) -> Batch:
    """A RowInsertRequest or RowDeleteRequest. Raises InvalidArguments for a value that is not of its column's type."""
    columns = tuple(_sent(column, column.datatype_extension) for column in request.rows.schema)
    readers = [_reader(column) for column in columns]
    rows = [
        tuple([read(value) for read, value in zip(readers, row.values, strict=True)])
        if len(row.values) == len(columns)
        else _wrong_width(row, columns)
        for row in request.rows.rows
    ]
    return Batch(request.table_name, columns, rows)


def _sent(column: Any, extension: Any) -> Sent:
    digits = extension.decimal
    kind = of_wire(column.datatype, digits.precision, digits.scale)
    if column.semantic_type not in range(len(SEMANTICS)):
        raise invalid(f"Unknown semantic type: {column.semantic_type}")
    return Sent(column.column_name, kind, SEMANTICS[column.semantic_type])


def _wrong_width(row: Any, columns: Sequence[Sent]) -> tuple[Any, ...]:
    raise invalid(f"row has {len(row.values)} columns but schema has {len(columns)}")


def _reader(column: Sent) -> Callable[[bytes], Any]:
    """A function from the bytes of a Value to the value at rest.

    Most values of a batch repeat (project, environment, false, {}), so short ones are remembered.
    """
    known = _KNOWN.setdefault(column.type, {b"": None})

    def read(raw: bytes) -> Any:
        try:
            return known[raw]
        except KeyError:
            found = _value(column, raw)
        if len(raw) <= _REMEMBERED_BYTES and len(known) < _REMEMBERED_VALUES:
            known[raw] = found
        return found

    return read


def _value(column: Sent, raw: bytes) -> Any:
    try:
        value = Value.FromString(raw)
    except DecodeError as error:
        raise ServerError(StatusCode.INTERNAL, "failed to decode Protobuf message") from error
    member = "String" if column.type.name == "Json" else column.type.name
    which = value.WhichOneof("value")
    if which != member:
        raise invalid(f"column {column.name} expect type {column.type.display}, given: {which}")
    convert = _converter(column)
    found = getattr(value, member)
    return found if convert is None else convert(found)


def _converter(column: Sent) -> Callable[[Any], Any] | None:
    name = column.type.name
    if name == "Json":
        return lambda text: _json(column.name, text)
    if name == "Decimal":
        return lambda value: decimal_text(value.hi, value.lo, column.type)
    if name in INTEGER_RANGES and name not in ("Int32", "Int64", "UInt32"):
        return lambda value: _in_range(column, value)
    return int if name == "Boolean" else None


def _json(column: str, text: str) -> str:
    try:
        return canonical_json(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"Invalid JSON text for column {column}: {text[:60]}") from error


def _in_range(column: Sent, value: int) -> int:
    if value not in INTEGER_RANGES[column.type.name] or value >= INTEGER_RANGES["Int64"].stop:
        raise invalid(f"column {column.name}: {value} is out of range for {column.type.display}")
    return value


def decimal_text(high: int, low: int, kind: DataType) -> str:
    """128 bits, the low half unsigned, as text with all fraction digits."""
    unscaled = (high << 64) | (low & 0xFFFF_FFFF_FFFF_FFFF)
    with localcontext(prec=40):
        text = f"{Decimal(unscaled).scaleb(-kind.scale):.{kind.scale}f}"
    if abs(unscaled) >= 10**kind.precision:
        raise invalid(f"{text} does not fit {kind.display}")
    return text


def decode_columns(request: Any) -> Batch:
    """A columnar DeleteRequest, which sends the non-null values of a column and a bit per null."""
    columns = tuple(_sent(column, column.datatype_extension) for column in request.key_columns)
    values = [
        _column_values(column, sent, request.row_count)
        for column, sent in zip(request.key_columns, columns, strict=True)
    ]
    return Batch(request.table_name, columns, list(zip(*values, strict=True)))


def _column_values(column: Any, sent: Sent, count: int) -> list[Any]:
    convert = _converter(sent) or (lambda value: value)
    present = iter(getattr(column.values, "String" if sent.type.name == "Json" else sent.type.name))
    mask = column.null_mask
    try:
        found = [None if _null(mask, at) else convert(next(present)) for at in range(count)]
    except StopIteration:
        raise invalid(f"column {sent.name} has fewer values than the {count} rows of the request") from None
    if next(present, None) is not None:
        raise invalid(f"column {sent.name} has more values than the {count} rows of the request")
    return found


def _null(mask: bytes, at: int) -> bool:
    return at // 8 < len(mask) and bool(mask[at // 8] >> at % 8 & 1)


def created_for(batch: Batch, hints: dict[str, str]) -> Table:
    """The table the server makes up for rows of a table it does not have: tags are the key, nothing is required."""
    columns = tuple(Column(column.name, column.type) for column in batch.columns)
    tags = tuple(column.name for column in batch.columns if column.semantic == "TAG")
    times = [column.name for column in batch.columns if column.semantic == "TIMESTAMP"]
    if len(times) != 1:
        raise invalid(f"Expected one timestamp column in rows for {batch.table}, found: {times}")
    options = {key: value for key, value in hints.items() if key in _OPTION_HINTS}
    return checked(Table(batch.table, columns, tags, times[0], options))


def new_columns(table: Table, batch: Batch) -> list[Column]:
    """Columns of the rows that the table does not have."""
    return [Column(sent.name, sent.type) for sent in batch.columns if table.column(sent.name) is None]


def check(table: Table, batch: Batch) -> None:
    """Raises InvalidArguments where rows do not fit the table: unknown columns, types, roles, nulls."""
    names = batch.names
    if len(set(names)) != len(names):
        raise _refused(table, f"duplicate columns: {names}")
    for sent in batch.columns:
        column = table.column(sent.name)
        if column is None:
            raise _refused(table, f"unknown columns: {[name for name in names if table.column(name) is None]}")
        _check_column(table, column, sent)
    for at, sent in enumerate(batch.columns):
        column = table.column(sent.name)
        if column is not None and not column.nullable and any(row[at] is None for row in batch.rows):
            raise _refused(table, f"column {sent.name} is not null but input has null")


def _check_column(table: Table, column: Column, sent: Sent) -> None:
    if sent.type != column.type:
        raise _refused(table, f"column {column.name} expect type {column.type.display}, given: {sent.type.display}")
    semantic = table.semantic(column.name)
    if sent.semantic != semantic:
        raise _refused(table, f"column {column.name} has semantic type {semantic}, given: {sent.semantic}")


def _refused(table: Table, reason: str) -> ServerError:
    return invalid(f"Invalid request to region of {table.name}, reason: {reason}")


def filled(database: Database, table: Table, batch: Batch) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names and rows with the columns the request left out: their default, NULL, or InvalidArguments."""
    names, extra = batch.names, []
    for column in table.columns:
        if column.name in names:
            continue
        value = database.default(column)
        if value is None and not column.nullable:
            raise _refused(table, f"missing column {column.name}")
        if value is not None or not table.last_non_null:
            names.append(column.name)
            extra.append(value)
    return names, [(*row, *extra) for row in batch.rows] if extra else batch.rows


def key_rows(table: Table, batch: Batch) -> list[tuple[Any, ...]]:
    """Keys of rows to delete, in the order of `table.key`. Raises InvalidArguments for missing or foreign columns."""
    names = batch.names
    for name in table.key:
        if name not in names:
            raise _refused(table, f"delete requests need column {name}")
    for name in names:
        if name not in table.key:
            raise _refused(table, f"column {name} is no key column of the table")
    order = [names.index(name) for name in table.key]
    return [tuple(row[at] for at in order) for row in batch.rows]

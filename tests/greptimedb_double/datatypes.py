"""Column types: their SQL spellings, their numbers on the wire, and how sqlite keeps their values.

Values at rest: timestamps and dates are integers in the unit of the type, booleans 0 or 1, decimals exact text with all fraction
digits, JSON canonical text (sorted keys, no blanks), the rest as it came.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tests.greptimedb_double.status import invalid, syntax


class Kind(NamedTuple):
    """`code` is the type's number in ColumnDataType, `field` that of its member in Value; `wire` the protobuf type of the member."""

    sql: str
    code: int
    field: int
    wire: str
    affinity: str


KINDS = {
    "Boolean": Kind("BOOLEAN", 0, 11, "bool", "INTEGER"),
    "Int8": Kind("TINYINT", 1, 1, "int32", "INTEGER"),
    "Int16": Kind("SMALLINT", 2, 2, "int32", "INTEGER"),
    "Int32": Kind("INT", 3, 3, "int32", "INTEGER"),
    "Int64": Kind("BIGINT", 4, 4, "int64", "INTEGER"),
    "UInt8": Kind("TINYINT UNSIGNED", 5, 5, "uint32", "INTEGER"),
    "UInt16": Kind("SMALLINT UNSIGNED", 6, 6, "uint32", "INTEGER"),
    "UInt32": Kind("INT UNSIGNED", 7, 7, "uint32", "INTEGER"),
    "UInt64": Kind("BIGINT UNSIGNED", 8, 8, "uint64", "INTEGER"),
    "Float32": Kind("FLOAT", 9, 9, "float", "REAL"),
    "Float64": Kind("DOUBLE", 10, 10, "double", "REAL"),
    "Binary": Kind("VARBINARY", 11, 12, "bytes", "BLOB"),
    "String": Kind("STRING", 12, 13, "string", "TEXT"),
    "Date": Kind("DATE", 13, 14, "int32", "INTEGER"),
    "TimestampSecond": Kind("TIMESTAMP(0)", 15, 16, "int64", "INTEGER"),
    "TimestampMillisecond": Kind("TIMESTAMP(3)", 16, 17, "int64", "INTEGER"),
    "TimestampMicrosecond": Kind("TIMESTAMP(6)", 17, 18, "int64", "INTEGER"),
    "TimestampNanosecond": Kind("TIMESTAMP(9)", 18, 19, "int64", "INTEGER"),
    "TimeSecond": Kind("TIME(0)", 19, 20, "int64", "INTEGER"),
    "TimeMillisecond": Kind("TIME(3)", 20, 21, "int64", "INTEGER"),
    "TimeMicrosecond": Kind("TIME(6)", 21, 22, "int64", "INTEGER"),
    "TimeNanosecond": Kind("TIME(9)", 22, 23, "int64", "INTEGER"),
    "Decimal": Kind("DECIMAL", 30, 31, "Decimal128", "TEXT"),
    "Json": Kind("JSON", 31, 13, "string", "TEXT"),  # on the wire a row insert carries JSON as text
}

UNITS = {
    "TimestampSecond": 1,
    "TimestampMillisecond": 1_000,
    "TimestampMicrosecond": 1_000_000,
    "TimestampNanosecond": 1_000_000_000,
}

INTEGER_RANGES = {
    **{f"Int{bits}": range(-(1 << bits - 1), 1 << bits - 1) for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": range(1 << bits) for bits in (8, 16, 32, 64)},
}

_PRECISIONS = {0: "Second", 3: "Millisecond", 6: "Microsecond", 9: "Nanosecond"}
_UNSIGNED = {"tinyint": "UInt8", "smallint": "UInt16", "int": "UInt32", "integer": "UInt32", "bigint": "UInt64"}
# As in MySQL and PostgreSQL, the digit in INT8 counts bytes; in UINT8 and FLOAT64 it counts bits.
_SPELLINGS = {
    "Boolean": "bool boolean",
    "Int8": "tinyint",
    "Int16": "smallint int2",
    "Int32": "int integer int4",
    "Int64": "bigint int8 int64",
    "UInt8": "uint8",
    "UInt16": "uint16",
    "UInt32": "uint32",
    "UInt64": "uint64",
    "Float32": "float float4 float32 real",
    "Float64": "double float8 float64",
    "Binary": "binary varbinary blob bytea",
    "String": "string text varchar char tinytext mediumtext longtext",
    "Date": "date",
    "Json": "json",
    "TimestampSecond": "timestamp_s timestamp_sec timestampsecond",
    "TimestampMillisecond": "timestamp_ms timestampmillisecond",
    "TimestampMicrosecond": "timestamp_us timestampmicrosecond",
    "TimestampNanosecond": "timestamp_ns timestampnanosecond",
}
_NAMES = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings.split()}


class DataType(msgspec.Struct, frozen=True):
    """A column's type by GreptimeDB's name; precision and scale are those of Decimal only."""

    name: str
    precision: int = 0
    scale: int = 0

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    @property
    def sql(self) -> str:
        """As SHOW CREATE TABLE spells it."""
        return f"DECIMAL({self.precision}, {self.scale})" if self.name == "Decimal" else self.kind.sql

    @property
    def display(self) -> str:
        """As `data_type` of the JSON answer and `greptime_data_type` of information_schema spell it."""
        return f"Decimal({self.precision}, {self.scale})" if self.name == "Decimal" else self.name

    @property
    def declared(self) -> str:
        """The declared type of the sqlite column, from which `of_declaration` finds its way back."""
        digits = f"_{self.precision}_{self.scale}" if self.name == "Decimal" else ""
        return f"{self.name}{digits}_{self.kind.affinity}"

    @property
    def unit(self) -> int | None:
        """Ticks per second of a timestamp type."""
        return UNITS.get(self.name)


def of_spelling(word: str, arguments: tuple[int, ...] = (), *, unsigned: bool = False) -> DataType:
    """The type an SQL spelling names. Raises InvalidSyntax for one the server does not know."""
    lowered = word.lower()
    if lowered in ("timestamp", "timestamptz", "time", "datetime"):
        return _temporal("Time" if lowered == "time" else "Timestamp", arguments)
    if lowered in ("decimal", "numeric"):
        precision, scale = (*arguments, 0)[:2] if arguments else (38, 10)
        return decimal(precision, scale)
    name = _UNSIGNED.get(lowered) if unsigned else _NAMES.get(lowered)
    if name is None:
        raise syntax(f"Unsupported SQL type: {word}")
    return DataType(name)


def _temporal(prefix: str, arguments: tuple[int, ...]) -> DataType:
    unit = _PRECISIONS.get(arguments[0] if arguments else 3)
    if unit is None:
        raise syntax(f"Unsupported precision of {prefix}: {arguments[0]}")
    return DataType(prefix + unit)


def decimal(precision: int, scale: int) -> DataType:
    """A decimal type. Raises InvalidArguments for digits that 128 bits do not hold."""
    if not (1 <= precision <= 38 and 0 <= scale <= precision):
        raise invalid(f"Invalid decimal precision {precision} and scale {scale}")
    return DataType("Decimal", precision, scale)


_BY_CODE = {kind.code: name for name, kind in KINDS.items()}


def of_wire(code: int, precision: int = 0, scale: int = 0) -> DataType:
    """The type of a ColumnDataType number and, for decimals, its extension."""
    name = _BY_CODE.get(code)
    if name is None:
        raise invalid(f"Unknown column data type: {code}")
    return decimal(precision or 38, scale if precision else 10) if name == "Decimal" else DataType(name)


def of_declaration(declared: str) -> DataType | None:
    """The type behind a declared sqlite type, None for that of an expression."""
    name, *digits = declared.split("_")
    if name not in KINDS or not digits:
        return None
    return DataType(name, int(digits[0]), int(digits[1])) if name == "Decimal" else DataType(name)

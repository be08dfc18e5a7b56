"""Values of every column type from the real client to SQL and back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.greptimedb_double import Double
from tests.greptimedb_double.datatypes import KINDS, of_declaration, of_spelling
from tests.greptimedb_double.double_kit import (
    ID,
    NO_CREATION,
    SCHEMA,
    TS,
    client,
    client_column,
    create,
    field,
    openfuse_ddl,
    openfuse_tables,
    put,
    sql,
)

NOON = 1_700_000_000_123

# type, digits, SQL type, value sent, value as Python has it, value as HTTP shows it, type as HTTP names it
VALUES: list[tuple[str, tuple[int, ...], str, Any, Any, Any, str]] = [
    ("BOOLEAN", (), "BOOLEAN", True, True, True, "Boolean"),
    ("INT8", (), "TINYINT", -128, -128, -128, "Int8"),
    ("INT16", (), "SMALLINT", 32767, 32767, 32767, "Int16"),
    ("INT32", (), "INT", -(2**31), -(2**31), -(2**31), "Int32"),
    ("INT64", (), "BIGINT", 2**63 - 1, 2**63 - 1, 2**63 - 1, "Int64"),
    ("UINT8", (), "TINYINT UNSIGNED", 255, 255, 255, "UInt8"),
    ("UINT16", (), "SMALLINT UNSIGNED", 65535, 65535, 65535, "UInt16"),
    ("UINT32", (), "INT UNSIGNED", 2**32 - 1, 2**32 - 1, 2**32 - 1, "UInt32"),
    ("UINT64", (), "BIGINT UNSIGNED", 2**62, 2**62, 2**62, "UInt64"),
    ("FLOAT32", (), "FLOAT", 1.5, 1.5, 1.5, "Float32"),
    ("FLOAT64", (), "DOUBLE", 0.1, 0.1, 0.1, "Float64"),
    ("BINARY", (), "BINARY", b"\x00\xff", b"\x00\xff", [0, 255], "Binary"),
    ("STRING", (), "STRING", "5 é '\"`", "5 é '\"`", "5 é '\"`", "String"),
    ("STRING", (), "STRING", "", "", "", "String"),
    ("DATE", (), "DATE", date(1970, 1, 3), 2, 2, "Date"),
    ("TIMESTAMP_SECOND", (), "TIMESTAMP(0)", 1_700_000_000, 1_700_000_000, 1_700_000_000, "TimestampSecond"),
    ("TIMESTAMP_MILLISECOND", (), "TIMESTAMP(3)", datetime.fromtimestamp(1, UTC), 1000, 1000, "TimestampMillisecond"),
    ("TIMESTAMP_MICROSECOND", (), "TIMESTAMP(6)", NOON * 1000, NOON * 1000, NOON * 1000, "TimestampMicrosecond"),
    ("TIMESTAMP_NANOSECOND", (), "TIMESTAMP(9)", NOON * 10**6 + 1, NOON * 10**6 + 1, NOON * 10**6 + 1, "TimestampNanosecond"),
    ("TIME_MILLISECOND", (), "TIME(3)", 86_399_999, 86_399_999, 86_399_999, "TimeMillisecond"),
    (
        "DECIMAL128",
        (38, 12),
        "DECIMAL(38, 12)",
        Decimal("-12345678901234567890123456.000000000001"),
        Decimal("-12345678901234567890123456.000000000001"),
        "-12345678901234567890123456.000000000001",
        "Decimal(38, 12)",
    ),
    ("DECIMAL128", (38, 12), "DECIMAL(38, 12)", Decimal("0.1"), Decimal("0.1"), "0.100000000000", "Decimal(38, 12)"),
    ("DECIMAL128", (10, 2), "DECIMAL(10, 2)", Decimal("-0.01"), Decimal("-0.01"), "-0.01", "Decimal(10, 2)"),
    ("JSON", (), "JSON", {"b": [1, 2.5], "a": "é"}, {"a": "é", "b": [1, 2.5]}, list('{"a":"é","b":[1,2.5]}'.encode()), "Json"),
    ("JSON", (), "JSON", '[ "x" ]', ["x"], list(b'["x"]'), "Json"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "digits", "sql_type", "sent", "kept", "shown", "named"), VALUES)
def test_a_value_arrives_and_is_shown_as_the_server_shows_it(
    kind: str, digits: tuple[int, ...], sql_type: str, sent: Any, kept: Any, shown: Any, named: str
) -> None:
    with Double() as db:
        create(db, fields=f"v {sql_type}")
        columns = [TS, ID, field("v", kind, *digits)]
        put(db, [1, "set", sent], [2, "null", None], columns=columns)
        assert db.query("SELECT v FROM t ORDER BY ts") == [{"v": kept}, {"v": None}]
        answer = sql(db, "SELECT v, `id` FROM t ORDER BY ts")
        assert answer.rows == [[shown, "set"], [None, "null"]]
        assert answer.types == [named, "String"]


@pytest.mark.parametrize("name", [name for name in KINDS if name != "Decimal"])
def test_every_type_survives_its_sql_spelling_and_its_declaration(name: str) -> None:
    kind = of_declaration(f"{name}_TEXT")
    assert kind is not None
    word, _, rest = kind.sql.partition("(")
    base, _, unsigned = word.partition(" ")
    arguments = (int(rest[:-1]),) if rest else ()
    assert of_spelling(base, arguments, unsigned=bool(unsigned)) == kind
    assert of_declaration(kind.declared) == kind


def test_a_table_made_for_rows_has_the_types_of_the_rows() -> None:
    with Double() as db:
        columns = [TS, ID, field("cost", "DECIMAL128", 20, 6), field("doc", "JSON")]
        assert client(db).insert("made_up", columns, [[1, "a", Decimal("1.5"), {}]]) == 1
        ddl = db.query("SHOW CREATE TABLE made_up")[0]["Create Table"]
        for part in ("`cost` DECIMAL(20, 6)", "`doc` JSON", "TIME INDEX (`ts`)", "PRIMARY KEY (`id`)"):
            assert part in ddl


def _samples(definition: dict[str, Any], name: str) -> tuple[Any, Any]:
    """A value to send and the value that should come back."""
    kind = definition["type"].replace(" ", "")
    if kind == "JSON":
        return {"k": name, "n": [1]}, {"k": name, "n": [1]}
    if kind == "DECIMAL(38,12)":
        return Decimal("0.000000000001"), Decimal("0.000000000001")
    value = {"TIMESTAMP(3)": NOON, "BOOLEAN": True, "INT": 7, "BIGINT": NOON * 4096, "DOUBLE": 0.25}.get(kind, name)
    return value, value


@pytest.mark.shared
@pytest.mark.skipif(not SCHEMA.is_file(), reason=f"NO SCHEMA at {SCHEMA}: set OPENFUSE_SHARED")
def test_rows_of_every_openfuse_table_come_back_as_they_were() -> None:
    with Double(database="openfuse") as db:
        db.query("CREATE DATABASE openfuse", "public")
        sender = client(db, "openfuse")
        for name, table in openfuse_tables().items():
            assert sql(db, openfuse_ddl(name, table), "openfuse").status == 200
            columns = [client_column(column, definition) for column, definition in table["columns"].items()]
            samples = {column: _samples(definition, column) for column, definition in table["columns"].items()}
            row = {column: sent for column, (sent, _) in samples.items()}
            assert sender.insert(name, columns, [row], NO_CREATION) == 1
            assert db.query(f"SELECT * FROM `{name}`") == [{column: kept for column, (_, kept) in samples.items()}]
            keys = [*table["primary_key"], table["time_index"]]
            deletable = table["options"].get("append_mode") != "true"
            if deletable:
                key_columns = [column for column in columns if column.name in keys]
                assert sender.delete(name, key_columns, [{key: row[key] for key in keys}]) == 1
            assert db.query(f"SELECT count(*) AS n FROM `{name}`") == [{"n": 0 if deletable else 1}]
        assert len(db.query("SHOW TABLES")) == 15

"""What the tests of the double share: real clients, SQL over HTTP, raw requests, Openfuse's tables."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import grpc
from greptimedb_ingester import Client, Column, ColumnDataType, SemanticType

from tests.greptimedb_double import Double, DoubleProcess, wire

SHARED = Path(os.environ.get("OPENFUSE_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")
SCHEMA = SHARED / "spec" / "openfuse_schema.json"

MERGING = "WITH('merge_mode' = 'last_non_null', 'sst_format' = 'flat')"
APPENDING = "WITH('append_mode' = 'true')"
NO_CREATION = [("auto_create_table", "false")]
TS = Column("ts", ColumnDataType.TIMESTAMP_MILLISECOND, SemanticType.TIMESTAMP)
ID = Column("id", ColumnDataType.STRING, SemanticType.TAG)


class Answer(NamedTuple):
    """An answer to SQL: HTTP status, parsed body, headers."""

    status: int
    body: Any
    headers: Any

    @property
    def rows(self) -> Any:
        return self.body["output"][-1]["records"]["rows"]

    @property
    def types(self) -> list[str]:
        schemas = self.body["output"][-1]["records"]["schema"]["column_schemas"]
        return [schema["data_type"] for schema in schemas]

    @property
    def affected(self) -> Any:
        return self.body["output"][-1]["affectedrows"]


def sql(
    db: Double | DoubleProcess, text: str, database: str = "public", login: tuple[str, str] | None = None
) -> Answer:
    """SQL over HTTP, as a client sends it."""
    request = urllib.request.Request(f"{db.http}/v1/sql?db={database}", data=urlencode({"sql": text}).encode())
    if login is not None:
        request.add_header("Authorization", "Basic " + b64encode(":".join(login).encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return Answer(response.status, json.load(response), response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, json.load(error), error.headers)


def client(db: Double | DoubleProcess, database: str = "public", **settings: Any) -> Client:
    """The real client, connected."""
    return Client([db.grpc], database, timeout_secs=30, **settings)


def field(name: str, kind: str = "STRING", *digits: int) -> Column:
    return Column(name, getattr(ColumnDataType, kind), SemanticType.FIELD, *digits)


def create(db: Double, options: str = MERGING, fields: str = "`value` STRING NULL") -> None:
    """Table `t` with the key (id, ts)."""
    db.query(
        f"CREATE TABLE t (ts TIMESTAMP(3) NOT NULL, `id` STRING NOT NULL, {fields}, "
        f"TIME INDEX (ts), PRIMARY KEY (`id`)) ENGINE=mito {options}"
    )


def put(db: Double, *rows: Sequence[Any], columns: Sequence[Column] = (TS, ID, field("value"))) -> int:
    """Rows into `t` with the real client, creating nothing."""
    written: int = client(db).insert("t", list(columns), rows, NO_CREATION)
    return written


def raw_call(db: Double, request: Any) -> Any:
    """A request the real client would not send. Raises grpc.RpcError."""
    with grpc.insecure_channel(db.grpc) as channel:
        handle = channel.unary_unary(f"/{wire.DATABASE_SERVICE}/Handle", None, None)
        return wire.GreptimeResponse.FromString(handle(request.SerializeToString(), timeout=30))


def raw_insert(table: str, columns: Sequence[tuple[str, int, int]], *rows: Sequence[dict[str, Any]]) -> Any:
    """Columns as (name, datatype, semantic type); a value as the members of a Value, {} for null."""
    request = wire.GreptimeRequest()
    insert = request.row_inserts.inserts.add(table_name=table)
    for name, datatype, semantic in columns:
        insert.rows.schema.add(column_name=name, datatype=datatype, semantic_type=semantic)
    for row in rows:
        insert.rows.rows.add(values=[wire.Value(**value).SerializeToString() for value in row])
    return request


def openfuse_tables() -> dict[str, Any]:
    """The shared description of Openfuse's tables, by name."""
    tables: dict[str, Any] = json.loads(SCHEMA.read_text())["tables"]
    return tables


def openfuse_ddl(name: str, table: dict[str, Any]) -> str:
    """CREATE TABLE for one of them, with the first index of each column."""
    lines = []
    for column, definition in table["columns"].items():
        default = "" if definition["default"] is None else f"DEFAULT {json.dumps(definition['default'])}"
        null = "NULL" if definition["nullable"] else "NOT NULL"
        index = next((f"{index['kind']} INDEX" for index in definition["indexes"]), "")
        lines.append(f"`{column}` {definition['type']} {null} {default} {index}")
    key = ", ".join(f"`{column}`" for column in table["primary_key"])
    lines += [f"TIME INDEX (`{table['time_index']}`)", f"PRIMARY KEY ({key})"]
    options = ", ".join(f"'{option}' = '{value}'" for option, value in table["options"].items())
    return f"CREATE TABLE IF NOT EXISTS `{name}` ({', '.join(lines)}) ENGINE=mito WITH ({options})"


_CLIENT_TYPES = {
    "TIMESTAMP(3)": ("TIMESTAMP_MILLISECOND",),
    "STRING": ("STRING",),
    "BOOLEAN": ("BOOLEAN",),
    "INT": ("INT32",),
    "BIGINT": ("INT64",),
    "DOUBLE": ("FLOAT64",),
    "JSON": ("JSON",),
    "DECIMAL(38,12)": ("DECIMAL128", 38, 12),
}


def client_column(name: str, definition: dict[str, Any]) -> Column:
    """The column as the real client describes it."""
    kind, *digits = _CLIENT_TYPES[definition["type"].replace(" ", "")]
    semantic = getattr(SemanticType, definition["semantic"])
    return Column(name, getattr(ColumnDataType, str(kind)), semantic, *digits)

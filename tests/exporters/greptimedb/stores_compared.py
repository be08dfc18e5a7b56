"""What is in both stores, in one form: the rows of projections and raw events of SQLite and GreptimeDB side by side."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from greptimedb_kit import Server

from openfuse_collector.events.columns import COLUMNS, PROJECTIONS

TABLES = {kind: PROJECTIONS[kind] for kind in ("trace", "observation", "score")}
RAW = ("project_id", "entity_type", "entity_id", "event_id", "event_type", "event_ts", "body", "ingested_at")

Rows = dict[tuple[str, str], dict[str, Any]]
"""By project and id."""


def assert_same(server: Server, path: Path) -> dict[str, int]:
    """Every row of one store is in the other, equal in every column but the generation. Gives the number of rows by table."""
    counts = {}
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        for kind, table in TABLES.items():
            columns = [column for column in COLUMNS[kind] if column != "eav_generation"]
            expected = by_name([dict(row) for row in connection.execute(f"SELECT * FROM {table}")], columns)
            found = by_name(server.table(table), columns)
            assert found.keys() == expected.keys(), table
            assert [(found[name], row) for name, row in expected.items() if found[name] != row] == []
            counts[table] = len(expected)
        stored = {tuple(row) for row in connection.execute(f"SELECT {', '.join(RAW)} FROM raw_events")}
    assert {tuple(row[column] for column in RAW) for row in server.table("raw_events")} == stored
    return {**counts, "raw_events": len(stored)}


def compact(row: dict[str, Any]) -> dict[str, Any]:
    """JSON as the projector writes it: the server is free to add blanks."""
    return {
        name: json.dumps(json.loads(text), separators=(",", ":")) if _is_json(name) and text else text
        for name, text in row.items()
    }


def by_name(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> Rows:
    """Rows by project and id. Two rows of one entity are a failure."""
    found = {(row["project_id"], row["id"]): {name: _plain(name, row[name]) for name in columns} for row in rows}
    assert len(found) == len(rows)
    return found


def _is_json(column: str) -> bool:
    return column in ("tags", "metadata", "tool_definitions", "tool_call_names") or column.endswith("_details")


def _plain(column: str, value: Any) -> Any:
    """One form for what each store has its own of: JSON, booleans, decimals."""
    if column in ("bookmarked", "public", "is_deleted"):
        return None if value is None else bool(value)
    if column.endswith("_cost"):
        return None if value is None else Decimal(str(value)).quantize(Decimal("1e-12"))
    if (_is_json(column) or column in ("model_parameters", "tool_calls")) and value is not None:
        return json.loads(value)
    return value

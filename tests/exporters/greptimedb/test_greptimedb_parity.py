"""One payload, two stores: what applications really send gives the same rows in GreptimeDB as in SQLite."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from greptimedb_kit import Server, exporter

from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.connectors.genai.connector import GenAIConnector
from openfuse_collector.events.columns import COLUMNS
from openfuse_collector.exporters.greptimedb.rows import PROJECTIONS
from openfuse_collector.exporters.greptimedb.side_tables import SIDE_TABLES
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from openfuse_collector.signals import Batch, Item, Origin, Signal
from tests.builders import RECEIVED_AT, batch, settings
from tests.events.shared_cases import SHARED, needs_shared

sys.path.insert(0, str(Path(__file__).parents[2] / "conformance"))
from corpus_inprocess import load_cases, read_request

TABLES = {kind: PROJECTIONS[kind] for kind in ("trace", "observation", "score")}
RAW = ("project_id", "entity_type", "entity_id", "event_id", "event_type", "event_ts", "body", "ingested_at")
REQUESTS_PER_BATCH = 20

pytestmark = [pytest.mark.shared, needs_shared]


def batches() -> Iterator[Batch]:
    """Every request of the corpus as the connector converts it, in batches."""
    paths = [SHARED / "corpus" / case["scenario"] / name for case in load_cases() for name in case["requests"]]
    connector = GenAIConnector(settings("genai"), GenAIConfig())
    items = [
        Item(Origin(Signal.TRACES, "otlp", RECEIVED_AT + number * 10_000_000), number, read_request(path), 100)
        for number, path in enumerate(paths)
    ]
    for start in range(0, len(items), REQUESTS_PER_BATCH):
        yield connector.convert(batch(*items[start : start + REQUESTS_PER_BATCH], signal=Signal.TRACES))


def test_the_corpus_gives_the_same_rows_in_both_stores(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "openfuse.db"
    embedded = SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path)))
    with exporter(server) as made:
        for one in batches():
            embedded.export(one)
            made.export(one)
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        for kind, table in TABLES.items():
            columns = [column for column in COLUMNS[kind] if column != "eav_generation"]
            expected = _by_name([dict(row) for row in connection.execute(f"SELECT * FROM {table}")], columns)
            assert _by_name(server.table(table), columns) == expected
            assert expected or kind == "score"
        stored = {tuple(row) for row in connection.execute(f"SELECT {', '.join(RAW)} FROM raw_events")}
    assert {tuple(row[column] for column in RAW) for row in server.table("raw_events")} == stored
    assert len(stored) > 1000


def test_side_tables_hold_what_the_projections_say(server: Server) -> None:
    with exporter(server) as made:
        for one in batches():
            made.export(one)
    for kind, sides in SIDE_TABLES.items():
        rows = {row["id"]: row for row in server.table(PROJECTIONS[kind])}
        for side in sides:
            found: dict[str, int] = defaultdict(int)
            for row in server.visible(side.name, PROJECTIONS[kind]):
                found[row["entity_id"]] += 1
            wanted = {id: len(list(side.keys(_compact(row)))) for id, row in rows.items()}
            assert found == {id: count for id, count in wanted.items() if count}, side.name


def _compact(row: dict[str, Any]) -> dict[str, Any]:
    """JSON as the projector writes it: the server is free to add blanks."""
    return {
        name: json.dumps(json.loads(text), separators=(",", ":")) if _is_json(name) and text else text
        for name, text in row.items()
    }


def _is_json(column: str) -> bool:
    return column in ("tags", "metadata", "tool_definitions", "tool_call_names") or column.endswith("_details")


def _by_name(rows: list[dict[str, Any]], columns: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["project_id"], row["id"]): {name: _plain(name, row[name]) for name in columns} for row in rows}


def _plain(column: str, value: Any) -> Any:
    """One form for what each store has its own of: JSON, booleans, decimals."""
    if column in ("bookmarked", "public", "is_deleted"):
        return None if value is None else bool(value)
    if column.endswith("_cost"):
        return None if value is None else Decimal(str(value)).quantize(Decimal("1e-12"))
    if (_is_json(column) or column in ("model_parameters", "tool_calls")) and value is not None:
        return json.loads(value)
    return value

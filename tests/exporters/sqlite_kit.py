"""For tests of the embedded store: reading it, feeding it spans the way a pipeline does, and what its rows should be."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.connectors.genai.connector import GenAIConnector
from openfuse_collector.connectors.genai.raw_spans import remapping
from openfuse_collector.enrich import Enrich, enrich
from openfuse_collector.events.columns import COLUMNS, PROJECTIONS
from openfuse_collector.events.event import Entity, Event, decode_envelope
from openfuse_collector.events.reference import fold
from openfuse_collector.events.rows import row
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from openfuse_collector.exporters.sqlite.rebuild import Rebuild
from openfuse_collector.exporters.sqlite.store import connect
from openfuse_collector.signals import Batch, Item, Origin, Signal
from openfuse_collector.store.rebuild import Report, Selection
from tests.builders import RECEIVED_AT, batch, settings

Rows = dict[tuple[str, str, str], dict[str, Any]]
"""(entity type, project, id) -> row, without what a rebuild does not compare."""

EVERYTHING = Selection()


def query(path: Path, sql: str, *values: Any) -> list[dict[str, Any]]:
    """Rows of a read-only connection of its own."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, values)]


def execute(path: Path, sql: str, *values: Any) -> None:
    """Tamper with a store."""
    with closing(sqlite3.connect(path, timeout=20)) as connection, connection:
        connection.execute(sql, values)


def sent(request: ExportTraceServiceRequest, number: int = 0, **origin: Any) -> Item:
    """A request as a receiver accepts it, the next number 10 ms later."""
    return Item(Origin(Signal.TRACES, "otlp", RECEIVED_AT + number * 10_000_000, **origin), number, request, 100)


def converted(requests: Iterable[ExportTraceServiceRequest | Item], *, raw_spans: bool = True) -> Batch:
    """What the connector makes of requests."""
    items = [one if isinstance(one, Item) else sent(one, number) for number, one in enumerate(requests)]
    connector = GenAIConnector(settings("genai"), GenAIConfig(raw_spans=raw_spans))
    return connector.convert(batch(*items, signal=Signal.TRACES))


async def ingest(path: Path, requests: Iterable[ExportTraceServiceRequest | Item], *, raw_spans: bool = True) -> None:
    """Requests through connector and exporter into the file."""
    exporter = SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path)))
    exporter.export(converted(requests, raw_spans=raw_spans))
    await exporter.shutdown()


def rebuild(
    path: Path,
    selection: Selection = EVERYTHING,
    *,
    remap: bool = False,
    prune: bool = False,
    dry_run: bool = False,
    enrich: Enrich | None = None,
) -> Report:
    """A whole rebuild in this process, with the enrichment of an exporter without extensions unless given one."""
    from openfuse_collector.store.enrichment import configured_enrichment

    with closing(connect(SqliteConfig(path=str(path)))) as connection:
        made = Rebuild(connection, enrich or configured_enrichment(settings()), selection, dry_run=dry_run)
        steps = ([made.remap(remapping())] if remap else []) + [made.refold(), made.orphans(prune=prune)]
        for step in steps:
            shares = list(step)
            assert shares == sorted(shares)
            assert all(0 <= share <= 1 for share in shares)
    return made.report


def changes(report: Report) -> dict[str, tuple[int, int, int]]:
    """Table -> (changed, added, removed), tables without any left out."""
    found = {kind: (table.changed, table.added, table.removed) for kind, table in report.tables.items()}
    return {kind: counts for kind, counts in found.items() if any(counts)}


def rows(path: Path) -> Rows:
    """All projection rows there are."""
    found: Rows = {}
    for kind, table in PROJECTIONS.items():
        for stored in query(path, f"SELECT {', '.join(COLUMNS[kind])} FROM {table}"):
            found[kind, stored["project_id"], stored["id"]] = _compared(stored)
    return found


def reference_rows(path: Path, enrich: Enrich = enrich) -> Rows:
    """All projection rows there should be: the plain sequential fold over raw_events."""
    history: dict[Entity, list[Event]] = defaultdict(list)
    for raw in query(path, "SELECT * FROM raw_events"):
        entity = Entity(raw["project_id"], raw["entity_type"], raw["entity_id"])
        history[entity].append(decode_envelope(entity, raw["body"], raw["ingested_at"]))
    found: Rows = {}
    for entity, events in history.items():
        record = fold(events)
        if record is not None and not record["is_deleted"] and entity.type in PROJECTIONS:
            made = row(entity.type, enrich(entity.type, record))
            found[entity.type, entity.project_id, entity.id] = _compared(made)
    return found


def event_ids(path: Path) -> Sequence[str]:
    """Ids in raw_events, sorted, copies included."""
    return [raw["event_id"] for raw in query(path, "SELECT event_id FROM raw_events ORDER BY event_id")]


def _compared(row: Any) -> dict[str, Any]:
    return {column: value for column, value in row.items() if column != "eav_generation"}

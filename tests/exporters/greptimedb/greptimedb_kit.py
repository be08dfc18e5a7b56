"""For tests of the GreptimeDB store: a server to test against, the exporter in front of it, and what is in its tables."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from openfuse_collector.config.types import Address
from openfuse_collector.events.columns import COLUMNS, PROJECTIONS
from openfuse_collector.events.event import Event
from openfuse_collector.exporters.greptimedb import ddl
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.exporter import GreptimedbExporter
from openfuse_collector.exporters.greptimedb.schema import TABLES
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import batch, item, settings
from tests.greptimedb_double import Double

Rows = list[dict[str, Any]]

REAL = {name: os.environ.get(name, "") for name in ("GREPTIMEDB_HTTP", "GREPTIMEDB_GRPC")}


class Server:
    """A database of its own on some server, the double or a real one."""

    def __init__(self, grpc: str, http: str, double: Double | None = None) -> None:
        self.grpc, self.http = Address.parse(grpc), Address.parse(http.removeprefix("http://"))
        self.database = f"test_{uuid4().hex[:12]}"
        self._double = double
        self.sql = SqlClient(self.config())

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.sql.close()

    @property
    def double(self) -> Double:
        """The double, for tests that need its faults or its log."""
        assert self._double is not None
        return self._double

    def config(self, **settings: Any) -> GreptimedbConfig:
        """Settings of an exporter for this server."""
        defaults = {"endpoints": (self.grpc,), "http_endpoints": (self.http,), "database": self.database}
        return GreptimedbConfig(**{**defaults, **settings})

    def ask(self, queries: Sequence[str]) -> Iterator[list[list[Any]]]:
        """Runs queries one after the other."""
        return map(self.sql.rows, queries)

    def table(self, name: str, where: str = "TRUE") -> Rows:
        """The rows of a table, JSON as text, in the order of key and time."""
        table = TABLES[name]
        columns = [
            f"json_to_string({ddl.quoted(column.name)})" if column.type == "JSON" else ddl.quoted(column.name)
            for column in table.columns
        ]
        query = ddl.select(columns, ddl.quoted(name), where)
        names = [column.name for column in table.columns]
        rows = [dict(zip(names, row, strict=True)) for row in self.sql.rows(query)]
        return sorted(rows, key=lambda row: [str(row[key]) for key in (*table.primary_key, table.time_index)])

    def visible(self, side: str, projection: str) -> Rows:
        """The rows of a side table a reader sees: those of the projection row's generation."""
        generations = {(row["project_id"], row["id"]): row["eav_generation"] for row in self.table(projection)}
        return [
            row
            for row in self.table(side)
            if generations.get((row["project_id"], row["entity_id"])) == row["generation"] and not row["is_deleted"]
        ]

    def counts(self) -> dict[str, int]:
        """Rows by table."""
        return {name: len(self.table(name)) for name in (*PROJECTIONS.values(), "raw_events")}


@contextmanager
def exporter(
    server: Server, metrics: Metrics | None = None, instance: str = "collector-1", **config: Any
) -> Iterator[GreptimedbExporter]:
    """An exporter as a collector has it; another one after it is the collector after a restart, or another `instance`."""
    made = GreptimedbExporter(settings("greptimedb", metrics, instance), server.config(**config))
    try:
        yield made
    finally:
        asyncio.run(made.shutdown())


def export(made: GreptimedbExporter, *requests: Sequence[Event]) -> None:
    """One batch of so many requests."""
    made.export(batch(*(item(list(events), position) for position, events in enumerate(requests))))


def store(server: Server, *batches: Sequence[Event]) -> None:
    """Batches, with a restart before each."""
    for events in batches:
        with exporter(server) as made:
            export(made, events)


def as_stored(entity_type: str, row: dict[str, Any]) -> dict[str, Any]:
    """A projector's row without what depends on the history of writing."""
    return {column: row[column] for column in COLUMNS[entity_type] if column != "eav_generation"}


def comparable(entity_type: str, stored: dict[str, Any]) -> dict[str, Any]:
    """Numbers as numbers, JSON as values."""
    out = as_stored(entity_type, stored)
    for column, value in out.items():
        if type(value) is str and column.endswith("_cost"):
            out[column] = float(value)
        elif type(value) is str and value[:1] in ("{", "["):
            try:
                out[column] = json.loads(value)
            except ValueError:
                pass
    return out

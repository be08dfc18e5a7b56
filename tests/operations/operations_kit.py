"""For tests of what commands do to stores: the same few verbs for the embedded store and for GreptimeDB."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from click.testing import CliRunner, Result

from openfuse_collector.cli.main import main
from openfuse_collector.component import Settings
from openfuse_collector.config.types import Address
from openfuse_collector.enrich import Enrich
from openfuse_collector.events.columns import PROJECTIONS, TIME_COLUMN
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.exporters.greptimedb import migrations
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.exporter import GreptimedbExporter
from openfuse_collector.exporters.greptimedb.operations import GreptimedbOperations
from openfuse_collector.exporters.greptimedb.rebuild import Rebuild as GreptimedbRebuild
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from openfuse_collector.exporters.sqlite.operations import SqliteOperations
from openfuse_collector.store.enrichment import configured_enrichment
from openfuse_collector.store.operations import Operations, Removed
from openfuse_collector.store.rebuild import Report, Selection
from openfuse_collector.store.retention import RetentionConfig
from tests.builders import RECEIVED_AT, batch, item, settings
from tests.greptimedb_double import Double

CONFIG = {
    "sqlite": Path(__file__).parents[2] / "config" / "default.yaml",
    "greptimedb": Path(__file__).parents[2] / "config" / "greptimedb.yaml",
}
NOW = RECEIVED_AT // 1_000_000
EVERYTHING = Selection()
ENRICH = configured_enrichment(settings())


class Exporter(Protocol):
    """The part of an exporter tests call."""

    def export(self, batch: Any) -> None: ...


class StoreKit(Protocol):
    """One store of a test."""

    kind: str

    def exporter(self, collector: Settings | None = None, **config: Any) -> Any:
        """Context manager: an exporter as a collector has it; `collector` is what exporters of one share."""
        ...

    def operations(self) -> Operations: ...

    def query(self, sql: str) -> list[tuple[Any, ...]]: ...

    def tamper(self, sql: str) -> None: ...

    @property
    def sets(self) -> dict[str, str]:
        """What a configuration needs to name this store, by the path of the setting."""
        ...


class SqliteKit:
    """The embedded store in a file."""

    kind = "sqlite"

    def __init__(self, directory: Path) -> None:
        self.path = directory / "openfuse.db"
        self.config = SqliteConfig(path=str(self.path))

    @contextmanager
    def exporter(self, collector: Settings | None = None, **config: Any) -> Iterator[SqliteExporter]:
        made = SqliteExporter(collector or settings("sqlite"), replace(self.config, **config))
        try:
            yield made
        finally:
            asyncio.run(made.shutdown())

    def operations(self) -> Operations:
        return SqliteOperations(self.config)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=20)) as connection:
            return connection.execute(sql).fetchall()

    def tamper(self, sql: str) -> None:
        with closing(sqlite3.connect(self.path, timeout=20)) as connection, connection:
            connection.execute(sql)

    @property
    def sets(self) -> dict[str, str]:
        return {"exporters.sqlite.path": str(self.path)}


class GreptimedbKit:
    """A database of its own on a double."""

    kind = "greptimedb"

    def __init__(self, double: Double) -> None:
        self.double = double
        grpc, http = Address.parse(double.grpc), Address.parse(double.http.removeprefix("http://"))
        database = f"test_{uuid4().hex[:12]}"
        self.config = GreptimedbConfig(endpoints=(grpc,), http_endpoints=(http,), database=database)
        self.sql = SqlClient(self.config)
        migrations.apply(self.sql, self.config, "test")

    @contextmanager
    def exporter(self, collector: Settings | None = None, **config: Any) -> Iterator[GreptimedbExporter]:
        made = GreptimedbExporter(collector or settings("greptimedb"), replace(self.config, **config))
        try:
            yield made
        finally:
            asyncio.run(made.shutdown())

    def operations(self) -> Operations:
        return _Hasty(self.config)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.sql.rows(sql)]

    def tamper(self, sql: str) -> None:
        self.sql.run(sql)

    @property
    def sets(self) -> dict[str, str]:
        return {
            "exporters.greptimedb.endpoints": f"[{self.config.endpoints[0]}]",
            "exporters.greptimedb.http_endpoints": f"[{self.config.http_endpoints[0]}]",
            "exporters.greptimedb.database": self.config.database,
        }


class _Hasty(GreptimedbOperations):
    """Looks again at once: nobody else writes in these tests."""

    def rebuild(self, enrich: Enrich, selection: Selection, *, dry_run: bool) -> GreptimedbRebuild:
        made = super().rebuild(enrich, selection, dry_run=dry_run)
        made._pause = lambda seconds: None
        return made


def call(kit: StoreKit, *arguments: str, sets: dict[str, str] | None = None, **options: str) -> Result:
    """A command on that store, as somebody types it."""
    named = [part for key, value in {**kit.sets, **(sets or {})}.items() for part in ("--set", f"{key}={value}")]
    return CliRunner().invoke(main, [*arguments, "--config", str(CONFIG[kit.kind]), *named], **options)  # type: ignore[arg-type]


def store(kit: StoreKit, *batches: Sequence[Event]) -> None:
    """Batches, with a restart of the collector before each."""
    for events in batches:
        with kit.exporter() as made:
            export(made, events)


def export(made: Exporter, events: Sequence[Event]) -> None:
    """One batch of one request."""
    made.export(batch(item(list(events))))


def rebuilt(kit: StoreKit, selection: Selection = EVERYTHING, *, dry_run: bool = False, prune: bool = False) -> Report:
    """The report of a rebuild, or of a verification."""
    with closing(kit.operations()) as operations:
        made = operations.rebuild(ENRICH, selection, dry_run=dry_run)
        if dry_run:
            assert_shares([*made.refold(), *made.orphans(prune=False)])
        else:
            with operations.changing("rebuild"):
                shares = [*made.refold()], [*made.orphans(prune=prune)]
            for one in shares:
                assert_shares(one)
            _merge(operations)
        return made.report


def verified(kit: StoreKit, selection: Selection = EVERYTHING) -> Report:
    """What `verify` finds."""
    return rebuilt(kit, selection, dry_run=True)


def deleted(
    kit: StoreKit, *ids: str, project: str | None = None, erase: bool = False, dry_run: bool = False
) -> Removed:
    """Deletes traces by id, or a project."""
    with closing(kit.operations()) as operations:
        made = operations.deletion(erase=erase, dry_run=dry_run)
        work = (
            made.traces([trace for id in ids for trace in operations.find_traces(id, None)])
            if project is None
            else made.project(project)
        )
        _run(operations, work, "delete", dry_run)
        return made.removed


def expired(kit: StoreKit, retention: RetentionConfig, now: int, *, dry_run: bool = False) -> Removed:
    """One pass of retention."""
    with closing(kit.operations()) as operations:
        made = operations.expiry(dry_run=dry_run)
        _run(operations, made.expire(retention, now), "retention", dry_run)
        return made.removed


def _run(operations: Operations, work: Iterator[float], reason: str, dry_run: bool) -> None:
    if dry_run:
        assert_shares(list(work))
        return
    with operations.changing(reason):
        assert_shares(list(work))
    if reason != "retention":
        _merge(operations)


def _merge(operations: Operations) -> None:
    for table in operations.changed_tables():
        operations.merge(table)


def assert_shares(shares: list[float]) -> None:
    assert all(0 <= share <= 1 for share in shares)


def shown(kit: StoreKit) -> dict[Entity, int]:
    """The entities that have rows, with how many."""
    found: dict[Entity, int] = {}
    for kind, table in PROJECTIONS.items():
        for project, id, rows in kit.query(f"SELECT project_id, id, count(*) FROM {table} GROUP BY project_id, id"):
            found[Entity(project, kind, id)] = rows
    return found


def ids(kit: StoreKit) -> set[str]:
    """Ids of the entities that have rows; every one has a single row."""
    found = shown(kit)
    assert set(found.values()) <= {1}
    return {entity.id for entity in found}


def contents(kit: StoreKit) -> list[tuple[Any, ...]]:
    """Everything that can be compared before and after."""
    tables = ("raw_events", *PROJECTIONS.values())
    times = {"raw_events": "ingested_at"} | {table: TIME_COLUMN[kind] for kind, table in PROJECTIONS.items()}
    return sorted(
        (table, *row) for table in tables for row in kit.query(f"SELECT project_id, {times[table]} FROM {table}")
    )


def said(
    id: str,
    kind: str = "trace",
    at: int = 0,
    *,
    project: str = "p",
    event: str | None = None,
    mapping: int | None = None,
    **body: Any,
) -> Event:
    """An event received `at` milliseconds after the beginning; with `mapping` it was made from a span."""
    types = {
        "observation": "span-create",
        "trace": "trace-create",
        "score": "score-create",
        "dataset_run_item": "dataset-run-item-create",
    }
    body = {"id": id, **({"value": 1, "name": "quality"} if kind == "score" else {}), **body}
    name = event or f"{kind}-{id}-{at}"
    metadata = None if mapping is None else {"source": f"{kind}-{id}", "mapping": mapping}
    stamp = "2026-11-21T06:00:00.000Z"
    return Event(Entity(project, kind, id), name, types[kind], stamp, body, NOW + at, metadata)


def conversation(trace: str, at: int = 0, project: str = "p", secret: str = "hello") -> list[Event]:
    """A trace with an observation and a score."""
    return [
        said(trace, at=at, project=project, name="chat", input=secret, tags=["a", "b"], metadata={"k": secret}),
        said(f"{trace}-o", "observation", at, project=project, traceId=trace, input=secret, metadata={"m": secret}),
        said(f"{trace}-s", "score", at, project=project, traceId=trace, comment=secret),
    ]


SIDE_TABLES = ("traces_metadata", "traces_tags", "observations_metadata", "scores_metadata")


def side_entities(kit: StoreKit) -> set[str]:
    """Entities that have side rows; none in a store without side tables."""
    if kit.kind == "sqlite":
        return set()
    return {id for table in SIDE_TABLES for (id,) in kit.query(f"SELECT entity_id FROM {table} WHERE NOT is_deleted")}

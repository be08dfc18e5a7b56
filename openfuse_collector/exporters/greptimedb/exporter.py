"""The `greptimedb` exporter: batches of events into raw events, side tables and projections that Openfuse reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import Counter

from openfuse_collector.component import Settings
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.exporters.greptimedb import migrations, probe
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.errors import CallError, Cause, consume_error
from openfuse_collector.exporters.greptimedb.flush import Part
from openfuse_collector.exporters.greptimedb.ingest import Ingester
from openfuse_collector.exporters.greptimedb.maintenance import Maintenance
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from openfuse_collector.exporters.greptimedb.writer import Writer
from openfuse_collector.signals import Batch, Origin, RawSpan
from openfuse_collector.store.enrichment import configured_enrichment
from openfuse_collector.store.present import Present
from openfuse_collector.store.projector import Projector


class GreptimedbExporter:
    """One instance owns the fold. A batch is done when the server has taken every call of it; until then it is repeated whole.

    Repeating is harmless: rows replace themselves, and copies in raw_events are told apart by event id.
    """

    def __init__(self, settings: Settings, config: GreptimedbConfig) -> None:
        self._config = config
        self._log = settings.log
        self._instance = settings.instance
        self._sql = SqlClient(config)
        self._writer = Writer(config, self._sql, Ingester(config, self._observe), self._spent)
        enrich = configured_enrichment(settings)
        self._projector = Projector(self._history, enrich, config.fold_cache_size, self._presence)
        self._prepared = not config.create_schema
        self._make_metrics(settings)
        self._maintenance = Maintenance(settings, config, self._sql)

    async def start(self) -> None:
        """The server need not be there yet: the journal takes the data, and the first batch waits for it."""
        self._maintenance.start()

    async def shutdown(self) -> None:
        """Wait for what is being sent, at most as long as a call may take."""
        await asyncio.to_thread(self._maintenance.stop)
        await asyncio.to_thread(self._writer.close)

    def cursor(self, pipeline: str) -> int | None:
        """None: what the server has accepted may still be lost by a crash of its host, so the journal's own cursor and `retain` count."""
        return None

    def export(self, batch: Batch) -> None:
        """Write one batch. Raises RetryableError, or PermanentError when the rows themselves cannot be stored."""
        try:
            self._prepare()
            self._export(batch)
        except CallError as error:
            self._projector.forget()
            self._failed.labels(self._id, error.cause.value).inc()
            raise consume_error(error) from error
        except BaseException:
            self._projector.forget()
            raise

    def _export(self, batch: Batch) -> None:
        """Once more after creating what is missing."""
        try:
            self._write(batch)
        except CallError as error:
            if error.cause is not Cause.SCHEMA or not self._config.create_schema:
                raise
            self._projector.forget()
            self._created(migrations.apply(self._sql, self._config, self._instance))
            self._write(batch)

    def _write(self, batch: Batch) -> None:
        events = [event for item in batch.items for event in item.data]
        spans = [(item.origin, span) for item in batch.items for span in item.spans]
        for flush in self._writer.write(self._parts(events, spans)):
            self._count(self._rows, flush.written)
            self._count(self._removed, flush.removed)
            self._known.inc(flush.known)
        self._maintenance.wrote()

    def _parts(self, events: Iterable[Event], spans: Sequence[tuple[Origin, RawSpan]]) -> Iterator[Part]:
        """Folds the events of some entities at a time: while those are being written, the next ones are folded."""
        groups: list[list[Event]] = [[] for _ in range(self._config.encoder_workers)]
        for event in events:
            groups[hash(event.entity) % len(groups)].append(event)
        for number, group in enumerate(groups):
            if group or (spans and number == 0):
                yield Part(self._projector.apply(group), len(group), spans if number == 0 else ())

    def _prepare(self) -> None:
        if not self._prepared:
            self._created(migrations.ensure(self._sql, self._config, self._instance))
            self._prepared = True

    def _created(self, statements: int) -> None:
        if statements:
            self._log.info("schema created", database=self._config.database, statements=statements)

    def _history(self, entities: Sequence[Entity]) -> Mapping[Entity, Sequence[Event]]:
        return probe.history(self._writer.ask, entities)

    def _presence(self, entities: Sequence[Entity]) -> Mapping[Entity, Present]:
        return probe.presence(self._writer.ask, entities)

    def _make_metrics(self, settings: Settings) -> None:
        metrics, self._id = settings.metrics, str(settings.id)
        self._rows = metrics.counter(
            "openfuse_store_written_rows", "Rows the store has committed.", ["exporter", "table"]
        )
        known = metrics.counter("openfuse_store_duplicate_events", "Events the store already had.", ["exporter"])
        self._known = known.labels(self._id)
        self._removed = metrics.counter(
            "openfuse_greptimedb_replaced_rows",
            "Rows removed because their entity moved in time, was cleared or deleted.",
            ["exporter", "table"],
        )
        self._failed = metrics.counter(
            "openfuse_greptimedb_failed_exports", "Attempts at a batch that failed, by cause.", ["exporter", "cause"]
        )
        self._encode = metrics.counter(
            "openfuse_greptimedb_encode_cpu_seconds",
            "CPU time of the threads that convert and encode rows.",
            ["exporter"],
        ).labels(self._id)
        self._seconds = metrics.histogram(
            "openfuse_greptimedb_call_seconds", "Time of one call that succeeded.", ["exporter", "table"]
        )

    def _spent(self, seconds: float) -> None:
        self._encode.inc(seconds)

    def _observe(self, table: str, seconds: float) -> None:
        self._seconds.labels(self._id, table).observe(seconds)

    def _count(self, counter: Counter, rows: Mapping[str, int]) -> None:
        for table, number in rows.items():
            if number:
                counter.labels(self._id, table).inc(number)

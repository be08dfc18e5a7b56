"""The `greptimedb` exporter: batches of events into raw events, side tables and projections that Openfuse reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from prometheus_client import Counter

from openfuse_collector.component import Settings
from openfuse_collector.errors import PermanentError
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.rows import with_storable_ids
from openfuse_collector.exporters.greptimedb import epoch, horizons, migrations, probe, stored
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.dead_letters import Copies
from openfuse_collector.exporters.greptimedb.errors import CallError, Cause, consume_error
from openfuse_collector.exporters.greptimedb.fair_lock import FairLock
from openfuse_collector.exporters.greptimedb.flush import Part
from openfuse_collector.exporters.greptimedb.ingest import Ingester
from openfuse_collector.exporters.greptimedb.maintenance import Maintenance
from openfuse_collector.exporters.greptimedb.operations import GreptimedbOperations
from openfuse_collector.exporters.greptimedb.settle import Settle
from openfuse_collector.exporters.greptimedb.settle_list import Span
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from openfuse_collector.exporters.greptimedb.writer import Writer
from openfuse_collector.signals import Batch, Origin, RawSpan
from openfuse_collector.store.enrichment import configured_enrichment
from openfuse_collector.store.present import Folded, Present
from openfuse_collector.store.projector import Projector
from openfuse_collector.store.upkeep import Upkeep

_PERHAPS_WRITTEN = frozenset((Cause.UNCLEAR, Cause.SERVER, Cause.ROWS, Cause.TOO_LARGE))


class GreptimedbExporter:
    """One instance owns the fold. A batch is done when the server has taken every call of it; until then it is repeated whole.

    Repeating is harmless: rows replace themselves, and copies in raw_events are told apart by event id. Whoever folds or writes holds
    `lock`: a batch, or the settle pass when it makes rows again.
    """

    def __init__(self, settings: Settings, config: GreptimedbConfig) -> None:
        self._config = config
        self._log = settings.log
        self._instance = settings.instance
        self._sql = SqlClient(config)
        ingester = Ingester(config, self._observe)
        self._writer = Writer(config, self._sql, ingester, self._spent)
        self._copies = Copies(settings, self._sql, ingester)
        enrich = configured_enrichment(settings)
        self._projector = Projector(
            self._history, enrich, config.fold_cache_size, self._presence, assume_new=config.assume_new
        )
        self.lock = FairLock()
        self._epoch: int | None = None
        self._prepared = not config.create_schema
        self._make_metrics(settings)
        self._maintenance = Maintenance(settings, config, self._sql)
        self._upkeep = Upkeep(settings, config.retention, partial(GreptimedbOperations, config))
        self._settle = Settle(settings, config.settle, self._sql, self)

    async def start(self) -> None:
        """The server need not be there yet: the journal takes the data, and the first batch waits for it."""
        self._maintenance.start()
        self._settle.start()
        self._copies.start()
        self._upkeep.start()

    async def shutdown(self) -> None:
        """Wait for what is being sent, at most as long as a call may take."""
        await asyncio.to_thread(self._upkeep.stop)
        await asyncio.to_thread(self._settle.stop)
        await asyncio.to_thread(self._copies.stop)
        await asyncio.to_thread(self._maintenance.stop)
        await asyncio.to_thread(self._writer.close)

    def cursor(self, pipeline: str) -> int | None:
        """None: what the server has accepted may still be lost by a crash of its host, so the journal's own cursor and `retain` count."""
        return None

    def export(self, batch: Batch) -> None:
        """Write one batch. Raises RetryableError, or PermanentError when the rows themselves cannot be stored."""
        with self.lock:
            try:
                self._export(batch)
            except CallError as error:
                self._failed.labels(self._id, error.cause.value).inc()
                self._forget(batch if error.cause in _PERHAPS_WRITTEN else None)
                raise consume_error(error) from error
            except BaseException:
                self._forget(batch)
                raise

    def idle(self) -> None:
        """Between batches: make sure that there are tables, and see what commands have changed. Raises CallError."""
        with self.lock:
            self.prepare()

    def settle(self) -> None:
        """Go over what was written and is quiet, now. Raises CallError."""
        self._settle.go_over()

    def prepare(self) -> None:
        """Make sure that there are tables, and forget everything when a command has changed the store. Raises CallError.

        Which projects were deleted, or have expired, is read anew then.
        """
        if not self._prepared:
            self._created(migrations.ensure(self._sql, self._config, self._instance))
            self._prepared = True
        now = epoch.read(self._sql)
        if now != self._epoch:
            self._projector.forget()
            before, self._projector.horizons = self._projector.horizons, horizons.read(self._sql.rows)
            self._settle.hurry(horizons.newly_deleted(before, self._projector.horizons))
            self._epoch = now
        self._settle.load()

    def expected(self, entity: Entity, events: Sequence[Event]) -> Mapping[str, Any] | None:
        """The row of an entity with these events, None where it has none."""
        return self._projector.expected(entity, events)

    def rewrite(self, entities: Sequence[Entity]) -> Mapping[Entity, Folded]:
        """Make rows again from everything the store has, and write them. Raises CallError and PermanentError."""
        try:
            history = self._history(entities)
            present = stored.everywhere(self._writer.ask, list(history), self._presence(list(history)))
            changes = self._projector.refold(entities, history, present)
            self._written([Part(changes, 0)])
            return changes.folded
        except CallError as error:
            self._projector.forget()
            if isinstance(consume_error(error), PermanentError):
                raise consume_error(error) from error
            raise
        except BaseException:
            self._projector.forget()
            raise

    def _export(self, batch: Batch) -> None:
        """Once more after creating what is missing."""
        try:
            self.prepare()
            self._write(batch)
        except CallError as error:
            if error.cause is not Cause.SCHEMA or not self._config.create_schema:
                raise
            self._projector.forget()
            self._created(migrations.apply(self._sql, self._config, self._instance))
            self.prepare()
            self._write(batch)

    def _write(self, batch: Batch) -> None:
        announced = [event for item in batch.items for event in item.announced]
        events = self._projector.with_announcements([event for item in batch.items for event in item.data], announced)
        spans = [(item.origin, span) for item in batch.items for span in item.spans]
        received = _received(events)
        if received is not None:
            self._settle.before(received)
        folded: dict[Entity, Folded] = {}
        self._written(_noting(self._parts(events, spans), folded))
        if received is not None:
            self._settle.wrote(received, folded)
        self._maintenance.wrote()

    def _written(self, parts: Iterable[Part]) -> None:
        for flush in self._writer.write(parts):
            self._count(self._rows, flush.written)
            self._count(self._removed, flush.removed)
            self._known.inc(flush.known)

    def _forget(self, batch: Batch | None) -> None:
        """After a failure: everything remembered, and that the entities of the batch, if given, were left in any known state."""
        self._projector.forget()
        items = () if batch is None else batch.items
        events = [event for item in items for event in (*item.data, *item.announced)]
        received = _received(events)
        if received is not None:
            self._settle.doubt(received, {event.entity for event in events})

    def _parts(self, events: Iterable[Event], spans: Sequence[tuple[Origin, RawSpan]]) -> Iterator[Part]:
        """Folds the events of some entities at a time: while those are being written, the next ones are folded.

        Entities are told apart by the ids the store has of them: two threads that write one leave the row of either.
        """
        groups: list[list[Event]] = [[] for _ in range(self._config.encoder_workers)]
        for event in map(with_storable_ids, events):
            groups[hash(event.entity) % len(groups)].append(event)
        for number, group in enumerate(groups):
            if group or (spans and number == 0):
                yield Part(self._projector.apply(group), len(group), spans if number == 0 else ())

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


def _noting(parts: Iterable[Part], folded: dict[Entity, Folded]) -> Iterator[Part]:
    """The parts, and what their entities were folded from."""
    for part in parts:
        folded.update(part.changes.folded)
        yield part


def _received(events: Sequence[Event]) -> Span | None:
    if not events:
        return None
    times = [event.ingested_at for event in events]
    return Span(min(times), max(times))

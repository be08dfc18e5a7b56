"""The settle pass: some time after an entity was last written, is what the store has of it what its events say?

Several collectors may write one entity at once, and commands and Openfuse write too. Each writer folds the events it knows of, so the last
row may lack events of another writer, or be there twice at two times. Whoever wrote goes over it later: the first look is cheap and
compares the number of events and the place of the row with what this collector left. Where they differ the rows are read whole, and made
again if they are wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from threading import Event as Flag
from threading import Thread
from time import monotonic
from typing import NamedTuple

from openfuse_collector.component import Settings
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.exporters.greptimedb import probe, stored
from openfuse_collector.exporters.greptimedb.compared import Row as SideRow
from openfuse_collector.exporters.greptimedb.compared import is_right, side_rows_of
from openfuse_collector.exporters.greptimedb.config import SettleConfig
from openfuse_collector.exporters.greptimedb.errors import CallError
from openfuse_collector.exporters.greptimedb.rows import Row
from openfuse_collector.exporters.greptimedb.settle_list import Expected, SettleList, Slice, Span, unpacked
from openfuse_collector.exporters.greptimedb.settle_marks import Marks
from openfuse_collector.exporters.greptimedb.settle_repair import Owner, Repairs
from openfuse_collector.exporters.greptimedb.sql import Rows, SqlClient
from openfuse_collector.store.present import Folded
from openfuse_collector.telemetry.limited import Limited
from openfuse_collector.threads import end

LOOK = 1000
"""Entities of the first look at a time."""
READ = 200
"""Entities that are read whole at a time: bounds memory, and how long writing waits."""
MANY = 5 * LOOK
"""Entities of a stretch of time beyond which the next one is shorter."""
LONGEST = 3_600_000
"""Milliseconds searched at a time where there is little."""


class Look(NamedTuple):
    """What is known of an entity when it is looked at."""

    expected: Expected | None
    newest: bytes | None
    """What it was left as since its slice, packed: if that changes meanwhile its turn comes again."""


class Settle:
    """The list is fed by the owner, under its lock; a thread goes over it. What fails is tried again at the next interval."""

    def __init__(self, settings: Settings, config: SettleConfig, sql: SqlClient, owner: Owner) -> None:
        self._config = config
        self._log = settings.log
        self._limited = Limited(settings.log)
        self._sql = sql
        self._owner = owner
        self._list = SettleList(config.max_size, float(config.interval), float(config.after))
        self._marks = Marks(sql, f"{settings.instance}/{settings.id}")
        self._loaded = self._failing = False
        self._stretch = 1000
        self._stop = Flag()
        self._make_metrics(settings)
        self._repairs = Repairs(owner, self._list, self._marks, float(config.after), self._limited, self._refolded)
        self._thread = Thread(target=self._run, name="greptimedb settle", daemon=True)

    # for the owner, under its lock

    @property
    def on(self) -> bool:
        """Whether entities are gone over at all."""
        return self._config.interval > 0

    def load(self) -> None:
        """Once there are tables: what an earlier life of this collector did not get to. Raises CallError."""
        if self.on and not self._loaded:
            left = self._marks.load()
            if left is not None:
                self._list.search(monotonic(), left)
            self._loaded = True

    def before(self, span: Span) -> None:
        """Something received within `span` is about to be written. Raises CallError."""
        if self.on:
            self._marks.widen(span, self._repairs.outstanding)

    def wrote(self, span: Span, folded: Mapping[Entity, Folded]) -> None:
        """These were written."""
        if self.on:
            self._list.add(monotonic(), span, folded)
            self._repairs.stored()

    def doubt(self, span: Span, entities: Iterable[Entity]) -> None:
        """These may have been written or not."""
        if self.on:
            self._list.doubt(monotonic(), span, entities)

    def hurry(self, deleted: AbstractSet[str] = frozenset()) -> None:
        """Somebody has changed the store, and deleted these projects."""
        self._list.hurry(deleted)

    # the thread

    def start(self) -> None:
        """Begin, unless it is off."""
        if self.on:
            self._thread.start()

    def stop(self) -> None:
        """Idempotent, and safe without `start`."""
        end(self._stop, self._thread)

    def _run(self) -> None:
        while not self._stop.wait(self._config.interval):
            try:
                self.go_over()
                self._failing = False
            except CallError as error:
                if not self._failing:
                    self._log.info("cannot go over what was written, will try again", error=str(error))
                self._failing = True
            except Exception:
                if not self._stop.is_set():
                    self._log.exception("going over what was written failed, will try again")

    def go_over(self) -> None:
        """Everything that is due. Raises CallError; what was not reached then comes again."""
        with self._owner.lock:
            self._owner.prepare()
            self._repairs.begin()
        while not self._stop.is_set():
            before = monotonic() - self._config.after
            with self._owner.lock:
                slice, span = self._list.take(before), self._list.to_search(before)
                again = {entity: self._list.newest(entity) for entity in self._repairs.due()}
            if slice is not None:
                self._go_over(slice)
            elif span is not None:
                self._search(span)
            elif again:
                self._read(again)
            else:
                break
        with self._owner.lock:
            if self._repairs.outstanding is None:
                self._marks.clear()

    def _go_over(self, slice: Slice) -> None:
        entries = iter(slice)
        while some := list(islice(entries, LOOK)):
            if self._stop.is_set():
                return
            with self._owner.lock:
                looks = dict(self._looks(some, slice))
            self._read(self._suspects(looks, slice))
            self._checked.inc(len(looks))
            self._stop.wait(len(looks) / self._config.rate)
        with self._owner.lock:
            self._list.done()

    def _looks(self, some: Iterable[tuple[Entity, Expected | None]], slice: Slice) -> Iterator[tuple[Entity, Look]]:
        """Entities that are quiet; some of the others as they were left last, because the end of a long trace may be hours away."""
        for entity, expected in some:
            newest = self._list.newest(entity)
            if newest is None:
                yield entity, Look(expected, None)
            elif slice.thorough:
                yield entity, Look(unpacked(newest), newest)

    def _suspects(self, looks: Mapping[Entity, Look], slice: Slice) -> dict[Entity, bytes | None]:
        """Those to be read whole, and what they were left as last: they are not as they were left, or nobody knows how that was."""
        suspects = {entity: look.newest for entity, look in looks.items() if look.expected is None}
        known = {entity: look.expected for entity, look in looks.items() if look.expected is not None}
        extents, places = stored.extents(self._ask, list(known)), stored.places(self._ask, list(known))
        for entity, expected in known.items():
            extent = extents.get(entity)
            if extent is None or extent.events < expected.folded.extent.events:
                self._report_missing(entity)
            elif not expected.fits(extent, *places.get(entity, stored.Place()), strict=slice.strict):
                suspects[entity] = looks[entity].newest
        return suspects

    def _report_missing(self, entity: Entity) -> None:
        self._missing.inc()
        self._limited.warning(
            "missing",
            "the store has lost events that it had accepted, send them again: openfuse-collector rewind",
            entity=entity.id,
            type=entity.type,
            project=entity.project_id,
        )

    def _read(self, suspects: Mapping[Entity, bytes | None]) -> None:
        """Reads entities whole, beside the writing of others, and makes wrong rows again."""
        entities = iter(suspects)
        while some := list(islice(entities, READ)):
            histories = probe.history(self._ask, some)
            rows, sides = stored.rows_of(self._ask, some), side_rows_of(self._ask, some)
            with self._owner.lock:
                if self._stop.is_set():
                    return
                # Written meanwhile: its turn comes again.
                wrong = {
                    entity: max(event.ingested_at for event in history)
                    for entity, history in histories.items()
                    if self._list.newest(entity) == suspects[entity]
                    and not self._is_right(entity, history, rows.get(entity, ()), sides.get(entity, {}))
                }
                for entity in some:
                    if entity not in wrong:
                        self._repairs.settled(entity)
            for _ in self._repairs.make(wrong):
                if self._stop.is_set():
                    return

    def _is_right(
        self, entity: Entity, history: Sequence[Event], rows: Sequence[Row], sides: Mapping[str, Sequence[SideRow]]
    ) -> bool:
        try:
            expected = self._owner.expected(entity, history)
        except Exception as error:  # the events nobody can fold are dead letters already
            self._limited.warning(
                "fold", "an entity cannot be folded", entity=entity.id, type=entity.type, error=str(error)
            )
            return True
        return is_right(entity, expected, rows, sides)

    def _search(self, span: Span) -> None:
        """Looks for entities in the next stretch of time, shorter where there are many; on to the next ones where there are none.

        Those may be far away: a collector whose clock began in 1970 has received something then and the rest today.
        """
        end = min(span.end, span.start + self._stretch - 1)
        found = stored.received_within(self._ask, span.start, end, MANY + 1 if end > span.start else None)
        if len(found) > MANY and end > span.start:
            self._stretch = max(1, self._stretch // 2)
            return
        if len(found) < LOOK:
            self._stretch = min(self._stretch * 2, LONGEST)
        if not found and end < span.end:
            first = stored.first_received(self._ask, end + 1, span.end)
            end = span.end if first is None else first - 1
        for start in range(0, len(found), LOOK):
            some = found[start : start + LOOK]
            self._read(dict.fromkeys(some))
            self._checked.inc(len(some))
            if self._stop.wait(len(some) / self._config.rate):
                return
        with self._owner.lock:
            self._list.searched(end)

    def _make_metrics(self, settings: Settings) -> None:
        metrics, id = settings.metrics, str(settings.id)
        counters = (
            metrics.counter(
                "openfuse_settle_checked", "Entities gone over some time after they were written.", ["exporter"]
            ),
            metrics.counter("openfuse_settle_refolded", "Entities whose rows were wrong and made again.", ["exporter"]),
            metrics.counter(
                "openfuse_settle_missing", "Entities of which the store has lost events it had accepted.", ["exporter"]
            ),
        )
        self._checked, self._refolded, self._missing = (counter.labels(id) for counter in counters)
        waiting = metrics.gauge("openfuse_settle_waiting", "Entities that are waiting to be gone over.", ["exporter"])
        waiting.labels(id).set_function(lambda: len(self._list) + len(self._repairs))

    def _ask(self, queries: Sequence[str]) -> Iterator[Rows]:
        return map(self._sql.rows, queries)

"""The incremental fold: what memory keeps of an entity so that one more event costs the same whatever came before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import Enum
from typing import NamedTuple

from openfuse_collector.events.columns import TIME_COLUMN
from openfuse_collector.events.deletion import NEVER, last_stated, stated_at
from openfuse_collector.events.event import TOMBSTONE, UNREADABLE, Entity, Event
from openfuse_collector.events.generation import following
from openfuse_collector.events.order import instant, order_key
from openfuse_collector.events.record import Record, finish
from openfuse_collector.events.registers import Registers
from openfuse_collector.events.source import source_of
from openfuse_collector.events.weight import weight
from openfuse_collector.events.writes import writes

_ID_BYTES = 180


class Outcome(Enum):
    """What an event did to an accumulator."""

    APPLIED = "applied"
    """It was new. The record may have changed."""
    DUPLICATE = "duplicate"
    """It was known. Nothing changed."""
    REFOLD = "refold"
    """It replaces an event that is folded in already. Nothing changed; the accumulator must be rebuilt from history."""


class Extent(NamedTuple):
    """Which events an entity has, as far as two numbers can say: a set that gained an event, or an earlier copy of one, differs."""

    events: int
    """Distinct events: tombstones and superseded ones included."""
    received: int
    """Sum of their receive times, of each event that of its first copy; epoch milliseconds."""


class Accumulator:
    """The state of one entity. Order-free and idempotent: any sequence of applies of one event set gives one record.

    An entity with a single event, which most span-derived ones are for good, keeps that event and nothing else.
    """

    __slots__ = (
        "_at_newest",
        "_full",
        "_ids",
        "_latest",
        "_newest",
        "_only",
        "_received",
        "_said",
        "_shallow",
        "_sources",
        "_stated",
        "_tombstone",
        "_unreadable",
    )

    def __init__(self) -> None:
        self._only: Event | None = None
        self._ids: dict[str, int] = {}
        """Event id -> ingested_at of its first copy; empty while `_only` is all there is."""
        self._received = 0
        """Sum of the values of `_ids`."""
        self._sources: dict[str, tuple[int, int]] = {}
        """Source digest -> mapping of the events that count, and when the first of any mapping was received."""
        self._full: Registers | None = None
        self._shallow: Registers | None = None
        """Writes of shallow events, as long as there are no others."""
        self._newest = -1
        """Largest ingested_at of a live event, and below how many events have it."""
        self._at_newest = 0
        self._latest: tuple[Entity, int, int] | None = None
        """The entity, the smallest and the largest ingested_at of all events."""
        self._said = False
        """Whether anything but remarks was said."""
        self._stated = NEVER
        """When the newest live event without a source was news."""
        self._tombstone = NEVER
        self._unreadable: Event | None = None
        """The newest of what the store has and nobody can read; never `_only`."""

    @classmethod
    def of(cls, events: Iterable[Event]) -> Accumulator:
        """The accumulator of a history, which may hold copies and superseded events in any order."""
        first: dict[str, Event] = {}
        accumulator = cls()
        for event in events:
            if event.type == UNREADABLE:
                accumulator._pass_over(event)
                continue
            known = first.get(event.id)
            if known is None or event.ingested_at < known.ingested_at:
                first[event.id] = event
        # Highest mapping first: what it supersedes is then recognised instead of replaced.
        for event in sorted(first.values(), key=_mapping, reverse=True):
            accumulator.apply(event)
        return accumulator

    @classmethod
    def read(cls, history: Callable[[], Iterable[Event]]) -> Accumulator:
        """`of`, without holding the events of a long history: once over it, as a rule, and twice where `of` must have them in its order."""
        accumulator = cls()
        for event in history():
            if event.type == UNREADABLE or accumulator.apply(event) is Outcome.REFOLD:
                return cls.of(history())
        return accumulator

    def apply(self, event: Event) -> Outcome:
        """Take one event of this accumulator's entity."""
        if self._latest is None and self._unreadable is None:
            only = self._only
            if only is None:
                self._only = event
                return Outcome.APPLIED
            if only.id == event.id:
                return self._copy_of_only(only, event)
            self._only = None
            self._take(only)
        return self._take(event)

    def record(self, deleted_at: int = NEVER) -> Record | None:
        """The record of the entity, None when there is nothing to store. The caller owns it, but not what is nested in it.

        `deleted_at` is a tombstone from outside the history, that of the project. Raises ValueError where the history has an event that
        cannot be read, and the entity is not deleted whatever that says: what the others say may not be the truth without it.
        """
        if self._unreadable is not None:
            self._check_deleted(self._unreadable, deleted_at)
            return None
        if self._latest is None:
            return None if self._only is None else _record_of(self._only, deleted_at)
        registers = self._full or self._shallow
        if registers is None or registers.first is None or not self._said:
            return None
        entity, created_at, updated_at = self._latest
        record = finish(entity, registers.columns(), registers.first[0], created_at, updated_at)
        tombstone = max(self._tombstone, deleted_at)
        return record if tombstone == NEVER or tombstone < self._last_stated() else _deleted(record, entity.type)

    @property
    def readable(self) -> bool:
        """Whether every event of the history could be read."""
        return self._unreadable is None

    @property
    def last_received(self) -> int:
        """Largest ingested_at of all events, those that cannot be read included; NEVER where there are none."""
        if self._only is not None:
            return self._only.ingested_at
        last = NEVER if self._latest is None else self._latest[2]
        return last if self._unreadable is None else max(last, self._unreadable.ingested_at)

    @property
    def event_ids(self) -> Collection[str]:
        """Ids of all events known, tombstones and superseded ones included."""
        return (self._only.id,) if self._only is not None else self._ids.keys()

    @property
    def extent(self) -> Extent:
        """The events this is made of."""
        if self._only is not None:
            return Extent(1, self._only.ingested_at)
        return Extent(len(self._ids), self._received)

    @property
    def size(self) -> int:
        """Approximate bytes held."""
        only = self._only
        if only is not None:
            beside = len(only.timestamp) + (0 if only.derived else weight(only.metadata))
            return 900 + beside + sum(100 + weight(value) for value in only.body.values())
        ids = _ID_BYTES * (len(self._ids) + len(self._sources))
        return ids + sum(registers.size for registers in (self._full, self._shallow) if registers is not None)

    def generation(self, previous: int | None = None) -> int:
        """The `eav_generation` of the present event set, see `generation.generation`."""
        only = self._only
        if only is not None:
            return following(0, 0, previous) if only.type == TOMBSTONE else following(only.ingested_at, 1, previous)
        return following(max(self._newest, 0), self._at_newest, previous)

    def _pass_over(self, event: Event) -> None:
        if self._unreadable is None or event.ingested_at > self._unreadable.ingested_at:
            self._unreadable = event

    def _check_deleted(self, unreadable: Event, deleted_at: int) -> None:
        """All that can be known of an entity with an unreadable event is that it is deleted: no event is news later than it is received."""
        tombstone = max(self._tombstone, deleted_at)
        if tombstone == NEVER or tombstone < max(self._last_stated(), unreadable.ingested_at):
            reason = (unreadable.metadata or {}).get(UNREADABLE)
            raise ValueError(f"its raw event received at {unreadable.timestamp} cannot be read: {reason}")

    def _copy_of_only(self, only: Event, copy: Event) -> Outcome:
        if copy.ingested_at >= only.ingested_at:
            return Outcome.DUPLICATE
        self._only = copy
        return Outcome.APPLIED

    def _take(self, event: Event) -> Outcome:
        known = self._ids.get(event.id)
        if known is not None:
            return Outcome.DUPLICATE if event.ingested_at >= known else Outcome.REFOLD
        source = source_of(event)
        current = None if source is None else self._sources.get(source.digest)
        if source is not None and current is not None and source.mapping > current[0]:
            return Outcome.REFOLD
        self._count(event)
        if event.type == TOMBSTONE:
            self._tombstone = max(self._tombstone, event.ingested_at)
            return Outcome.APPLIED
        self._count_live(event.ingested_at)
        if source is None:
            self._stated = max(self._stated, stated_at(event))
        elif current is None:
            self._sources[source.digest] = source.mapping, event.ingested_at
        else:
            self._sources[source.digest] = current[0], min(current[1], event.ingested_at)
            if source.mapping < current[0]:
                return Outcome.APPLIED
        self._write(event)
        return Outcome.APPLIED

    def _last_stated(self) -> int:
        """Looked for only where there is a tombstone, because the first receive time of a source may still move back."""
        return max((self._stated, *(first for _, first in self._sources.values())))

    def _count(self, event: Event) -> None:
        at = event.ingested_at
        self._ids[event.id] = at
        self._received += at
        if self._latest is None:
            self._latest = (event.entity, at, at)
            return
        entity, first, last = self._latest
        if at < first or at > last:
            self._latest = (entity, min(first, at), max(last, at))

    def _count_live(self, at: int) -> None:
        if at > self._newest:
            self._newest, self._at_newest = at, 1
        elif at == self._newest:
            self._at_newest += 1

    def _write(self, event: Event) -> None:
        """Fold the event in. The first full event of a trace makes everything shallow ones said void."""
        if event.shallow:
            if self._full is not None:
                return
            registers = self._shallow = self._shallow or Registers(event.entity.type)
        else:
            if self._full is None:
                self._full, self._shallow, self._said = Registers(event.entity.type), None, False
            registers = self._full
        columns = writes(event)
        if columns is not None:
            registers.write(order_key(event), columns)
            self._said = self._said or not event.remark


def _record_of(event: Event, deleted_at: int) -> Record | None:
    """The record of an entity with one event: no registers, no order."""
    if event.type == TOMBSTONE or event.remark:
        return None
    columns = writes(event)
    if columns is None:
        return None
    first = "" if TIME_COLUMN[event.entity.type] in columns else instant(event.timestamp)
    record = finish(event.entity, columns, first, event.ingested_at, event.ingested_at)
    if deleted_at == NEVER or deleted_at < last_stated((event,)):
        return record
    return _deleted(record, event.entity.type)


def _deleted(record: Record, entity_type: str) -> Record | None:
    record["is_deleted"] = True
    return None if entity_type == "dataset_run_item" else record


def _mapping(event: Event) -> int:
    source = source_of(event)
    return 0 if source is None else source.mapping

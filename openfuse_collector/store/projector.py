"""The one owner of the fold: knows recent entities, asks the store about the others, turns new events into rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from openfuse_collector.enrich import Enrich
from openfuse_collector.errors import PermanentError
from openfuse_collector.events.accumulator import Accumulator, Outcome
from openfuse_collector.events.columns import COLUMNS, TIME_COLUMN
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.rows import Scalar, row, with_storable_ids
from openfuse_collector.store.horizon import OPEN, Horizons, record_within
from openfuse_collector.store.present import Folded, Presence, Present, filled
from openfuse_collector.store.sightings import Sightings

Histories = Mapping[Entity, Iterable[Event]]
"""All raw events of entities, in no particular order. A store may read them as they are gone over: a sender decides how many there are."""

History = Callable[[Sequence[Entity]], Histories]
"""Asks the store for all raw events of some entities; entities it does not know are absent from the answer."""

_Known = tuple[Accumulator, Present | None, int]
"""What is remembered of an entity: its state, what the store has of it, and the bytes that takes."""

ANNOUNCED = 10_000
"""Traces of which it is known that they were announced. Of more, some are announced again with each request."""
FEW = 10
"""Events of an observation made from spans and log records, beyond which it is remembered like any other entity."""
_PRESENT_BYTES = 400


@dataclass
class Changes:
    """What one call of `Projector.apply` found to write."""

    raw: list[Event] = field(default_factory=list)
    """Events the store does not have."""
    earlier: list[Event] = field(default_factory=list)
    """Copies of events the store has, received earlier than its copy: `ingested_at` must become theirs."""
    rows: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """Projection rows by entity type: column -> value. `is_deleted` rows are to be removed where the store removes."""
    replaced: dict[Entity, Present] = field(default_factory=dict)
    """What the store has of entities in `rows` and `gone`; only where the store was asked (`presence`)."""
    folded: dict[Entity, Folded] = field(default_factory=dict)
    """What each entity with something to write was made of; only where the store was asked (`presence`)."""
    gone: list[Entity] = field(default_factory=list)
    """Entities that have no row, though they may have had one: what it rested on was replaced by an earlier copy or a newer mapping."""
    events: int = 0
    """How many events it was given; counted by the store."""
    spans: int = 0
    """Raw spans the store did not have; counted by the store that keeps them."""

    def add_row(self, entity_type: str, values: Mapping[str, Any]) -> None:
        """One more row of that entity type."""
        self.rows.setdefault(entity_type, []).append(values)


class _StoreFailed(Exception):
    """The store did not answer in the middle of a fold: no fault of the entity, whatever kind of error it is."""

    def __init__(self, reason: Exception) -> None:
        self.reason = reason


class Projector:
    """Folds events into rows incrementally. Not thread-safe: one owner, one thread.

    The state is a bounded cache of accumulators. An entity that is not in it is read from the store, so the result never depends on what
    happens to be cached. Whoever could not write the changes must call `forget`.

    A store keyed by time gives `presence`. It has no transactions either: what it has of raw events proves nothing about its rows, so the
    row of an entity that was read from it is written again even if every event was known. With `assume_new` such a store is not asked about
    observations that are made of nothing but spans: who writes over what is there has to find out later.
    """

    def __init__(
        self,
        history: History,
        enrich: Enrich,
        max_bytes: int,
        presence: Presence | None = None,
        *,
        assume_new: bool = False,
    ) -> None:
        self._history = history
        self._assume_new = assume_new and presence is not None
        self._presence = presence
        self._enrich = enrich
        self._max_bytes = max_bytes
        self.horizons: Horizons = {}
        """Which projects were deleted, and when: kept up to date by the store."""
        self._sightings = Sightings(ANNOUNCED)
        self._bytes = 0
        self._known: OrderedDict[Entity, _Known] = OrderedDict()

    def apply(self, events: Iterable[Event]) -> Changes:
        """Fold `events` in. Raises PermanentError naming the entity that cannot be folded; call `forget` then."""
        by_entity: dict[Entity, list[Event]] = {}
        for event in map(with_storable_ids, events):
            by_entity.setdefault(event.entity, []).append(event)
        stored = self._history([entity for entity, group in by_entity.items() if self._is_asked_for(entity, group)])
        # Raw events are written before rows: an entity without the former has none of the latter.
        present = {} if self._presence is None or not stored else self._presence(list(stored))
        return self._fold_all(by_entity, stored, present)

    def with_announcements(self, events: list[Event], announced: Iterable[Event]) -> list[Event]:
        """`events`, and those of `announced` whose trace nobody has announced here since `forget`: it may be gone from the store."""
        for event in events:
            if event.entity.type == "trace" and event.shallow:
                self._sightings.is_news(event)
        return [*events, *filter(self._sightings.is_news, announced)]

    def refold(self, entities: Iterable[Entity], stored: Histories, present: Mapping[Entity, Present]) -> Changes:
        """Make the rows of entities again from what the store has just answered, whatever is remembered. Raises as `apply` does."""
        groups: dict[Entity, list[Event]] = {entity: [] for entity in entities if entity in stored}
        for entity in groups:
            self._take(entity)
        return self._fold_all(groups, stored, present)

    def expected(self, entity: Entity, events: Sequence[Event]) -> dict[str, Scalar] | None:
        """The row an entity with these events should have, None where it should have none. Remembers nothing."""
        made = self._row(entity, Accumulator.of(events), None)
        return None if made is None or made["is_deleted"] else made

    def _is_asked_for(self, entity: Entity, group: list[Event]) -> bool:
        return entity not in self._known and not (self._assume_new and _first_of(entity, group))

    def _fold_all(
        self,
        groups: Mapping[Entity, list[Event]],
        stored: Histories,
        present: Mapping[Entity, Present],
    ) -> Changes:
        changes = Changes()
        for entity, group in groups.items():
            try:
                self._fold(entity, group, stored, present, changes)
            except _StoreFailed as failed:
                raise failed.reason from None
            except Exception as error:
                raise PermanentError(
                    f"{entity.type} {entity.id}: cannot be folded: {type(error).__name__}: {error}"
                ) from error
        self._evict()
        return changes

    def forget(self) -> None:
        """Drop all state; the store is asked again. After a failed write, and when somebody else wrote to the store."""
        self._known.clear()
        self._bytes = 0
        self._sightings.forget()

    def _fold(
        self,
        entity: Entity,
        group: list[Event],
        stored: Histories,
        rows: Mapping[Entity, Present],
        changes: Changes,
    ) -> None:
        taken = self._take(entity)
        accumulator, present = taken or (Accumulator.read(lambda: _events_of(entity, stored)), rows.get(entity))
        refold, changed = False, taken is None and self._presence is not None
        # Id -> when it was received: what makes a refold necessary is not in the accumulator.
        added: dict[str, int] = {}
        for event in group:
            known = event.id in added or event.id in accumulator.event_ids
            outcome = accumulator.apply(event)
            if not known:
                added[event.id] = event.ingested_at
                changes.raw.append(event)
            elif outcome is not Outcome.DUPLICATE and event.ingested_at < added.get(event.id, inf):
                changes.earlier.append(event)
            refold = refold or outcome is Outcome.REFOLD
            changed = changed or outcome is not Outcome.DUPLICATE
        if refold:
            accumulator = self._refold(entity, group)
        was_there = taken is not None or entity in stored
        keep = _is_kept(entity, group, accumulator, was_there)
        if changed:
            made = self._row(entity, accumulator, present)
            if made is not None:
                changes.add_row(entity.type, made)
            elif was_there:
                changes.gone.append(entity)
            if self._presence is not None:
                _note_replaced(changes, entity, accumulator, made, present)
            present = _once_written(entity.type, made) if keep and made is not None and self._presence else None
        if keep:
            self._keep(entity, accumulator, present)

    def _row(self, entity: Entity, accumulator: Accumulator, present: Present | None) -> dict[str, Scalar] | None:
        record = record_within(accumulator, self.horizons.get(entity.project_id, OPEN))
        if record is None or entity.type not in COLUMNS:
            return None
        record["eav_generation"] = accumulator.generation(None if present is None else present.generation)
        return row(entity.type, self._enrich(entity.type, record))

    def _refold(self, entity: Entity, group: list[Event]) -> Accumulator:
        """From everything there is: what the store has and what has just come."""
        try:
            history = self._history([entity])
        except Exception as error:
            raise _StoreFailed(error) from error
        return Accumulator.of([*_events_of(entity, history), *group])

    def _take(self, entity: Entity) -> tuple[Accumulator, Present | None] | None:
        entry = self._known.pop(entity, None)
        if entry is None:
            return None
        accumulator, present, size = entry
        self._bytes -= size
        return accumulator, present

    def _keep(self, entity: Entity, accumulator: Accumulator, present: Present | None) -> None:
        size = accumulator.size + (0 if present is None else _PRESENT_BYTES)
        self._known[entity] = accumulator, present, size
        self._bytes += size

    def _evict(self) -> None:
        """Between batches only: an entity that was known when a batch began was not asked for, so it must stay until it is folded.

        The largest of those that would have to go stays, whatever its size. A sender that gives everything one trace id makes it larger
        than the cache; its history, read again with every batch, would take longer each time.
        """
        spared: tuple[Entity, _Known] | None = None
        while self._bytes > self._max_bytes and self._known:
            entity, known = self._known.popitem(last=False)
            self._bytes -= known[2]
            if self._max_bytes and (spared is None or known[2] > spared[1][2]):
                spared = entity, known
        if spared is not None:
            entity, self._known[entity] = spared
            self._bytes += self._known[entity][2]


def _events_of(entity: Entity, stored: Histories) -> Iterator[Event]:
    try:
        yield from stored.get(entity, ())
    except Exception as error:
        raise _StoreFailed(error) from error


def _is_kept(entity: Entity, group: list[Event], accumulator: Accumulator, was_there: bool) -> bool:
    """Whether to remember an entity. One that has had many events has more to come, and takes longer to read each time.

    Not with an event nobody can read: somebody may put it right in the store. Nor what only looks long because nobody asked the store.
    """
    long = was_there and accumulator.extent.events > FEW
    return accumulator.readable and (long or not _complete(entity, group))


def _complete(entity: Entity, group: list[Event]) -> bool:
    """True for observations made from spans: nothing but a resend is likely to follow, and for that the store can be asked."""
    return entity.type == "observation" and all(event.derived for event in group)


def _first_of(entity: Entity, group: list[Event]) -> bool:
    """True where there are spans, and nothing that says to come after something: updates are made of log records."""
    return _complete(entity, group) and all(event.type.endswith("-create") for event in group)


def _note_replaced(
    changes: Changes, entity: Entity, accumulator: Accumulator, made: Mapping[str, Any] | None, present: Present | None
) -> None:
    """What a store keyed by time has to know to put a row in the place of those it has."""
    if present is not None:
        changes.replaced[entity] = present
    changes.folded[entity] = _folded(entity.type, accumulator, made)


def _folded(entity_type: str, accumulator: Accumulator, made: Mapping[str, Any] | None) -> Folded:
    if made is None or made["is_deleted"]:
        return Folded(accumulator.extent, None, 0)
    return Folded(accumulator.extent, made[TIME_COLUMN[entity_type]], made.get("eav_generation", 0))


def _once_written(entity_type: str, made: Mapping[str, Any]) -> Present | None:
    """What the store has of the entity once its row is written and those it replaces are gone."""
    if made["is_deleted"]:
        return None
    return Present(
        frozenset((made[TIME_COLUMN[entity_type]],)), made.get("eav_generation", 0), filled(entity_type, made)
    )

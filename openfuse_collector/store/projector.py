"""The one owner of the fold: knows recent entities, asks the store about the others, turns new events into rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openfuse_collector.enrich import Enrich
from openfuse_collector.errors import PermanentError
from openfuse_collector.events.accumulator import Accumulator, Outcome
from openfuse_collector.events.columns import COLUMNS
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.rows import row

History = Callable[[Sequence[Entity]], Mapping[Entity, Sequence[Event]]]
"""Asks the store for all raw events of some entities; entities it does not know are absent from the answer."""


@dataclass
class Changes:
    """What one call of `Projector.apply` found to write."""

    raw: list[Event] = field(default_factory=list)
    """Events the store does not have."""
    earlier: list[Event] = field(default_factory=list)
    """Copies of events the store has, received earlier than its copy: `ingested_at` must become theirs."""
    rows: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """Projection rows by entity type: column -> value. `is_deleted` rows are to be removed where the store removes."""

    def add_row(self, entity_type: str, values: Mapping[str, Any]) -> None:
        """One more row of that entity type."""
        self.rows.setdefault(entity_type, []).append(values)


class Projector:
    """Folds events into rows incrementally. Not thread-safe: one owner, one thread.

    The state is a bounded cache of accumulators. An entity that is not in it is read from the store, so the result never depends on what
    happens to be cached. Whoever could not write the changes must call `forget`.
    """

    def __init__(self, history: History, enrich: Enrich, max_bytes: int) -> None:
        self._history = history
        self._enrich = enrich
        self._max_bytes = max_bytes
        self._bytes = 0
        self._known: OrderedDict[Entity, tuple[Accumulator, int]] = OrderedDict()

    def apply(self, events: Iterable[Event]) -> Changes:
        """Fold `events` in. Raises PermanentError naming the entity that cannot be folded; call `forget` then."""
        by_entity: dict[Entity, list[Event]] = {}
        for event in events:
            by_entity.setdefault(event.entity, []).append(event)
        stored = self._history([entity for entity in by_entity if entity not in self._known])
        changes = Changes()
        for entity, group in by_entity.items():
            try:
                self._fold(entity, group, stored, changes)
            except Exception as error:
                raise PermanentError(
                    f"{entity.type} {entity.id}: cannot be folded: {type(error).__name__}: {error}"
                ) from error
        return changes

    def forget(self) -> None:
        """Drop all state; the store is asked again. After a failed write, and when somebody else wrote to the store."""
        self._known.clear()
        self._bytes = 0

    def _fold(
        self, entity: Entity, group: list[Event], stored: Mapping[Entity, Sequence[Event]], changes: Changes
    ) -> None:
        accumulator = self._take(entity)
        if accumulator is None:
            accumulator = Accumulator.of(stored.get(entity, ()))
        changed = refold = False
        for event in group:
            new = event.id not in accumulator.event_ids
            outcome = accumulator.apply(event)
            if new:
                changes.raw.append(event)
            elif outcome is not Outcome.DUPLICATE:
                changes.earlier.append(event)
            refold = refold or outcome is Outcome.REFOLD
            changed = changed or outcome is not Outcome.DUPLICATE
        if refold:
            accumulator = self._refold(entity, group)
        if changed:
            record = accumulator.record()
            if record is not None and entity.type in COLUMNS:
                record["eav_generation"] = accumulator.generation()
                changes.add_row(entity.type, row(entity.type, self._enrich(entity.type, record)))
        if not _complete(entity, group):
            self._keep(entity, accumulator)

    def _refold(self, entity: Entity, group: list[Event]) -> Accumulator:
        """From everything there is: what the store has and what has just come."""
        return Accumulator.of([*self._history([entity]).get(entity, ()), *group])

    def _take(self, entity: Entity) -> Accumulator | None:
        entry = self._known.pop(entity, None)
        if entry is None:
            return None
        self._bytes -= entry[1]
        return entry[0]

    def _keep(self, entity: Entity, accumulator: Accumulator) -> None:
        size = accumulator.size
        self._known[entity] = accumulator, size
        self._bytes += size
        while self._bytes > self._max_bytes and len(self._known) > 1:
            _, (_, dropped) = self._known.popitem(last=False)
            self._bytes -= dropped


def _complete(entity: Entity, group: list[Event]) -> bool:
    """True for observations made from spans: nothing but a resend is likely to follow, and for that the store can be asked."""
    return entity.type == "observation" and all(event.derived for event in group)

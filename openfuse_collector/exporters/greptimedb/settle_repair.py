"""Wrong rows are made again, one by one where the server fails with some of them: what it fails with keeps nothing else waiting.

The server does not say whether a row is at fault or it is sick itself. An entity it failed with alone is tried again after a pause, alone
and ever more rarely; while everything fails, the pass ends. So it does after two calls of unclear outcome: batches wait as long as such a
call takes. What it did not get to is tried later, alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from openfuse_collector.errors import PermanentError
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.exporters.greptimedb.errors import CallError, Cause
from openfuse_collector.exporters.greptimedb.halving import Failure, written
from openfuse_collector.exporters.greptimedb.settle_list import SettleList, Span, hull
from openfuse_collector.exporters.greptimedb.settle_marks import Marks
from openfuse_collector.store.present import Folded
from openfuse_collector.telemetry.limited import Limited

if TYPE_CHECKING:
    from prometheus_client import Counter

MOST = 1000
"""Entities that wait for another attempt; more are searched for in raw_events when their time comes."""
SHORTEST, LONGEST = 1.0, 3600.0
"""Bounds of the pause before another attempt, seconds."""
UNCLEAR = 2
"""Calls of unclear outcome, each of which may have taken as long as a call may, after which a pass ends."""
PROOFS = 10
"""Failures, each while batches are stored, after which an entity is left as it is: with a minute's first pause within six hours."""


class Owner(Protocol):
    """Who owns the fold. Everything but `lock` is called while holding it."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held while anything is folded or written."""
        ...

    def prepare(self) -> None:
        """Make sure that there are tables, and see whether somebody has changed the store. Raises CallError."""
        ...

    def expected(self, entity: Entity, events: Sequence[Event]) -> Mapping[str, Any] | None:
        """The row of an entity with these events, None where it has none."""
        ...

    def rewrite(self, entities: Sequence[Entity]) -> Mapping[Entity, Folded]:
        """Make rows again from everything the store has, and write them. Raises CallError and PermanentError."""
        ...


class Setback(NamedTuple):
    """An entity the server failed with when it was tried alone, or that was not tried alone because of failures with others."""

    received: Span
    due: float
    pause: float
    proofs: int
    batches: int
    """How many had been stored until then."""


class Repairs:
    """What the settle pass found wrong. `make` takes the owner's lock for each attempt; for everything else the caller holds it."""

    def __init__(
        self, owner: Owner, list: SettleList, marks: Marks, after: float, log: Limited, refolded: Counter
    ) -> None:
        self._owner, self._list, self._marks = owner, list, marks
        self._first_pause = max(after, SHORTEST)
        self._log = log
        self._refolded = refolded
        self._setbacks: dict[Entity, Setback] = {}
        self._batches = 0
        self._unclear = deque[CallError]()

    def __len__(self) -> int:
        return len(self._setbacks)

    def stored(self) -> None:
        """A batch was: the server works."""
        self._batches += 1

    def begin(self) -> None:
        """A pass does."""
        self._unclear.clear()

    @property
    def outstanding(self) -> Span | None:
        """The receive times of everything that is listed, to be searched or waiting here, None when there is nothing."""
        spans = [setback.received for setback in self._setbacks.values()]
        if (listed := self._list.outstanding) is not None:
            spans.append(listed)
        return hull(spans) if spans else None

    def due(self) -> list[Entity]:
        """What should be looked at again."""
        now = monotonic()
        return [entity for entity, setback in self._setbacks.items() if setback.due <= now]

    def settled(self, entity: Entity) -> None:
        """There is nothing wrong with it any more, or its turn comes otherwise."""
        self._setbacks.pop(entity, None)

    def make(self, wrong: Mapping[Entity, int]) -> Iterator[None]:
        """Attempts to make rows again; between two of them the caller may stop. `wrong` says when the newest event was received.

        Raises CallError where nobody is there, nothing can be written, or writing takes too long: what was not made is still wrong then.
        """
        now = monotonic()
        known = {entity: setback.due for entity, setback in self._setbacks.items() if entity in wrong}
        groups = [[entity] for entity, due in known.items() if due <= now]
        groups += filter(None, [[entity for entity in wrong if entity not in known]])
        untried = dict(wrong)

        def write(some: Sequence[Entity]) -> None:
            self._rewrite({entity: wrong[entity] for entity in some})
            for entity in some:
                del untried[entity]

        for failed in written(groups, self._noting(write)):
            if failed is not None:
                entity, failure = failed
                with self._owner.lock:
                    self._failed(entity, untried.pop(entity), failure)
            yield
            if len(self._unclear) >= UNCLEAR:
                with self._owner.lock:
                    self._put_off(untried)
                raise self._unclear[-1]

    def _noting(self, write: Callable[[Sequence[Entity]], None]) -> Callable[[Sequence[Entity]], None]:
        def noted(some: Sequence[Entity]) -> None:
            try:
                write(some)
            except CallError as error:
                if error.cause is Cause.UNCLEAR:
                    self._unclear.append(error)
                raise

        return noted

    def _put_off(self, untried: Mapping[Entity, int]) -> None:
        """What the pass did not get to waits as long as what the server failed with; where there are too many, until the next pass."""
        due = monotonic() + self._first_pause
        new = (entity for entity in untried if entity not in self._setbacks)
        for entity in islice(new, max(0, MOST - len(self._setbacks))):
            received = untried[entity]
            self._setbacks[entity] = Setback(Span(received, received), due, self._first_pause, 0, self._batches)

    def _rewrite(self, wrong: Mapping[Entity, int]) -> None:
        received = Span(min(wrong.values()), max(wrong.values()))
        with self._owner.lock:
            self._marks.widen(received, self.outstanding)
            folded = self._owner.rewrite(list(wrong))
            self._list.add(monotonic(), received, folded, repaired=True)
            self._refolded.inc(len(folded))
            for entity in wrong:
                self.settled(entity)

    def _failed(self, entity: Entity, received: int, error: Failure) -> None:
        names = {"entity": entity.id, "type": entity.type, "project": entity.project_id, "error": str(error)}
        last = self._setbacks.pop(entity, None)
        if isinstance(error, PermanentError):
            self._log.warning("refused", "a row cannot be stored", **names)
            return
        made = Setback(Span(received, received), 0, self._first_pause, 0, self._batches)
        if last is not None:
            proofs = last.proofs + (self._batches > last.batches)
            made = made._replace(pause=min(2 * last.pause, LONGEST), proofs=proofs)
        if made.proofs >= PROOFS:
            remedy = "openfuse-collector verify shows the row, rebuild makes it again"
            self._log.warning(
                "left", "the server goes on failing with a row, it is left as it is", remedy=remedy, **names
            )
            return
        self._log.warning("fails", "the server fails with a row, will try again", **names)
        if len(self._setbacks) < MOST:
            self._setbacks[entity] = made._replace(due=monotonic() + made.pause)
        else:
            self._list.search(monotonic() + made.pause, made.received)

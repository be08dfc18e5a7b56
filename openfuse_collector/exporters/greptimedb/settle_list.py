"""The entities that were written lately and have to be gone over once they are quiet; and the times to search where there are too many.

Memory is bounded. What does not fit is remembered as a span of receive times: `raw_events` has the names.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import inf
from typing import NamedTuple

from openfuse_collector.events.accumulator import Extent
from openfuse_collector.events.event import Entity
from openfuse_collector.store.present import Folded

ENTRY_BYTES = 160
"""Of a listed entity beside the characters of its id."""
SEARCHES = 64
"""Spans of time that are kept apart."""

_PACKED = struct.Struct("<IQqQ?")
_UNKNOWN = b""
_NOBODY: dict[str, bytes] = {}
_NOWHERE = -(2**63)
_SUM = 2**64 - 1


class Span(NamedTuple):
    """Receive times, epoch milliseconds, both included."""

    start: int
    end: int


class Expected(NamedTuple):
    """What an entity was left as."""

    folded: Folded
    repaired: bool
    """Whether this comes from going over it, not from an event."""

    def fits(self, extent: Extent, times: frozenset[int], generation: int, *, strict: bool) -> bool:
        """Whether the store has it as it was left: these events, rows at these times, this generation.

        Two collectors that repair one entity at once may both have written it, each from all of its events. The one with the smaller
        generation leaves it to the other, or they would go on for ever; not if `strict`, when somebody who looks after nothing has written.
        """
        folded = self.folded
        if (extent.events, extent.received & _SUM) != folded.extent or times != _times(folded.time):
            return False
        excused = self.repaired and not strict and generation > folded.generation
        return folded.time is None or generation == folded.generation or excused


class Slice:
    """Entities that were written about the same time."""

    def __init__(self, opened: float, *, thorough: bool) -> None:
        self.opened = self.touched = opened
        """Seconds of the clock the list is used with."""
        self.thorough = thorough
        """Whether entities that were written again since are looked at as well."""
        self.strict = False
        """Set when somebody has changed the store: a larger generation is no excuse then."""
        self.span = Span(2**63, -1)
        self.bytes = 0
        self._entities = 0
        self._groups: dict[tuple[str, str], dict[str, bytes]] = {}

    def __len__(self) -> int:
        return self._entities

    def __iter__(self) -> Iterator[tuple[Entity, Expected | None]]:
        for (project_id, entity_type), group in self._groups.items():
            for id, packed in group.items():
                yield Entity(project_id, entity_type, id), unpacked(packed)

    def get(self, entity: Entity) -> bytes | None:
        """What the entity was left as, packed; None when it is not here."""
        return self._groups.get((entity.project_id, entity.type), _NOBODY).get(entity.id)

    def put(self, entity: Entity, packed: bytes) -> None:
        """Add an entity, or what it is now."""
        group = self._groups.setdefault((entity.project_id, entity.type), {})
        if entity.id not in group:
            self.bytes += ENTRY_BYTES + len(entity.id)
            self._entities += 1
        group[entity.id] = packed

    def doubt(self, projects: AbstractSet[str]) -> None:
        """What was known of the entities of these projects counts no more. May be called while another thread goes over them."""
        for (project_id, _), group in self._groups.items():
            if project_id in projects:
                group.update(dict.fromkeys(group, _UNKNOWN))


class Search(NamedTuple):
    """Receive times to be searched for entities nobody remembers."""

    touched: float
    span: Span


class SettleList:
    """Not thread-safe but for its length. `now` and `before` are seconds of any one clock."""

    def __init__(self, max_bytes: int, width: float, period: float) -> None:
        """`width` is how many seconds of writing share a slice; one slice in a `period` is thorough."""
        self._max_bytes = max_bytes
        self._width = width
        self._period = period
        self._thorough = -inf
        self._slices: deque[Slice] = deque()
        self._taken: Slice | None = None
        self._searches: deque[Search] = deque()
        self._searching: Span | None = None

    def __len__(self) -> int:
        taken = self._taken
        return sum(map(len, tuple(self._slices))) + (0 if taken is None else len(taken))

    def newest(self, entity: Entity) -> bytes | None:
        """What it was left as since the slice that is being gone over, packed; None when it was not written since."""
        found = (slice.get(entity) for slice in reversed(self._slices))
        return next((packed for packed in found if packed is not None), None)

    def add(self, now: float, span: Span, folded: Mapping[Entity, Folded], *, repaired: bool = False) -> None:
        """Entities just written, each with an event received within `span`."""
        open_ = self._open(now, span)
        for entity, made in folded.items():
            open_.put(entity, _pack(made, repaired))
        self._shrink()

    def doubt(self, now: float, span: Span, entities: Iterable[Entity]) -> None:
        """Entities of which nobody knows what was written."""
        open_ = self._open(now, span)
        for entity in entities:
            open_.put(entity, _UNKNOWN)
        self._shrink()

    def take(self, before: float) -> Slice | None:
        """The oldest slice, if nothing was added to it since `before`; the same one again until it is `done`."""
        if self._taken is None and self._slices and self._slices[0].touched <= before:
            self._taken = self._slices.popleft()
        return self._taken

    def done(self) -> None:
        """The slice that was taken needs no more attention."""
        self._taken = None

    def hurry(self, deleted: AbstractSet[str] = frozenset()) -> None:
        """Somebody has changed the store: everything is due, and another collector's repair is no excuse for anything.

        The tombstone of a project is no event of its entities: a batch that was under way when it was written leaves rows that look as
        they were left. So what is listed of projects that were `deleted` has to be read whole.
        """
        for slice in (*self._slices, *([self._taken] if self._taken else [])):
            slice.touched, slice.strict = -inf, True
            slice.doubt(deleted)
        self._searches = deque(Search(-inf, search.span) for search in self._searches)

    def search(self, now: float, span: Span) -> None:
        """Have these receive times searched, too."""
        self._searches.append(Search(now, span))
        if len(self._searches) > SEARCHES:
            one, other = self._searches.popleft(), self._searches.popleft()
            self._searches.appendleft(Search(other.touched, hull((one.span, other.span))))

    def to_search(self, before: float) -> Span | None:
        """The oldest receive times to search, if they have waited since `before`; what is left of them until all were `searched`."""
        if self._searching is None and self._searches and self._searches[0].touched <= before:
            self._searching = self._searches.popleft().span
        return self._searching

    def searched(self, upto: int) -> None:
        """What was received until then was found, of the times `to_search` gave."""
        span = self._searching
        if span is not None:
            self._searching = Span(upto + 1, span.end) if upto < span.end else None

    @property
    def outstanding(self) -> Span | None:
        """The receive times of everything that is listed or to be searched, None when there is nothing."""
        taken = None if self._taken is None else self._taken.span
        under_way = [span for span in (taken, self._searching) if span is not None]
        spans = (*under_way, *(search.span for search in self._searches), *(slice.span for slice in self._slices))
        return hull(spans) if spans else None

    def _open(self, now: float, span: Span) -> Slice:
        if not self._slices or now >= self._slices[-1].opened + self._width or self._slices[-1].strict:
            thorough = now >= self._thorough + self._period
            self._thorough = now if thorough else self._thorough
            self._slices.append(Slice(now, thorough=thorough))
        open_ = self._slices[-1]
        open_.touched = now
        open_.span = hull((open_.span, span))
        return open_

    def _shrink(self) -> None:
        while self._slices and sum(slice.bytes for slice in self._slices) > self._max_bytes:
            dropped = self._slices.popleft()
            self.search(dropped.touched, dropped.span)


def _times(time: int | None) -> frozenset[int]:
    return frozenset() if time is None else frozenset((time,))


def hull(spans: Sequence[Span]) -> Span:
    """The shortest span that holds them all, at least one."""
    return Span(min(span.start for span in spans), max(span.end for span in spans))


def _pack(folded: Folded, repaired: bool) -> bytes:
    extent, time, generation = folded
    place = _NOWHERE if time is None else time
    return _PACKED.pack(extent.events, extent.received & _SUM, place, generation, repaired)


def unpacked(packed: bytes) -> Expected | None:
    """What an entity was left as, None when nobody knows."""
    if packed == _UNKNOWN:
        return None
    events, received, place, generation, repaired = _PACKED.unpack(packed)
    time = None if place == _NOWHERE else place
    return Expected(Folded(Extent(events, received), time, generation), repaired)

"""One pipeline's way through the log: its position, the records it wants, its cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple

from openfuse_collector.config.types import MIB
from openfuse_collector.journal.cache import DecodedCache
from openfuse_collector.journal.damage import DamageReport
from openfuse_collector.journal.files import Files
from openfuse_collector.journal.log import SegmentedLog
from openfuse_collector.journal.makers import still_due
from openfuse_collector.journal.record import decode_origin
from openfuse_collector.journal.segment import Segment, SegmentReader, Stretch
from openfuse_collector.journal.tail import Tail
from openfuse_collector.signals import Item, Origin
from openfuse_collector.telemetry.limited import Limited

PATIENCE = 0.25
"""Seconds a `take` may spend on records its pipeline does not want, however short its `wait`."""

AT_ONCE = 4 * MIB
"""Bytes of the log that housekeeping goes over in one round, during which nothing is written."""

NONE_LEFT: Mapping[str, int] = MappingProxyType({})


class Source(NamedTuple):
    """What all readers of a journal share."""

    log: SegmentedLog
    tail: Tail
    cache: DecodedCache
    files: Files
    damage: DamageReport
    decode: Callable[[Origin, bytes], Any]
    log_seldom: Limited


class Reader:
    """For one thread. `position` is the offset behind the last record taken."""

    def __init__(
        self,
        source: Source,
        position: int,
        *,
        wants: Callable[[Origin], bool],
        on_take: Callable[[], None],
        on_commit: Callable[[int], None],
        on_pass: Callable[[Origin], None] = lambda origin: None,
        left: Mapping[str, int] = NONE_LEFT,
    ) -> None:
        """`on_pass` is told of each record that is not wanted, on the way past it. `left`: see `Cursor.left`."""
        self.position = position
        self.left = left
        self._source = source
        self._wants = wants
        self._on_take = on_take
        self._on_commit = on_commit
        self._on_pass = on_pass
        self._file: SegmentReader | None = None
        self._held: tuple[Item | None, int] | None = None
        self._busy = Lock()
        self._moving = Lock()
        """Held while the position changes: a record is either taken or, by `skip_to`, given up."""
        self._floor = 0

    def take(
        self, max_items: int, max_bytes: int, linger: float, wait: float, count: Callable[[Item], int]
    ) -> tuple[list[Item], int]:
        """The next wanted records, in order, and the offset behind everything passed on the way.

        Waits up to `wait` seconds for the first and `linger` more for others. `count` gives the spans of an item; the sum stays
        within `max_items` and the payloads within `max_bytes`, except that the first item always comes. No items and a higher
        offset means: only records of others were passed.
        """
        with self._busy:
            return self._take(max_items, max_bytes, linger, wait, count)

    def _take(
        self, max_items: int, max_bytes: int, linger: float, wait: float, count: Callable[[Item], int]
    ) -> tuple[list[Item], int]:
        items: list[Item] = []
        room, space = max_items, max_bytes
        deadline = monotonic() + wait
        patience = max(deadline, monotonic() + PATIENCE)
        while not self._source.tail.closed and (not items or (room > 0 and space > 0)):
            self._skip()
            entry = self._peek()
            if entry is None:
                if not self._wait(deadline):
                    break
                continue
            item, end = entry
            spans = 0 if item is None else count(item)
            if item is not None and items and (spans > room or item.size > space):
                break
            if not self._pass(end):
                continue
            if item is None:
                if monotonic() >= patience:
                    break
                continue
            if not items:
                deadline = patience = monotonic() + linger
            items.append(item)
            room, space = room - spans, space - item.size
        self._on_take()
        return items, self.position

    def commit(self, offset: int) -> None:
        """Everything below `offset` is finished for good; never moves back."""
        self._on_commit(offset)

    def skip_to(self, offset: int) -> int:
        """Take nothing below `offset` any more; gives the offset up to which everything was taken by then. From any thread."""
        with self._moving:
            self._floor = max(self._floor, offset)
            return self.position

    def until(self, offset: int) -> Iterator[Item]:
        """Wanted records between the position and `offset`, one at a time; ends early where the disk cannot be read."""
        while self.position < offset and (entry := self._peek()) is not None:
            self._held, self.position = None, entry[1]
            if entry[0] is not None:
                yield entry[0]
        self._leave()

    def close(self) -> None:
        """Give the open file back, once a `take` under way is over."""
        with self._busy:
            self._leave()

    def _skip(self) -> None:
        with self._moving:
            if self.position < self._floor:
                self._held, self.position = None, self._floor

    def _pass(self, end: int) -> bool:
        """Go on behind the record at the position. False where it was given up since it was looked at: it is not ours any more."""
        with self._moving:
            if self.position < self._floor:
                return False
            self._held, self.position = None, end
            return True

    def _leave(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _peek(self) -> tuple[Item | None, int] | None:
        """The record at the position (None in its place when it is unwanted or unreadable) and the offset behind it.

        None when there is nothing yet, or the disk cannot be asked at the moment.
        """
        if self._held is None and self.position < self._source.tail.end:
            cached = self._source.cache.get(self.position)
            if cached is None:
                self._held = self._from_disk()
            else:
                self._held = cached if self._own(cached[0].origin) else (None, cached[1])
        return self._held

    def _own(self, origin: Origin) -> bool:
        wanted = self._wants(origin) or (bool(self.left) and still_due(self.left, origin, self.position))
        if not wanted:
            self._on_pass(origin)
        return wanted

    def _wait(self, deadline: float) -> bool:
        left = deadline - monotonic()
        if self.position < self._source.tail.end:  # there is something, but the disk failed: see _from_disk
            self._source.tail.pause(min(left, 1.0))
            return left > 0 and not self._source.tail.closed
        self._leave()  # what comes next is most likely in memory, and a file that is open stays on the disk when it is deleted
        return self._source.tail.wait_beyond(self.position, left)

    def _from_disk(self) -> tuple[Item | None, int] | None:
        try:
            segment = self._segment()
            if segment is None:  # the log was continued at a higher offset and nothing is there yet
                return None, self._source.tail.end
            if segment.base > self.position:
                self._source.damage.report(None, self.position, segment.base, "missing")
                return None, segment.base
            file = self._open(segment)
            if file is None:
                self._source.damage.report(None, self.position, segment.end, f"{segment.path.name} is gone")
                return None, segment.end
            found = file.stretch(self.position, segment.end)
            return self._item(file, found), found.end
        except (OSError, MemoryError) as error:  # out of file handles, a detached volume: the data may well be there
            trouble = str(error) or type(error).__name__
            self._source.log_seldom.warning(
                "unreadable", "journal cannot be read, trying again", offset=self.position, error=trouble
            )
            return None

    def _segment(self) -> Segment | None:
        """The segment to read next: the open one as long as the position is within it."""
        if self._file is not None and self._file.segment.base <= self.position < self._file.segment.end:
            return self._file.segment
        return self._source.log.segment_after(self.position)

    def _open(self, segment: Segment) -> SegmentReader | None:
        if self._file is not None and self._file.segment is segment:
            return self._file
        self._leave()
        try:
            self._file = SegmentReader(self._source.files, segment)
        except FileNotFoundError:
            return None
        return self._file

    def _item(self, file: SegmentReader, found: Stretch) -> Item | None:
        if found.damaged:
            self._source.damage.report(file.segment, found.start, found.end, "checksum")
            return None
        encoded, payload = file.body(found)
        try:
            origin = decode_origin(encoded)
            if not self._own(origin):
                return None
            data = self._source.decode(origin, payload)
        except MemoryError:
            raise
        except Exception as error:  # whole, yet written by another version or in a way our decoder refuses
            self._source.damage.report(file.segment, found.start, found.end, f"decoding: {error}")
            return None
        return Item(origin, found.start, data, len(payload))


def beside(source: Source, start: int, *, wants: Callable[[Origin], bool], left: Mapping[str, int]) -> Reader:
    """A reader that goes over a part of the log beside the pipelines, from the disk: nobody hears of what it takes."""
    source = source._replace(cache=DecodedCache(0))
    return Reader(source, start, wants=wants, left=left, on_take=lambda: None, on_commit=lambda offset: None)

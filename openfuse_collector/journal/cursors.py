"""How far each pipeline is: offsets by name, kept in `cursors.json` beside the segments."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from openfuse_collector.journal.files import Files, read_whole, write_whole
from openfuse_collector.journal.makers import Cursor, arranged

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

FILE = "cursors.json"

CLAIM_EVERY = 600.0
"""Seconds after which the file says again that its cursors are in use, even when none moved."""

GRACE = 300.0
"""Seconds after opening in which no cursor is given up: pipelines have not all claimed theirs yet."""


class _File(msgspec.Struct):
    cursors: dict[str, Cursor]
    crc32: int
    """Of the cursors as compact JSON. A damaged file must not pass for an older or newer position."""


class Cursors:
    """The cursors of one journal. Thread-safe."""

    def __init__(
        self, directory: Path, files: Files, log: BoundLogger, *, clock: Callable[[], float], orphan_after: float
    ) -> None:
        self._path = directory / FILE
        self._files = files
        self._log = log
        self._clock = clock
        self._orphan_after = orphan_after
        self._opened_at = clock()
        self._lock = Lock()
        self._saving = Lock()
        self._claimed: set[str] = set()
        self._dirty = False
        self._saved_at = clock()
        self._cursors: dict[str, Cursor] = {}
        self._takes: Mapping[str, Collection[str]] = {}
        self._renamed: Mapping[str, str] = {}
        self.readable = self._load()
        """False when there was no usable file: it is not known then which pipelines are new."""
        self._found = {name: cursor.offset for name, cursor in self._cursors.items()}
        """Where the cursors were when the file was read."""

    def _load(self) -> bool:
        try:
            content = read_whole(self._files, self._path)
            if content is None:
                return False
            file = msgspec.json.decode(content, type=_File)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            file = None
        if file is None or file.crc32 != _checksum(file.cursors):
            self._log.error("journal cursors unreadable, pipelines start at the oldest record", file=str(self._path))
            return False
        self._cursors = file.cursors
        return True

    @property
    def highest(self) -> int:
        """The largest offset of any cursor, 0 without cursors."""
        return max((cursor.offset for cursor in self._cursors.values()), default=0)

    def offset(self, name: str) -> int | None:
        """Where a pipeline is, None for a name never seen."""
        cursor = self._cursors.get(name)
        return cursor.offset if cursor else None

    def least(self, *names: str) -> int | None:
        """The lowest offset any of these names has now or had when the file was read; None when all are new."""
        with self._lock:
            now = [cursor.offset for name, cursor in self._cursors.items() if name in names]
        return min((*now, *(offset for name, offset in self._found.items() if name in names)), default=None)

    def known(self, name: str, formerly: str, after: str) -> int | None:
        """Where the pipeline `name` is: at its own cursor or that called `formerly`, the lower one of those there are; one that is
        new, at that called `after`. None for one without any of them."""
        if self.offset(formerly) is not None:
            return self.least(name, formerly)
        own = self.offset(name)
        return self.least(after) if own is None else own

    def arrange(self, takes: Mapping[str, Collection[str]], renamed: Mapping[str, str], end: int) -> None:
        """The configuration: name -> whose requests are taken, old name -> the one its cursor will be claimed by; see `arranged`. On
        disk with the first claim, all of it at once."""
        with self._lock:
            self._takes, self._renamed = takes, renamed
            now = int(self._clock())
            self._cursors = {
                name: arranged(cursor, takes.get(renamed.get(name, name)), end, now)
                for name, cursor in self._cursors.items()
            }
            self._dirty = True

    def left(self, name: str) -> dict[str, int]:
        """What a pipeline does not take any more but has requests of in front of it, see `Cursor.left`; empty for an unknown name."""
        cursor = self._cursors.get(name)
        return cursor.left if cursor else {}

    def left_behind(self) -> Iterator[tuple[str, Cursor, bool]]:
        """Every cursor in front of which there are requests its pipeline does not take any more, with its name and whether the
        configuration given to `arrange` has that pipeline."""
        with self._lock:
            found = [(name, cursor) for name, cursor in self._cursors.items() if cursor.behind]
        for name, cursor in found:
            yield name, cursor, name in self._takes or name in self._renamed

    def claim(self, name: str, offset: int, instead_of: str = "") -> None:
        """A pipeline takes (or makes) the cursor of this name and sets it, and gives up the one it had before, if it goes by
        another name now. On disk when this returns: raises OSError.

        Without that, a pipeline created just before a crash would count as new once more and skip what was accepted for it.
        """
        with self._lock:
            self._claimed.add(name)
            former = self._cursors.pop(instead_of, None)
            cursor = self._cursors.setdefault(name, Cursor(offset, 0))
            cursor.offset, cursor.claimed = offset, int(self._clock())
            if name in self._takes:
                cursor.takes = sorted(self._takes[name])
            if former is not None:
                cursor.left = former.left | cursor.left
            self._dirty = True
        self.save()

    def move(self, name: str, offset: int) -> None:
        """Everything below `offset` is finished; earlier offsets than the present one are ignored."""
        with self._lock:
            cursor = self._cursors[name]
            if offset > cursor.offset:
                cursor.offset = offset
                self._dirty = True

    def low_water(self, without: Collection[str] = ()) -> int | None:
        """Everything below is finished for every pipeline but those named; None when there is no cursor to tell."""
        with self._lock:
            offsets = (cursor.offset for name, cursor in self._cursors.items() if name not in without)
            return min(offsets, default=None)

    def late(self) -> dict[str, Cursor]:
        """Cursors that no pipeline has claimed for `orphan_after` seconds."""
        now = self._clock()
        if now - self._opened_at < min(GRACE, self._orphan_after):
            return {}
        with self._lock:
            return {
                name: cursor
                for name, cursor in self._cursors.items()
                if name not in self._claimed and now - cursor.claimed >= self._orphan_after
            }

    def forget(self, name: str) -> None:
        """A name counts as new from now on."""
        with self._lock:
            self._cursors.pop(name, None)
            self._dirty = True

    def save(self, *, anew: bool = False) -> None:
        """Write the file when something changed, or now and then to renew the claims, or `anew` in any case.

        Raises OSError; the change stays due.
        """
        with self._saving:
            self._save(self._clock(), anew)

    def _save(self, now: float, anew: bool) -> None:
        with self._lock:
            if not (self._dirty or anew) and now - self._saved_at < min(CLAIM_EVERY, self._orphan_after / 4):
                return
            for name in self._claimed:
                self._cursors[name].claimed = int(now)
            content = msgspec.json.encode(_File(self._cursors, _checksum(self._cursors)))
            self._dirty = False
        try:
            write_whole(self._files, self._path, content)
        except OSError:
            with self._lock:
                self._dirty = True
            raise
        self._saved_at = now


def _checksum(cursors: dict[str, Cursor]) -> int:
    return crc32(msgspec.json.encode(cursors))

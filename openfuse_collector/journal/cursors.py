"""How far each pipeline is: offsets by name, kept in `cursors.json` beside the segments."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from openfuse_collector.journal.files import Files, read_whole, write_whole

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

FILE = "cursors.json"

CLAIM_EVERY = 600.0
"""Seconds after which the file says again that its cursors are in use, even when none moved."""

GRACE = 300.0
"""Seconds after opening in which no cursor is given up: pipelines have not all claimed theirs yet."""


class Cursor(msgspec.Struct):
    """Everything below `offset` is finished for one pipeline."""

    offset: int
    claimed: int
    """Epoch seconds at which a pipeline last held this cursor."""


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

    def claim(self, name: str, offset: int, instead_of: str = "") -> None:
        """A pipeline takes (or makes) the cursor of this name and sets it, and gives up the one it had before, if it goes by
        another name now. On disk when this returns: raises OSError.

        Without that, a pipeline created just before a crash would count as new once more and skip what was accepted for it.
        """
        with self._lock:
            self._claimed.add(name)
            self._cursors.pop(instead_of, None)
            self._cursors[name] = Cursor(offset, int(self._clock()))
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

    def drop_orphans(self) -> None:
        """Forget cursors that no pipeline has claimed for `orphan_after` seconds; their names count as new from then on."""
        now = self._clock()
        if now - self._opened_at < min(GRACE, self._orphan_after):
            return
        with self._lock:
            late = {
                name: cursor
                for name, cursor in self._cursors.items()
                if name not in self._claimed and now - cursor.claimed >= self._orphan_after
            }
            for name in late:
                del self._cursors[name]
                self._dirty = True
        for name, cursor in late.items():
            self._log.warning(
                "journal cursor given up: no such pipeline any more",
                pipeline=name,
                offset=cursor.offset,
                claimed=cursor.claimed,
            )

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


def beginning(start: int | None, known: int | None, *, oldest: int, end: int, blind: bool) -> int:
    """Where a pipeline begins; in doubt with what it may have had already, never behind something it may not have had.

    `start` is the cursor of the store behind it, `known` the journal's own; the log goes from `oldest` to `end`, and `blind` says that
    it is not known which pipelines are new. A store's cursor moves with the data it gets and stays behind where there was none
    for it; one behind `end` is that of another log.
    """
    if start is None:
        fallback = oldest if blind else end
        return fallback if known is None else known
    if start > end:
        return oldest if known is None else known
    return start


def _checksum(cursors: dict[str, Cursor]) -> int:
    return crc32(msgspec.json.encode(cursors))

"""The segments of the log in order: appending durably, rolling to a new file, finding a place, deleting what is passed."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from time import perf_counter

from openfuse_collector.journal.files import Files
from openfuse_collector.journal.segment import Segment


class SegmentedLog:
    """Owned by one thread at a time, which alone appends, rolls and removes; readers may call `segment_after` from theirs.

    There is always a last segment, be it empty: its name keeps the offset from which the log continues.
    """

    def __init__(
        self,
        directory: Path,
        files: Files,
        segments: list[Segment],
        *,
        segment_size: int,
        fsync: bool,
        synced: Callable[[float], None],
    ) -> None:
        """`synced` is told the seconds of every sync. Raises OSError."""
        self._directory = directory
        self._files = files
        self._segments = segments
        self._segment_size = segment_size
        self._fsync = fsync
        self._synced = synced
        self._handle: int | None = None
        self._end = segments[-1].end if segments else 0
        self._trusted = False
        self.size = sum(segment.size for segment in segments)
        """Bytes in all segments."""
        if segments:
            self._handle, self._trusted = files.append_to(segments[-1].path), True

    @property
    def end(self) -> int:
        """Offset behind the last durable record."""
        return self._end

    @property
    def start(self) -> int:
        """Offset of the oldest record that is still kept."""
        return next((segment.base for segment in self._segments), self._end)

    @property
    def segments(self) -> Sequence[Segment]:
        """All segments, oldest first."""
        return tuple(self._segments)

    def segment_after(self, position: int) -> Segment | None:
        """The segment that holds the first record at or behind `position`, None when there is none yet."""
        segments = self._segments
        place = bisect_right(segments, position, key=attrgetter("base")) - 1
        return next((segment for segment in segments[max(place, 0) :] if segment.end > position), None)

    def prepare(self, size: int) -> int:
        """Make room for `size` bytes, in a new segment when the last is full, gone or cannot be trusted; return the offset they get.

        Raises OSError.
        """
        last = self._segments[-1] if self._segments else None
        full = last is not None and last.size > 0 and last.size + size > self._segment_size
        gone = last is not None and self._handle is not None and not self._files.named(self._handle, last.path)
        if full or gone or not self._trusted:
            self.roll(self._end)
        return self._end

    def append(self, parts: Sequence[bytes], size: int) -> None:
        """Write and sync what `prepare` made room for. Raises OSError; nothing of it counts then.

        After a failed write or sync the file is never written again. A second sync could report success for pages the kernel
        dropped when the first one failed ("fsyncgate", PostgreSQL 2018; Rebello et al., "Can Applications Recover from fsync
        Failures?", ATC 2020).
        """
        self._write(parts)
        self._trusted = True
        self._end += size
        self.size += size
        self._segments[-1].end = self._end

    def probe(self, size: int) -> None:
        """After an append of `size` bytes that failed: see in a new segment whether the disk takes as many again. Raises OSError if not.

        An empty file says nothing: quotas, and disks that are full but for a few blocks, still allow it. The bytes are no part of
        the log, and go with the file; after a crash in between they are cut like any other unfinished write. They are random, since
        a file system that compresses has room for any number of zeros.
        """
        self.roll(self._end)
        self._write([os.urandom(size)])
        self.roll(self._end)

    def _write(self, parts: Sequence[bytes]) -> None:
        assert self._handle is not None
        self._trusted = False
        self._files.write(self._handle, parts)
        if self._fsync:
            started = perf_counter()
            self._files.sync(self._handle)
            self._synced(perf_counter() - started)

    def roll(self, base: int) -> None:
        """Begin a new last segment at `base`, which is `end` or behind it. Raises OSError; a later call then tries again.

        Whatever stands in a file of that name was never acknowledged: acknowledged records end at `end`.
        """
        self._leave()
        if self._segments and self._segments[-1].base == base:
            self._segments = self._segments[:-1]
        segment = Segment(self._directory, base)
        with suppress(FileNotFoundError):
            self._files.remove(segment.path)
        handle = self._files.create(segment.path)
        try:
            if self._fsync:
                self._files.sync(handle)
                self._files.sync_directory(self._directory)
        except OSError:
            self._files.close(handle)
            raise
        self._handle, self._trusted, self._end = handle, True, base
        self._segments = [*self._segments, segment]

    def remove(self, passed: Callable[[Segment], bool]) -> list[Segment]:
        """Delete the oldest segments as long as `passed` says so, never the last one; return those deleted. Raises OSError."""
        removed: list[Segment] = []
        while len(self._segments) > 1 and passed(self._segments[0]):
            with suppress(FileNotFoundError):
                self._files.remove(self._segments[0].path)
            removed.append(self._segments[0])
            self.size -= self._segments[0].size
            self._segments = self._segments[1:]
        return removed

    def close(self) -> None:
        """Give the last file back."""
        self._leave()

    def _leave(self) -> None:
        """Close the last file. What a failed append left in it is cut; where that fails too, the next segment's base hides it."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        with suppress(OSError):
            self._files.close(handle)
        if not self._trusted and self._segments:
            with suppress(OSError):
                self._files.truncate(self._segments[-1].path, self._segments[-1].size)
        self._trusted = False

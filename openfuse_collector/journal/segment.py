"""One file of the log: its place in the log, and reading records out of it even when parts of it are damaged."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from openfuse_collector.journal.files import Files
from openfuse_collector.journal.record import HEADER_SIZE, MAGIC, Header, decode_header

CHUNK = 1 << 20
"""Bytes read ahead."""

SECTOR = 4096
"""What is given up when a disk cannot read a place."""


class Segment:
    """A file of consecutive records. `base` is the offset of its first byte, `end` the offset behind its last durable one."""

    __slots__ = ("base", "end", "passed_at", "path")

    def __init__(self, directory: Path, base: int, size: int = 0) -> None:
        self.base = base
        self.end = base + size
        self.path = directory / segment_name(base)
        self.passed_at: float | None = None
        """When every cursor was first seen behind it, epoch seconds."""

    @property
    def size(self) -> int:
        """Bytes of records."""
        return self.end - self.base


def segment_name(base: int) -> str:
    """File name of the segment that begins at an offset; sorts like the offsets."""
    return f"{base:020d}.log"


def segment_base(name: str) -> int | None:
    """The offset a segment file begins at, None for any other file."""
    stem, dot, suffix = name.partition(".")
    return int(stem) if dot and suffix == "log" and len(stem) == 20 and stem.isdecimal() else None


class Stretch(NamedTuple):
    """Offsets [start, end) that hold one whole record, or nothing usable."""

    start: int
    end: int
    payload_at: int
    """Payload's distance from `start`; 0 for a damaged stretch."""

    @property
    def damaged(self) -> bool:
        """True when no record can be read here."""
        return self.payload_at == 0


class SegmentReader:
    """Reads one segment forward through a window of about a mebibyte. For one thread. Raises OSError when it cannot be opened."""

    def __init__(self, files: Files, segment: Segment) -> None:
        self.segment = segment
        self.unreadable = False
        """Whether the disk refused to read some of it: what passes for damaged may be whole."""
        self._files = files
        self._handle = files.open(segment.path)
        self._window = b""
        self._at = segment.base  # offset of the first byte of the window

    def close(self) -> None:
        """Give the file back."""
        self._files.close(self._handle)

    def stretch(self, offset: int, limit: int) -> Stretch:
        """The record at `offset`, or the damage that begins there.

        Damage to a body ends where the header says; otherwise at the next place, at the latest `limit`, that has a whole record.
        """
        header = self._header(offset, limit)
        if header is None:
            return Stretch(offset, self._search(offset + 1, limit), 0)
        return Stretch(offset, header.end, header.payload_at if self._whole(header, limit) else 0)

    def stretches(self, limit: int) -> Iterator[Stretch]:
        """All stretches from the beginning up to `limit`."""
        offset = self.segment.base
        while offset < limit:
            found = self.stretch(offset, limit)
            yield found
            offset = found.end

    def body(self, found: Stretch) -> tuple[bytes, bytes]:
        """(encoded origin, payload) of a record just returned by `stretch`."""
        at = self._have(found.start, found.end - found.start, found.end)
        origin = self._window[at + HEADER_SIZE : at + found.payload_at]
        return origin, self._window[at + found.payload_at : at + found.end - found.start]

    def _header(self, offset: int, limit: int) -> Header | None:
        """The undamaged header of a record that begins at `offset` and ends by `limit`."""
        at = self._have(offset, HEADER_SIZE, limit)
        header = decode_header(self._window, at)
        return header if header and header.offset == offset and header.end <= limit else None

    def _whole(self, header: Header, limit: int) -> bool:
        """True when the body's checksum fits."""
        size = header.end - header.offset
        at = self._have(header.offset, size, limit)
        return crc32(memoryview(self._window)[at + HEADER_SIZE : at + size]) == header.body_crc

    def _search(self, offset: int, limit: int) -> int:
        """The first whole record at or behind `offset`, else `limit`."""
        while limit - offset >= HEADER_SIZE:
            at = self._have(offset, HEADER_SIZE, limit)
            found = self._window.find(MAGIC, at)
            if found < 0:
                offset = self._at + len(self._window) - len(MAGIC) + 1
                continue
            offset = self._at + found
            header = self._header(offset, limit)
            if header and self._whole(header, limit):
                return offset
            offset += 1
        return limit

    def _have(self, offset: int, size: int, limit: int) -> int:
        """Make the window hold [offset, offset + size), as far as that is below `limit`; return offset's place in it.

        Nothing behind `limit` is ever read: the writer may be at work there.
        """
        start, wanted = offset - self._at, min(size, limit - offset)
        if start < 0 or start + wanted > len(self._window):
            self._window = self._read(offset, min(max(size, CHUNK), limit - offset))
            self._at, start = offset, 0
        return start

    def _read(self, offset: int, size: int) -> bytes:
        """Bytes of the file, zeros where it is shorter or the disk cannot read it."""
        at = offset - self.segment.base
        try:
            content = self._files.read(self._handle, at, size)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.unreadable = True
            content = b"".join(self._sector(at + done, min(SECTOR, size - done)) for done in range(0, size, SECTOR))
        return content.ljust(size, b"\0")

    def _sector(self, at: int, size: int) -> bytes:
        try:
            return self._files.read(self._handle, at, size).ljust(size, b"\0")
        except OSError:
            return bytes(size)

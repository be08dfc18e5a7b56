"""Moving cursors back, so that a collector stores once more what a store has lost. Only while no collector has the directory open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from openfuse_collector.journal.cursors import Cursors
from openfuse_collector.journal.errors import JournalError, unusable
from openfuse_collector.journal.files import Files, OsFiles, read_whole
from openfuse_collector.journal.record import decode_origin
from openfuse_collector.journal.recovery import INSTANCE, find_segments, take_lock
from openfuse_collector.journal.segment import Segment, SegmentReader
from openfuse_collector.signals import Origin

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger


class KeptRequest(NamedTuple):
    """A request the journal still has."""

    offset: int
    origin: Origin
    size: int
    """Bytes in the journal."""


class StoppedJournal:
    """A journal directory that nobody else has open, see `stopped`."""

    def __init__(self, directory: Path, files: Files, log: BoundLogger, clock: Callable[[], float]) -> None:
        self._files = files
        self._directory = directory
        with _usable(directory):
            self._segments = find_segments(directory, files)
            instance = read_whole(files, directory / INSTANCE) or b""
        self._cursors = Cursors(directory, files, log, clock=clock, orphan_after=float("inf"))
        self.instance = instance.decode(errors="replace").strip()
        """Id of the collector: the name under which stores keep its cursors."""

    def cursor(self, pipeline: str) -> int | None:
        """Where a pipeline is, None for one that never read."""
        return self._cursors.offset(pipeline)

    @property
    def oldest(self) -> int | None:
        """Receive time (epoch nanoseconds) of the oldest request there is. Raises JournalError."""
        with _usable(self._directory):
            return next((one.origin.received_at for segment in self._segments for one in self._records(segment)), None)

    def since(self, received_at: int) -> Iterator[KeptRequest]:
        """The requests received at `received_at` (epoch nanoseconds) or later, those of the newest file first: there may be more
        than fit into memory.

        Receive times follow the log but for neighbours, so the search ends with the first file that holds nothing so young. Raises
        JournalError.
        """
        with _usable(self._directory):
            for segment in reversed(self._segments):
                kept = young = 0
                for one in self._records(segment):
                    kept += 1
                    if one.origin.received_at >= received_at:
                        young += 1
                        yield one
                if kept and not young:
                    return

    def rewind(self, pipelines: Iterable[str], offset: int) -> None:
        """Set their cursors back to `offset`; one that is not so far stays. On disk when this returns. Raises JournalError."""
        for pipeline in pipelines:
            present = self._cursors.offset(pipeline)
            if present is not None and present > offset:
                try:
                    self._cursors.claim(pipeline, offset)
                except OSError as error:
                    raise JournalError(f"cannot keep the cursor of {pipeline}: {error}") from error

    def _records(self, segment: Segment) -> Iterator[KeptRequest]:
        """Whole records of a file; what is damaged is passed over, as the collector does it."""
        reader = SegmentReader(self._files, segment)
        try:
            for stretch in reader.stretches(segment.end):
                if not stretch.damaged and (origin := _origin(reader.body(stretch)[0])) is not None:
                    yield KeptRequest(stretch.start, origin, stretch.end - stretch.start)
        finally:
            reader.close()


@contextmanager
def stopped(
    directory: Path,
    log: BoundLogger,
    files: Files = OsFiles(),  # noqa: B008  (it has no state)
    clock: Callable[[], float] = time.time,
) -> Iterator[StoppedJournal]:
    """The journal of a collector that is not running. Raises JournalLocked when it is, JournalError for a directory that is none."""
    if not directory.is_dir():
        raise JournalError(f"no journal at {directory}: name the collector's with service.journal.directory")
    with _usable(directory):
        lock = take_lock(directory, files)
    try:
        yield StoppedJournal(directory, files, log, clock)
    finally:
        files.close(lock)


@contextmanager
def _usable(directory: Path) -> Iterator[None]:
    """What the file system refuses is a JournalError. Not around what is done with a journal: standard output fails there, too."""
    try:
        yield
    except OSError as error:
        raise JournalError(unusable(directory, error)) from error


def _origin(encoded: bytes) -> Origin | None:
    try:
        return decode_origin(encoded)
    except msgspec.MsgspecError:
        return None

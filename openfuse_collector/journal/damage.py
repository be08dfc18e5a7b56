"""What happens when bytes of the log cannot be read: say so once, count it, keep a copy of the file, go on."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from openfuse_collector.journal.files import Files
from openfuse_collector.journal.segment import Segment
from openfuse_collector.telemetry.limited import Limited
from openfuse_collector.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

COPY_CHUNK = 1 << 20


class DamageReport:
    """Thread-safe: two pipelines that meet the same damage report it once."""

    def __init__(
        self, directory: Path, files: Files, metrics: Metrics, log: BoundLogger, *, bound: int, min_free: int
    ) -> None:
        """`bound` limits the bytes of all copies together; no copy is made that leaves less than `min_free` on the disk."""
        self._folder = directory / "corrupt"
        self._files = files
        self._log = Limited(log)
        self._bound = bound
        self._min_free = min_free
        self._known: set[int] = set()
        self._copies: dict[int, str] = {}
        """Base of a segment -> where its copy is, or why there is none."""
        self._lock = Lock()
        self._count = metrics.counter(
            "openfuse_journal_corrupt_records",
            "Damaged stretches of the journal that could not be read (one or more records each).",
        )

    def report(self, segment: Segment | None, start: int, end: int, reason: str) -> None:
        """Offsets [start, end) are lost to the pipelines. `segment` is the file they stand in, None when there is none."""
        with self._lock:
            if start in self._known:
                return
            self._known.add(start)
            self._count.inc()
            if segment is not None and segment.base not in self._copies:
                self._copies[segment.base] = self._set_aside(segment)
            copy = self._copies[segment.base] if segment else None
        name = segment.path.name if segment else None
        self._log.error(
            (name or start, reason.partition(":")[0]),
            "journal damaged, continuing behind it",
            segment=name,
            offset=start,
            bytes=end - start,
            reason=reason,
            copy=copy,
        )

    def forget(self, segment: Segment) -> None:
        """The segment is deleted; its damage need not be remembered."""
        with self._lock:
            self._known -= {start for start in self._known if start < segment.end}
            self._copies.pop(segment.base, None)

    def _set_aside(self, segment: Segment) -> str:
        """Copy the segment into `corrupt/`, once; return where to, or why not. Never raises: the copy is a courtesy."""
        target = self._folder / segment.path.name
        try:
            kept = self._files.sizes(self._folder)
            if target.name in kept:
                return str(target)
            if sum(kept.values()) + segment.size > self._bound:
                return f"not made: {self._folder} holds {self._bound} bytes at most"
            if self._files.free(self._folder.parent) - segment.size < self._min_free:
                return "not made: the disk is almost full"
            self._files.make_directory(self._folder)
            self._copy(segment, target)
        except OSError as error:
            return f"not made: {error}"
        return str(target)

    def _copy(self, segment: Segment, target: Path) -> None:
        source = self._files.open(segment.path)
        try:
            sink = self._files.create(target)
            try:
                for at in range(0, segment.size, COPY_CHUNK):
                    self._files.write(sink, [self._files.read(source, at, min(COPY_CHUNK, segment.size - at))])
            except OSError:
                self._files.remove(target)  # the next would pass for a whole one
                raise
            finally:
                self._files.close(sink)
        finally:
            self._files.close(source)

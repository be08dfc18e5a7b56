"""Whether there is room for one more record, answered without asking the disk each time."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from openfuse_collector.journal.config import JournalConfig
from openfuse_collector.journal.files import Files
from openfuse_collector.journal.log import SegmentedLog

MAX_QUEUED = 128 * 1024 * 1024
"""Bytes that may wait for the writer."""

ORDINARY = 1024 * 1024
"""Bytes of a request for which there should be room, or the journal, or a pipeline, counts as full."""

MAX_RECORD = 0xFFFF_FFFF
"""What the length fields of a record can say."""


class Refusal(NamedTuple):
    """Why a record is not taken now, and when to come back."""

    reason: str
    """Label of the metric."""
    message: str
    after: float
    """Seconds."""


class Bounds:
    """`max_size`, `min_free_disk` and the writer's queue. Free space is measured by `refresh` and counted down in between."""

    def __init__(self, directory: Path, config: JournalConfig, files: Files, log: SegmentedLog) -> None:
        self._directory = directory
        self._files = files
        self._log = log
        self._max_size = config.max_size
        self._min_free = config.min_free_disk
        self._reserve = config.segment_size
        self._free = 0
        self.parked = 0
        """Bytes that only pipelines with a quota of their own hold back; they do not count against `max_size`."""
        with suppress(OSError):  # nothing is taken then until housekeeping could measure
            self.refresh()

    def refresh(self) -> None:
        """Measure the free space. Raises OSError."""
        self._free = self._files.free(self._directory)

    def spend(self, size: int) -> None:
        """`size` bytes were written since the last measurement."""
        self._free -= size

    @property
    def pressed(self) -> bool:
        """True when less than one segment's room is left: what is only kept for `retain` has to go."""
        return self._log.size - self.parked + self._reserve > self._max_size or self.disk_pressed

    @property
    def disk_pressed(self) -> bool:
        """True when the file system has less than one segment's room left."""
        return self._free - self._reserve < self._min_free

    def status(self) -> dict[str, Any]:
        """Size and bounds, in bytes; the free space as measured last."""
        return {
            "bytes": self._log.size,
            "max_size": int(self._max_size),
            "parked_bytes": self.parked,
            "free_disk": self._free,
            "min_free_disk": int(self._min_free),
            "segments": len(self._log.segments),
        }

    @property
    def largest(self) -> int:
        """Bytes of the largest record that can ever be taken."""
        return min(self._max_size, MAX_RECORD)

    def refusal(self, size: int, queued: int) -> Refusal | None:
        """Why `size` more bytes cannot be taken while `queued` are still unwritten; None when they can."""
        if queued and queued + size > MAX_QUEUED:
            return Refusal("queue", f"{queued} bytes are waiting for the journal's disk", 1.0)
        if self._log.size - self.parked + queued + size > self._max_size:
            return Refusal("max_size", f"the journal is full (max_size {self._max_size} bytes)", 2.0)
        if self._free - queued - size < self._min_free:
            return Refusal(
                "min_free_disk", f"the journal's disk is almost full (min_free_disk {self._min_free} bytes)", 5.0
            )
        return None

"""Opening a directory after whatever happened to it: who we are, which segments there are, and where the log really ends."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from openfuse_collector.journal.config import JournalConfig
from openfuse_collector.journal.damage import DamageReport
from openfuse_collector.journal.errors import JournalLocked
from openfuse_collector.journal.files import Files, read_whole, write_whole
from openfuse_collector.journal.log import SegmentedLog
from openfuse_collector.journal.segment import Segment, SegmentReader, segment_base

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

LOCK = "lock"
INSTANCE = "instance"


def take_lock(directory: Path, files: Files) -> int:
    """Lock the directory for this process; the handle keeps it. Raises JournalLocked, OSError."""
    try:
        return files.lock(directory / LOCK)
    except BlockingIOError:
        holder = read_whole(files, directory / LOCK) or b""
        raise JournalLocked(directory, int(holder) if holder.strip().isdigit() else None) from None


def instance_id(directory: Path, files: Files, log: BoundLogger) -> str:
    """The id of this collector: 32 hexadecimal digits, made once and kept. Raises OSError."""
    path = directory / INSTANCE
    try:
        return UUID((read_whole(files, path) or b"").decode().strip()).hex
    except (OSError, ValueError):
        made = uuid4().hex
        write_whole(files, path, f"{made}\n".encode())
        log.info("new journal", directory=str(directory), instance=made)
        return made


def find_segments(directory: Path, files: Files) -> list[Segment]:
    """The segments of a directory, oldest first, each ending at the latest where the next begins. Raises OSError.

    The rest of a file behind the next one's base is what a failed write left there; it was never acknowledged.
    """
    found = sorted(
        (base, size) for name, size in files.sizes(directory).items() if (base := segment_base(name)) is not None
    )
    segments = [Segment(directory, base, size) for base, size in found]
    for segment, following in pairwise(segments):
        segment.end = min(segment.end, following.base)
    return segments


def recover(
    directory: Path,
    config: JournalConfig,
    files: Files,
    damage: DamageReport,
    highest: int,
    log: BoundLogger,
    synced: Callable[[float], None],
) -> SegmentedLog:
    """The log of a directory, ready to be appended to. Raises OSError.

    No offset is given out twice: where the `highest` cursor is behind the end, records that were read and finished are gone.
    """
    segments = find_segments(directory, files)
    readable = not segments or check_last(segments[-1], files, damage, log, fsync=config.fsync)
    found = SegmentedLog(
        directory, files, segments, segment_size=config.segment_size, fsync=config.fsync, synced=synced
    )
    if highest > found.end:
        log.warning("journal ends before a cursor, continuing there", end=found.end, cursor=highest)
    if highest > found.end or not found.segments or not readable:
        found.roll(max(found.end, highest))
    return found


def check_last(segment: Segment, files: Files, damage: DamageReport, log: BoundLogger, *, fsync: bool) -> bool:
    """Verify the last segment and cut what does not end in a whole record: a write that was under way when the power went.

    False where the disk cannot read all of it: then nothing is cut and nothing may be added, for it may have been a passing trouble.

    What remains is synced, for some of it may have been in memory only: a reader must not act on a record that a second power
    cut would replace by another one. Raises OSError.
    """
    whole_end, damaged = segment.base, []
    file = SegmentReader(files, segment)
    try:
        for stretch in file.stretches(segment.end):
            if stretch.damaged:
                damaged.append(stretch)
            else:
                whole_end = stretch.end
    finally:
        file.close()
    if file.unreadable:
        log.error("journal: its last file cannot be read, continuing in a new one", segment=segment.path.name)
        return False
    for stretch in damaged:
        if stretch.start < whole_end:
            damage.report(segment, stretch.start, stretch.end, "checksum")
    if segment.end > whole_end:
        log.warning(
            "journal: cut an unfinished write",
            segment=segment.path.name,
            offset=whole_end,
            bytes=segment.end - whole_end,
        )
        segment.end = whole_end
        files.truncate(segment.path, segment.size)
    if fsync:
        handle = files.append_to(segment.path)
        try:
            files.sync(handle)
        finally:
            files.close(handle)
        files.sync_directory(segment.path.parent)
    return True

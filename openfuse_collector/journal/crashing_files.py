"""The journal's files with a crash point around every step that changes the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from openfuse_collector.crash_points import crash_point, die, due, on_disk
from openfuse_collector.journal.files import Files, OsFiles


def disk() -> Files:
    """The operating system's files; those that crash when such a point was chosen."""
    return CrashingFiles() if on_disk() else OsFiles()


class CrashingFiles(OsFiles):
    """The operating system's own, with a crash point before and after each step."""

    def create(self, path: Path) -> int:
        crash_point("journal.create.before")
        handle = super().create(path)
        crash_point("journal.create.after")
        return handle

    def write(self, handle: int, parts: Sequence[bytes]) -> None:
        crash_point("journal.write.before")
        if due("journal.write.torn"):
            whole = b"".join(parts)
            super().write(handle, [whole[: len(whole) // 2]])
            die()
        super().write(handle, parts)
        crash_point("journal.write.after")

    def truncate(self, path: Path, size: int) -> None:
        crash_point("journal.truncate.before")
        super().truncate(path, size)
        crash_point("journal.truncate.after")

    def sync(self, handle: int) -> None:
        crash_point("journal.sync.before")
        super().sync(handle)
        crash_point("journal.sync.after")

    def sync_directory(self, directory: Path) -> None:
        crash_point("journal.sync_directory.before")
        super().sync_directory(directory)
        crash_point("journal.sync_directory.after")

    def rename(self, source: Path, target: Path) -> None:
        crash_point("journal.rename.before")
        super().rename(source, target)
        crash_point("journal.rename.after")

    def remove(self, path: Path) -> None:
        crash_point("journal.remove.before")
        super().remove(path)
        crash_point("journal.remove.after")

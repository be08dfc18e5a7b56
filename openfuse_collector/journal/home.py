"""The directory of a journal as this process holds it: locked for others, and known by an id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from openfuse_collector.journal.errors import JournalLocked
from openfuse_collector.journal.files import Files, write_whole
from openfuse_collector.journal.recovery import INSTANCE, LOCK, instance_id, take_lock

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger


class Home:
    """Takes the directory when it is made. Raises JournalLocked, OSError."""

    def __init__(self, directory: Path, files: Files, log: BoundLogger) -> None:
        self._directory, self._files, self._log = directory, files, log
        files.make_directory(directory)
        self._lock: int | None = take_lock(directory, files)
        try:
            self.instance = instance_id(directory, files, log)
            """Id of this collector instance: made once, kept in the directory."""
        except BaseException:
            self.leave()
            raise

    def keep(self) -> bool:
        """Make the directory anew when somebody has removed or moved it; tells whether that was so. Raises OSError.

        A process can go on writing to files that have no name any more, or another one, and would acknowledge what no restart finds.
        """
        if self._lock is None or self._files.named(self._lock, self._directory / LOCK):
            return False
        self._files.make_directory(self._directory)
        try:
            lock = take_lock(self._directory, self._files)
        except JournalLocked as error:
            raise OSError(str(error)) from error
        try:
            write_whole(self._files, self._directory / INSTANCE, f"{self.instance}\n".encode())
        except OSError:
            self._files.close(lock)  # the directory is not ours before it is whole: the next call begins again
            raise
        self.leave()
        self._lock = lock
        self._log.error(
            "the journal's directory was removed while in use, or moved, and is made anew; what it held and was not stored is gone with it",
            directory=str(self._directory),
        )
        return True

    def leave(self) -> None:
        """Let others have it. Idempotent."""
        lock, self._lock = self._lock, None
        if lock is not None:
            self._files.close(lock)

"""Why a journal cannot be opened or used."""

from __future__ import annotations

from pathlib import Path

from openfuse_collector.errors import CollectorError


class JournalError(CollectorError):
    """The journal directory cannot be used; the message names it and says why."""


def unusable(directory: Path, error: OSError) -> str:
    """The sentence about a directory that the file system refuses."""
    where = f" ({error.filename})" if error.filename else ""
    return (
        f"cannot use journal directory {directory}: {error.strerror or error}{where}; "
        "make it writable for this user, or choose another `service::journal::directory`"
    )


class JournalLocked(JournalError):
    """Another process has the directory open. `pid` is its process id, None when it could not be read."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        self.directory = directory
        self.pid = pid
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"journal directory {directory} is in use by {holder}; "
            "give each collector its own `service::journal::directory`"
        )

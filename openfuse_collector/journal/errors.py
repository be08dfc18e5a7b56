"""Why a journal cannot be opened or used."""

from __future__ import annotations

from pathlib import Path

from openfuse_collector.errors import CollectorError


class JournalError(CollectorError):
    """The journal directory cannot be used; the message names it and says why."""


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

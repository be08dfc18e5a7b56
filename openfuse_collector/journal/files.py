"""What the journal asks of a disk, and the real one. Tests put a disk in its place that can lose power."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from openfuse_collector.open_files import is_named

IOV_MAX = 1024
"""Buffers one writev takes on Linux and macOS."""


class Files(Protocol):
    """A file system with durability in the open: nothing counts as kept before `sync` (content) and `sync_directory` (names).

    Every method raises OSError when the disk refuses. Handles are small integers.
    """

    def make_directory(self, path: Path) -> None:
        """Create a directory (0700) and its parents durably; fine when it exists."""
        ...

    def sizes(self, directory: Path) -> dict[str, int]:
        """Name -> bytes of the plain files in a directory; empty when there is no such directory."""
        ...

    def lock(self, path: Path) -> int:
        """Take an exclusive lock for the life of the handle. Raises BlockingIOError when another one has it."""
        ...

    def create(self, path: Path) -> int:
        """Open a new empty file (0600) for appending. Raises FileExistsError."""
        ...

    def append_to(self, path: Path) -> int:
        """Open an existing file for appending."""
        ...

    def open(self, path: Path) -> int:
        """Open an existing file for reading."""
        ...

    def read(self, handle: int, offset: int, size: int) -> bytes:
        """Up to `size` bytes at `offset`; fewer only at the end of the file."""
        ...

    def write(self, handle: int, parts: Sequence[bytes]) -> None:
        """Append all parts. After an OSError any prefix of them may be in the file."""
        ...

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to `size` bytes."""
        ...

    def sync(self, handle: int) -> None:
        """Make the file's content and size durable. After an OSError the content cannot be trusted, nor a later success."""
        ...

    def sync_directory(self, directory: Path) -> None:
        """Make creations, renames and removals in a directory durable."""
        ...

    def named(self, handle: int, path: Path) -> bool:
        """Whether `path` still names the file: a restart finds what is in it nowhere else."""
        ...

    def close(self, handle: int) -> None:
        """Give a handle back; a lock goes with it."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Move a file over another one."""
        ...

    def remove(self, path: Path) -> None:
        """Delete a file. Raises FileNotFoundError."""
        ...

    def free(self, directory: Path) -> int:
        """Bytes an unprivileged process can still write on this file system."""
        ...


class OsFiles:
    """The operating system's files."""

    def make_directory(self, path: Path) -> None:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700 if folder == path else 0o777, exist_ok=True)
            self.sync_directory(folder.parent)

    def sizes(self, directory: Path) -> dict[str, int]:
        if not directory.exists():
            return {}
        with os.scandir(directory) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def lock(self, path: Path) -> int:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            os.close(handle)
            raise
        return handle

    def create(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def append_to(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_APPEND)

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDONLY)

    def read(self, handle: int, offset: int, size: int) -> bytes:
        first = os.pread(handle, size, offset)
        if len(first) in (0, size):
            return first
        return first + self.read(handle, offset + len(first), size - len(first))

    def write(self, handle: int, parts: Sequence[bytes]) -> None:
        for start in range(0, len(parts), IOV_MAX):
            some = parts[start : start + IOV_MAX]
            written = os.writev(handle, some)
            if written < sum(map(len, some)):  # a signal, a quota or a full disk: the rest says which
                _write_rest(handle, memoryview(b"".join(some))[written:])

    def truncate(self, path: Path, size: int) -> None:
        os.truncate(path, size)

    def sync(self, handle: int) -> None:
        _sync(handle)

    def sync_directory(self, directory: Path) -> None:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def named(self, handle: int, path: Path) -> bool:
        return is_named(path, os.fstat(handle))

    def close(self, handle: int) -> None:
        os.close(handle)

    def rename(self, source: Path, target: Path) -> None:
        source.replace(target)

    def remove(self, path: Path) -> None:
        path.unlink()

    def free(self, directory: Path) -> int:
        stat = os.statvfs(directory)
        return stat.f_bavail * stat.f_frsize


def _write_rest(handle: int, rest: memoryview) -> None:
    while rest:
        rest = rest[os.write(handle, rest) :]


def _sync(handle: int) -> None:
    """Down to the medium. On macOS fsync stops at the drive's cache; F_FULLFSYNC does not."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        fcntl.fcntl(handle, full)
    else:
        os.fdatasync(handle)


def read_whole(files: Files, path: Path) -> bytes | None:
    """The content of a small file, None when it does not exist. Raises OSError."""
    try:
        handle = files.open(path)
    except FileNotFoundError:
        return None
    try:
        return files.read(handle, 0, 1 << 24)
    finally:
        files.close(handle)


def write_whole(files: Files, path: Path, content: bytes) -> None:
    """Replace a small file so that a power cut leaves the old or the new content, and the new one once this returns.

    Raises OSError.
    """
    temporary = path.with_name(path.name + ".tmp")
    with suppress(FileNotFoundError):
        files.remove(temporary)
    handle = files.create(temporary)
    try:
        files.write(handle, [content])
        files.sync(handle)
    finally:
        files.close(handle)
    files.rename(temporary, path)
    files.sync_directory(path.parent)

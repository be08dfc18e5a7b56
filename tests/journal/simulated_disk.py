"""A disk in memory that keeps what is durable apart from what is merely written, loses power, and refuses on request."""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import RLock
from typing import Literal, TypeVar

SECTOR = 512

T = TypeVar("T")

Survival = Literal["all", "none", "prefix", "subset"]
"""Which of the changes nobody synced are on the medium after a power cut."""

Fault = Callable[[str, Path], int | None]
"""(operation, path) -> errno to fail with, None to go on."""


@dataclass
class Inode:
    """Content as processes see it, content on the medium, and the sector-sized writes in between (a bare int is a truncation)."""

    content: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)

    def append(self, data: bytes) -> None:
        at = len(self.content)
        self.content += data
        while data:
            room = SECTOR - at % SECTOR
            self.pending.append((at, data[:room]))
            at, data = at + len(data[:room]), data[room:]

    def persist(self, pending: Sequence[tuple[int, bytes] | int]) -> None:
        for change in pending:
            if isinstance(change, int):
                del self.durable[change:]
                continue
            at, data = change
            self.durable.extend(bytes(max(0, at + len(data) - len(self.durable))))
            self.durable[at : at + len(data)] = data


@dataclass
class Directory:
    """Names as processes see them, names on the medium, and the changes in between; each change is atomic."""

    names: dict[str, Inode] = field(default_factory=dict)
    durable: dict[str, Inode] = field(default_factory=dict)
    pending: list[dict[str, Inode | None]] = field(default_factory=list)

    def change(self, change: dict[str, Inode | None]) -> None:
        self.pending.append(change)
        _apply(self.names, change)


def _apply(names: dict[str, Inode], change: dict[str, Inode | None]) -> None:
    for name, inode in change.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


class SimulatedDisk:
    """Implements `Files`. After `cut_at` changing operations the power is gone: that one and all later ones raise EIO."""

    def __init__(self, *, cut_at: int | None = None, free: int = 1 << 40) -> None:
        self.cut_at = cut_at
        self.free_bytes = free
        self.fault: Fault = lambda operation, path: None
        self.bad_place: tuple[Path, int] | None = None
        """A byte of a file the medium cannot read any more."""
        self.operations: list[tuple[str, Path]] = []
        self.dead = self.dead_before_boot = False
        self._directories: defaultdict[Path, Directory] = defaultdict(Directory)
        self._handles: dict[int, tuple[Path, Inode]] = {}
        self._locks: set[Path] = set()
        self._next = 3
        self._mutex = RLock()

    # -- what tests do to it

    def after_power_cut(self, survival: Survival, random: Random) -> SimulatedDisk:
        """The disk as the next boot finds it."""
        disk = SimulatedDisk()
        with self._mutex:
            self.dead_before_boot, self.dead = self.dead, True
            inodes: dict[int, Inode] = {}
            for path, directory in self._directories.items():
                for change in _survivors(directory.pending, survival, random):
                    _apply(directory.durable, change)
                for name, inode in directory.durable.items():
                    if id(inode) not in inodes:
                        inodes[id(inode)] = _reboot(inode, survival, random)
                    disk._directories[path].durable[name] = disk._directories[path].names[name] = inodes[id(inode)]
                disk._directories[path].pending = []
        return disk

    def after_kill(self) -> SimulatedDisk:
        """The disk as the next process finds it when only this one died: everything written is still in memory."""
        self._locks.clear()
        self._handles.clear()
        self.dead, self.cut_at, self.operations = False, None, []
        return self

    def content(self, path: Path) -> bytes:
        return bytes(self._directories[path.parent].names[path.name].content)

    def overwrite(self, path: Path, content: bytes) -> None:
        """Bit rot: the medium holds something else from now on."""
        inode = self._directories[path.parent].names[path.name]
        inode.content, inode.durable, inode.pending = bytearray(content), bytearray(content), []

    # -- Files

    def make_directory(self, path: Path) -> None:
        self._directories[path]

    def sizes(self, directory: Path) -> dict[str, int]:
        with self._mutex:
            self._check("sizes", directory)
            return {name: len(inode.content) for name, inode in self._directories[directory].names.items()}

    def lock(self, path: Path) -> int:
        with self._mutex:
            if path in self._locks:
                raise BlockingIOError(errno.EWOULDBLOCK, "locked")
            self._locks.add(path)
            return self._handle(path, Inode())

    def named(self, handle: int, path: Path) -> bool:
        with self._mutex:
            _, inode = self._handles[handle]
            return path in self._locks or self._directories[path.parent].names.get(path.name) is inode

    def create(self, path: Path) -> int:
        with self._mutex:
            directory = self._directories[path.parent]
            if path.name in directory.names:
                raise FileExistsError(errno.EEXIST, "exists", str(path))
            inode = Inode()
            self._changing("create", path, lambda: directory.change({path.name: inode}))
            return self._handle(path, inode)

    def append_to(self, path: Path) -> int:
        return self.open(path)

    def open(self, path: Path) -> int:
        with self._mutex:
            self._check("open", path)
            return self._handle(path, self._find(path))

    def read(self, handle: int, offset: int, size: int) -> bytes:
        with self._mutex:
            path, inode = self._handles[handle]
            self._check("read", path)
            if self.bad_place and self.bad_place[0] == path and offset <= self.bad_place[1] < offset + size:
                raise OSError(errno.EIO, "unreadable")
            return bytes(inode.content[offset : offset + size])

    def write(self, handle: int, parts: Sequence[bytes]) -> None:
        with self._mutex:
            path, inode = self._handles[handle]
            data = b"".join(parts)
            try:
                self._changing("write", path, lambda: inode.append(data))
            except OSError:
                if not self.dead:
                    inode.append(data[: len(data) // 2])
                raise

    def truncate(self, path: Path, size: int) -> None:
        def cut() -> None:
            inode = self._find(path)
            del inode.content[size:]
            inode.pending.append(size)

        with self._mutex:
            self._changing("truncate", path, cut)

    def sync(self, handle: int) -> None:
        with self._mutex:
            path, inode = self._handles[handle]
            try:
                self._changing("sync", path, lambda: None)
            except OSError:
                if not self.dead:
                    inode.pending = []  # Linux marks the pages clean: no later sync brings them to the medium
                raise
            inode.persist(inode.pending)
            inode.pending = []

    def sync_directory(self, directory: Path) -> None:
        with self._mutex:
            self._changing("sync_directory", directory, lambda: None)
            names = self._directories[directory]
            for change in names.pending:
                _apply(names.durable, change)
            names.pending = []

    def close(self, handle: int) -> None:
        with self._mutex:
            path, _ = self._handles.pop(handle)
            self._locks.discard(path)

    def rename(self, source: Path, target: Path) -> None:
        with self._mutex:
            inode = self._find(source)
            directory = self._directories[source.parent]
            self._changing("rename", target, lambda: directory.change({source.name: None, target.name: inode}))

    def remove(self, path: Path) -> None:
        with self._mutex:
            self._check("remove", path)
            self._find(path)
            self._changing("remove", path, lambda: self._directories[path.parent].change({path.name: None}))

    def free(self, directory: Path) -> int:
        self._check("free", directory)
        return self.free_bytes

    # -- inside

    @property
    def open_handles(self) -> int:
        """Handles nobody gave back."""
        return len(self._handles)

    def _find(self, path: Path) -> Inode:
        inode = self._directories[path.parent].names.get(path.name)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return inode

    def _handle(self, path: Path, inode: Inode) -> int:
        self._next += 1
        self._handles[self._next] = (path, inode)
        return self._next

    def _check(self, operation: str, path: Path) -> None:
        if self.dead:
            raise OSError(errno.EIO, "the power is gone")
        refused = self.fault(operation, path)
        if refused is not None:
            raise OSError(refused, os.strerror(refused), str(path))

    def _changing(self, operation: str, path: Path, change: Callable[[], None]) -> None:
        """Do a counted operation; at the power cut it is done in memory only, so that any part of it may survive."""
        self._check(operation, path)
        self.operations.append((operation, path))
        change()
        if self.cut_at is not None and len(self.operations) >= self.cut_at:
            self._check_dead()

    def _check_dead(self) -> None:
        self.dead = True
        raise OSError(errno.EIO, "the power is gone")


def _survivors(pending: Sequence[T], survival: Survival, random: Random) -> Sequence[T]:
    if survival == "subset":
        return [change for change in pending if random.random() < 0.5]
    kept = {"all": len(pending), "none": 0, "prefix": random.randint(0, len(pending))}[survival]
    return pending[:kept]


def _reboot(inode: Inode, survival: Survival, random: Random) -> Inode:
    """The file on the medium; at random its size counts already while the sectors hold zeros, as ext4 may leave it."""
    inode.persist(_survivors(inode.pending, survival, random))
    if survival in ("prefix", "subset") and random.random() < 0.3:
        inode.durable.extend(bytes(max(0, len(inode.content) - len(inode.durable))))
    return Inode(content=bytearray(inode.durable), durable=bytearray(inode.durable))

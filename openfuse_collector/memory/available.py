"""How much memory there is for this process: what its control group allows (version 1 or 2), else what the machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def physical_memory() -> int:
    """Bytes of memory of the machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def available_memory(physical: int, root: Path = Path("/")) -> int:
    """The smallest limit of the process's control group and the groups above it, `physical` where none is lower.

    `root` is where /proc and /sys are. Reading what is not there, or not for us, counts as no limit.
    """
    return min([physical, *(limit for limit in _limits(root) if limit > 0)])


def _limits(root: Path) -> Iterator[int]:
    for path in _files(root):
        try:
            yield int(path.read_text())
        except (OSError, ValueError):  # version 2 writes "max" where there is no limit
            continue


def _files(root: Path) -> Iterator[Path]:
    """Limit files of the own group and of each above it, up to the mount: in a container that may be all there is to see."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            mount, file = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mount, file = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        own = PurePosixPath(group.lstrip("/"))
        yield from (mount / directory / file for directory in (own, *own.parents) if ".." not in directory.parts)

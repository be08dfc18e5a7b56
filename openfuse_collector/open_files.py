"""Files that stay open for the life of the process, and what becomes of their names meanwhile."""

from __future__ import annotations

import os
from pathlib import Path


def is_named(path: Path, opened: os.stat_result) -> bool:
    """Whether `path` names the file that is open; False when there is none at that path, or another one.

    A process can go on writing to a file without a name, and all of that is gone when it lets go of it. As long as a file is open its
    device and inode are given to no other. Raises OSError when it cannot be seen, FileNotFoundError excepted.
    """
    try:
        return os.path.samestat(path.stat(), opened)
    except FileNotFoundError:
        return False

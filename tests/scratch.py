"""Directories for what has no `tmp_path` at hand: all in one that is removed at the end of the process."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path


def directory() -> Path:
    """A new, empty one."""
    return Path(tempfile.mkdtemp(dir=_root()))


@functools.cache
def _root() -> str:
    root = tempfile.mkdtemp(prefix="openfuse-tests-")
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root

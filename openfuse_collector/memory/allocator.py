"""Makes the C library give memory of finished requests back, so that resident memory follows what is in use (glibc only)."""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
"""Of <malloc.h>."""

LARGE = 4 * 1024 * 1024
"""Blocks of so many bytes go back to the system the moment they are freed. Left alone, glibc raises its bound to 32 MiB after
the first large block (mallopt(3), M_MMAP_THRESHOLD), and a request of 60 MiB leaves holes that stay resident."""

ARENAS = 2
"""Threads share so few heaps; the default of 8 per core keeps a peak for each."""


def tune() -> None:
    """Set the C library up. To be called before threads are started."""
    library = _glibc()
    if library is not None:
        library.mallopt(_M_MMAP_THRESHOLD, LARGE)
        library.mallopt(_M_ARENA_MAX, ARENAS)


def trim() -> None:
    """Give free memory at the ends of the heaps, and whole free pages inside them, back to the system."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@functools.cache
def _glibc() -> Any:
    """The C library where it has these functions (musl and macOS have not)."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None

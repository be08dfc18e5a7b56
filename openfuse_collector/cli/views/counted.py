"""How many of something there are, as people write it."""

from __future__ import annotations


def counted(number: int, one: str, several: str = "") -> str:
    """`1 trace`, `1,200 traces`, `2 entities`; `several` where it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"

"""Log lines that would repeat with every request: one of a kind per interval, with the number of those left out."""

from __future__ import annotations

import time

QUIET = 10.0
"""Seconds between two log lines of one kind."""


class Seldom:
    """Lets one log line of a kind pass per interval and counts the others. From any thread: at worst a line more."""

    def __init__(self, interval: float = QUIET) -> None:
        self._interval = interval
        self._next: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def due(self, kind: str) -> int | None:
        """How many lines were left out since the last one, None when this one is left out too."""
        now = time.monotonic()
        if now < self._next.get(kind, 0.0):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return None
        self._next[kind] = now + self._interval
        return self._left_out.pop(kind, 0)

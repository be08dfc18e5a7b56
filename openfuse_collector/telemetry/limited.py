"""Log lines that would repeat: one of a kind per interval, with the number of those left out since."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

EVERY = 60.0
"""Seconds between two lines of one kind."""
QUIET = 10.0
"""The same for lines about senders, who are there to be told."""
MOST_KINDS = 1000
"""Kinds remembered; the one seen longest ago is forgotten first, and may write a line too many."""


class Seldom:
    """Lets one happening of a kind pass per interval and counts the others. Thread-safe."""

    def __init__(self, every: float = EVERY, clock: Callable[[], float] = monotonic) -> None:
        self._every = every
        self._clock = clock
        self._lock = Lock()
        self._seen: dict[Hashable, tuple[float, int]] = {}
        """Kind -> when the next one passes, how many did not since the last that did."""

    def due(self, kind: Hashable) -> int | None:
        """How many were left out since the last one that passed, None when this one is left out too."""
        now = self._clock()
        with self._lock:
            passes_at, left_out = self._seen.pop(kind, (now, 0))
            if now < passes_at:
                self._seen[kind] = passes_at, left_out + 1
                return None
            self._seen[kind] = now + self._every, 0
            while len(self._seen) > MOST_KINDS:
                del self._seen[next(iter(self._seen))]
            return left_out


class Limited:
    """A log that writes one line of a kind per `every` seconds; `not_logged` says how many were left out since the one before.

    The kind is the caller's choice, apart from the fields: what would be news must be part of it, what differs each time must not.
    """

    def __init__(self, log: BoundLogger, every: float = EVERY, clock: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._seldom = Seldom(every, clock)

    def warning(self, kind: Hashable, sentence: str, **fields: object) -> bool:
        """Write a warning, unless one of its kind was written lately. Tells whether it was written."""
        return self._write(self._log.warning, kind, sentence, fields)

    def error(self, kind: Hashable, sentence: str, **fields: object) -> bool:
        """The same for an error; `exc_info` shows a traceback."""
        return self._write(self._log.error, kind, sentence, fields)

    def _write(self, write: Callable[..., object], kind: Hashable, sentence: str, fields: dict[str, object]) -> bool:
        left_out = self._seldom.due(kind)
        if left_out is None:
            return False
        write(sentence, **fields, **({"not_logged": left_out} if left_out else {}))
        return True

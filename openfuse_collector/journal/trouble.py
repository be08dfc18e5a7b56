"""Why a journal takes nothing, and since when: for the health check and `/status`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from openfuse_collector.journal.bounds import Refusal

STALLED = 4.0
"""Seconds without an answer of the disk after which nobody waits for it any more: what receivers have patience for."""


class Trouble(NamedTuple):
    """Why the journal takes nothing."""

    reason: str
    """Label of the metric of refusals; `stalled` where the disk does not even refuse."""
    message: str
    since: float
    """Epoch seconds."""


class Troubles:
    """Of one journal. `now` from any thread, all else on the writer's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives epoch seconds."""
        self._clock = clock
        self._found: Trouble | None = None
        self._asked_at: float | None = None

    @property
    def now(self) -> Trouble | None:
        """None while something is taken. A disk that stands still stops housekeeping, too, so that nobody is left to judge it."""
        asked_at = self._asked_at
        if asked_at is not None and self._clock() - asked_at > STALLED:
            return Trouble("stalled", "the journal's disk does not answer", asked_at)
        return self._found

    @contextmanager
    def asking_the_disk(self) -> Iterator[None]:
        """What is done within may stand still."""
        self._asked_at = self._clock()
        try:
            yield
        finally:
            self._asked_at = None

    def judge(self, refusal: Refusal | None) -> None:
        """Whether a request of ordinary size would be taken, as of a round of housekeeping."""
        if refusal is None:
            self._found = None
        elif self._found is None or self._found.reason != refusal.reason:
            self._found = Trouble(refusal.reason, refusal.message, self._clock())

"""Where a pipeline begins to read, of what its store and the journal know."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from openfuse_collector.journal.log import SegmentedLog
from openfuse_collector.journal.tail import Tail

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

MAX_OFFSET = 1 << 62
"""A cursor beyond this is not believed."""


class Beginnings:
    """Of one log. `io` excludes its writer; `blind` says that it is not known which pipelines are new."""

    def __init__(self, segments: SegmentedLog, tail: Tail, io: Lock, log: BoundLogger, *, blind: bool) -> None:
        self._segments, self._tail, self._io, self._log = segments, tail, io, log
        self._blind = blind

    def of(self, name: str, start: int | None, known: int | None) -> int:
        """The offset for pipeline `name`: `start` is the cursor of the store behind it, `known` the journal's own. Raises OSError."""
        oldest, end = self._segments.start, self._tail.end
        if start is not None and start > end:
            self._log.warning(
                "the store's cursor is behind the end of the journal", pipeline=name, cursor=start, end=end
            )
            self._continue_at(start)
        begins = beginning(start, known, oldest=oldest, end=end, blind=self._blind)
        # Records below a store's cursor are missed only where the journal's own does not say that the pipeline was past them.
        if begins < oldest and (known is None or known < oldest):
            self._log.warning(
                "journal records a cursor points at are gone", pipeline=name, cursor=begins, oldest=oldest
            )
        return max(begins, oldest)

    def _continue_at(self, offset: int) -> None:
        """No record of ours gets an offset a store has already counted as finished. Raises OSError."""
        with self._io:
            if self._segments.end < offset < MAX_OFFSET:
                self._segments.roll(offset)
                self._tail.advance(offset)


def beginning(start: int | None, known: int | None, *, oldest: int, end: int, blind: bool) -> int:
    """Where a pipeline begins; in doubt with what it may have had already, never behind something it may not have had.

    `start` is the cursor of the store behind it, `known` the journal's own; the log goes from `oldest` to `end`, and `blind` says that
    it is not known which pipelines are new. A store's cursor moves with the data it gets and stays behind where there was none
    for it; one behind `end` is that of another log.
    """
    if start is None:
        fallback = oldest if blind else end
        return fallback if known is None else known
    if start > end:
        return oldest if known is None else known
    return start

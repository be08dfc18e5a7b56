"""Cursors whose pipeline is gone from the configuration: said at the start, given up when nobody came back for them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from openfuse_collector.journal.cursors import Cursors
from openfuse_collector.journal.figures import GivenUp
from openfuse_collector.journal.makers import Cursor
from openfuse_collector.journal.reader import AT_ONCE, Source, beside
from openfuse_collector.signals import Origin

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

REMEDY = (
    "configure it once more as it was, until its lag_bytes in /status is 0 (pipeline@destination: that destination of the pipeline); "
    "or leave it, if the requests are not wanted"
)


def nothing(origin: Origin) -> bool:
    """Takes no record."""
    return False


class Orphans:
    """Of one journal. `tell` when the configuration is known, `give_up` on the writer's thread while nothing is written."""

    def __init__(self, source: Source, cursors: Cursors, given_up: GivenUp, log: BoundLogger) -> None:
        self._source = source._replace(decode=lambda origin, payload: None)
        self._cursors = cursors
        self._given_up = given_up
        self._log = log
        self._requests: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def tell(self, orphan_after: float) -> None:
        """What is left in front of them, one line each; and what pipelines still get of receivers they do not have any more."""
        for name, cursor, configured in self._cursors.left_behind():
            found = {"pipeline": name, "bytes": cursor.behind, "of": sorted(cursor.left)}
            if configured:
                self._log.info("a pipeline gets what was accepted for it before its receivers were changed", **found)
                continue
            self._given_up.begin(name)
            self._log.warning(
                "requests were accepted for a pipeline that is not configured any more, and wait for it",
                **found,
                kept_until=datetime.fromtimestamp(cursor.claimed + orphan_after, UTC).isoformat(timespec="minutes"),
                remedy=REMEDY,
            )

    def give_up(self) -> None:
        """Forget those whose time is over, once everything in front of them is counted."""
        room = AT_ONCE
        for name, cursor in self._cursors.late().items():
            room -= self._count(name, cursor, cursor.offset + min(room, cursor.behind))
            if room <= 0:
                return
            if not cursor.behind:
                self._forget(name, cursor)

    def _count(self, name: str, cursor: Cursor, end: int) -> int:
        """Go over a part of the log; gives its size, more than was asked for where the last record goes on."""
        begin = cursor.offset
        reader = beside(self._source, max(begin, self._source.log.start), wants=nothing, left=cursor.left)
        requests = sum(1 for _ in reader.until(end))
        self._cursors.move(name, reader.position)
        size = cursor.offset - begin
        self._given_up.count(name, requests, size)
        self._requests[name] += requests
        self._bytes[name] += size
        return size

    def _forget(self, name: str, cursor: Cursor) -> None:
        self._cursors.forget(name)
        requests, size = self._requests.pop(name, 0), self._bytes.pop(name, 0)
        (self._log.error if requests else self._log.warning)(
            "journal cursor given up: no such pipeline any more",
            pipeline=name,
            offset=cursor.offset,
            claimed=cursor.claimed,
            requests=requests,
            bytes=size,
        )

"""How far behind a pipeline may fall, and what happens then: its senders wait, or its oldest records are given up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from openfuse_collector.config.types import MIB
from openfuse_collector.crash_points import crash_point
from openfuse_collector.journal.bounds import ORDINARY, Bounds, Refusal
from openfuse_collector.journal.cursors import Cursors
from openfuse_collector.journal.figures import GivenUp
from openfuse_collector.journal.reader import AT_ONCE, Reader, Source, beside
from openfuse_collector.journal.segment import Segment
from openfuse_collector.signals import Item, Origin, Signal
from openfuse_collector.telemetry.limited import Limited
from openfuse_collector.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

RETRY_AFTER = 2.0
"""Seconds senders of a pipeline that is full are asked to wait."""


SLOWER = 16
"""Answers to the senders of a pipeline are held back from this part of the backlog it may have on, the longer the further it is behind;"""
SLOWER_AT_LEAST = 64 * MIB
"""but never before it has so many bytes to work off, a quarter of a minute's work."""
LONGEST_PAUSE = 0.2
"""Seconds for which an answer is held back at twice that backlog and beyond."""


class Quota(NamedTuple):
    """`max_backlog` and `on_full` of a pipeline."""

    max_backlog: int | None = None
    """Bytes of the journal behind its cursor. None: all of the journal for one that refuses, a quarter for one that parks."""
    parks: bool = False
    """Whether it lives off a quota of its own: it never makes senders wait, and gives up its oldest records at the bound."""
    given_up: Callable[[Item], None] = lambda item: None
    """Told of every record that was given up. On the writer's thread."""


DEFAULT_QUOTA = Quota()


class Bounded(NamedTuple):
    """A pipeline of this journal and its quota."""

    name: str
    reader: Reader
    quota: Quota
    wants: Callable[[Origin], bool]


class Quotas:
    """The quotas of all pipelines. `refusal` on any thread; `enforce` on the writer's, while nothing is written."""

    def __init__(
        self,
        source: Source,
        cursors: Cursors,
        bounds: Bounds,
        max_size: int,
        given_up: GivenUp,
        metrics: Metrics,
        log: BoundLogger,
    ) -> None:
        self._source = source
        self._cursors = cursors
        self._bounds = bounds
        self._max_size = max_size
        self._parked_bound = max_size // 4
        self._log = Limited(log)
        self._pipelines: dict[str, Bounded] = {}
        self._refusing: dict[tuple[Signal, str], list[Bounded]] = {}
        self._held_back = metrics.counter(
            "openfuse_journal_held_back_requests",
            "Requests whose answer was held back because a pipeline is far behind.",
        )
        self._parked = metrics.gauge(
            "openfuse_journal_parked_bytes", "Bytes of the journal that only this pipeline still needs.", ["pipeline"]
        )
        self._given_up = given_up

    def add(self, pipeline: Bounded) -> None:
        """A pipeline reads from now on."""
        self._pipelines = {
            **self._pipelines,
            pipeline.name: pipeline,
        }  # the writer's thread may be going over the others
        self._refusing.clear()
        if pipeline.quota.parks:
            self._parked.labels(pipeline.name).set(0)
            self._given_up.begin(pipeline.name)

    def backlog(self, name: str) -> int:
        """Bytes between a pipeline's cursor and the end of the journal, those of other pipelines among them."""
        return max(0, self._source.tail.end - (self._cursors.offset(name) or 0))

    def bound(self, name: str) -> int | None:
        """The backlog a pipeline may have; None where only the journal's size bounds it."""
        quota = self._pipelines[name].quota
        return quota.max_backlog if quota.max_backlog is not None or not quota.parks else self._parked_bound

    def status(self, name: str) -> dict[str, Any]:
        """How far a pipeline is behind and may be, in bytes, and what happens then."""
        on_full = "park" if self._pipelines[name].quota.parks else "refuse"
        backlog, bound = self.backlog(name), self.bound(name)
        return {"lag_bytes": backlog, "max_backlog": bound, "on_full": on_full, "full": self.full(name)}

    def full(self, name: str) -> bool:
        """Whether a pipeline is so far behind that a request of ordinary size would be one too many."""
        bound, backlog = self.bound(name), self.backlog(name)
        return bound is not None and backlog > 0 and backlog + ORDINARY > bound

    def refusal(self, origin: Origin, size: int) -> Refusal | None:
        """Why a record of `size` bytes cannot be taken for the pipelines that want it; None when it can.

        One record may always wait, whatever its size.
        """
        for name, _, quota, _ in self._refusing_for(origin):
            backlog = self.backlog(name)
            if backlog and quota.max_backlog is not None and backlog + size > quota.max_backlog:
                return Refusal(
                    "max_backlog",
                    f"pipeline {name} is {backlog} bytes behind (max_backlog {quota.max_backlog} bytes)",
                    RETRY_AFTER,
                )
        return None

    def pause(self, origin: Origin) -> float:
        """Seconds for which the answer to a request is held back.

        Keeping requests is far cheaper than what comes after it. Senders that wait for one answer before they send again, as SDKs do,
        come down to the pace of the pipelines this way, long before they have to be refused.
        """
        pauses = (self._pause(name, quota) for name, _, quota, _ in self._refusing_for(origin))
        pause = max(pauses, default=0.0)
        if pause:
            self._held_back.inc()
        return pause

    def _pause(self, name: str, quota: Quota) -> float:
        free = max(SLOWER_AT_LEAST, (quota.max_backlog or self._max_size) // SLOWER)
        return LONGEST_PAUSE * min(1.0, max(0.0, self.backlog(name) / free - 1))

    def enforce(self) -> bool:
        """Let pipelines that park give up what is beyond their quotas, about `AT_ONCE` bytes, and measure what is parked.

        Tells whether anything was given up: there may be more.
        """
        parking = [pipeline for pipeline in self._pipelines.values() if pipeline.quota.parks]
        if not parking:
            return False
        passed = self._cursors.low_water(without={pipeline.name for pipeline in parking})
        unpinned = [s for s in self._source.log.segments[:-1] if passed is None or s.end <= passed]
        room = AT_ONCE
        for pipeline in parking:
            while room > 0 and (segment := self._beyond(pipeline.name, unpinned)) is not None:
                size = self._give_up(pipeline, segment, room)
                if not size:  # the disk cannot be read at the moment
                    break
                room -= size
        self._measure(parking, unpinned)
        return room < AT_ONCE

    def _measure(self, parking: Sequence[Bounded], unpinned: Sequence[Segment]) -> None:
        cursors = {pipeline.name: self._cursors.offset(pipeline.name) or 0 for pipeline in parking}
        for name, cursor in cursors.items():
            self._parked.labels(name).set(sum(s.size for s in unpinned if s.end > cursor))
        self._bounds.parked = sum(s.size for s in unpinned if s.end > min(cursors.values()))

    def _refusing_for(self, origin: Origin) -> list[Bounded]:
        made_by = origin.signal, origin.receiver
        found = self._refusing.get(made_by)
        if found is None:
            refusing = (p for p in self._pipelines.values() if not p.quota.parks)
            found = self._refusing[made_by] = [pipeline for pipeline in refusing if pipeline.wants(origin)]
        return found

    def _beyond(self, name: str, unpinned: Sequence[Segment]) -> Segment | None:
        """The oldest segment this pipeline holds back while no other does that does not park; None where it is within its quota and
        the disk has room."""
        if self.backlog(name) <= (self.bound(name) or 0) and not self._bounds.disk_pressed:
            return None
        cursor = self._cursors.offset(name) or 0
        return next((segment for segment in unpinned if segment.end > cursor), None)

    def _give_up(self, pipeline: Bounded, segment: Segment, room: int) -> int:
        """Give up the oldest of a segment; gives how many bytes that was."""
        name = pipeline.name
        begin = max(self._cursors.offset(name) or 0, segment.base)
        unread, end = self._unread(pipeline, begin, segment, room)
        # What has been read already is on its way, and arrives when the destination is back and the process lives that long.
        taken = min(max(begin, pipeline.reader.skip_to(end)), end)
        lost = [item for item in unread if item.position >= taken]
        for item in lost:
            pipeline.quota.given_up(item)
        crash_point("journal.give_up.before")
        self._cursors.move(name, end)
        crash_point("journal.give_up.after")
        self._given_up.count(name, len(lost), end - taken)
        self._tell(name, taken - begin, len(lost), end - taken)
        return end - begin

    def _unread(self, pipeline: Bounded, begin: int, segment: Segment, room: int) -> tuple[list[Item], int]:
        """The next requests in a segment that a pipeline has not read, about `room` bytes of them, and the offset behind them."""
        begin = max(begin, pipeline.reader.position)
        if begin >= segment.end:
            return [], segment.end
        reader = beside(self._source, begin, wants=pipeline.wants, left=pipeline.reader.left)
        return list(reader.until(min(begin + room, segment.end))), reader.position

    def _tell(self, name: str, read: int, requests: int, unread: int) -> None:
        """`read` and `unread` are bytes, `requests` those among the latter."""
        remedy = f"see why its exporter fails, or raise service::pipelines::{name}::max_backlog"
        if read:
            self._log.warning(
                (name, "read"),
                "the oldest requests of a pipeline that parks are in memory alone: a crash would lose them to its destination",
                pipeline=name,
                bytes=read,
                remedy=remedy,
            )
        if requests:
            self._log.error(
                (name, "unread"),
                "a pipeline gives up its oldest requests: its destination is away for longer than its quota lasts",
                pipeline=name,
                requests=requests,
                bytes=unread,
                remedy=remedy,
            )

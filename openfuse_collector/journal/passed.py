"""When a segment goes: every pipeline is past it, and it was kept as long as was asked for, or room is short."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from openfuse_collector.journal.bounds import Bounds
from openfuse_collector.journal.damage import DamageReport
from openfuse_collector.journal.log import SegmentedLog
from openfuse_collector.journal.segment import Segment


class Passed:
    """Removes finished segments of a log; all on the writer's thread.

    `retain`: seconds a passed segment stays. `not_before`: epoch seconds until which nothing goes, because nobody can tell which
    pipelines still need it.
    """

    def __init__(
        self,
        log: SegmentedLog,
        bounds: Bounds,
        damage: DamageReport,
        clock: Callable[[], float],
        *,
        retain: float,
        not_before: float,
    ) -> None:
        self._log, self._bounds, self._damage, self._clock = log, bounds, damage, clock
        self._retain, self._not_before = retain, not_before

    def remove(self, low_water: int | None) -> None:
        """Remove what ends at or below the lowest cursor; nothing where there is none. Raises OSError."""
        now = self._clock()
        if low_water is None or now < self._not_before:
            return
        for segment in self._log.segments[:-1]:  # the last one may grow again
            if segment.end <= low_water and segment.passed_at is None:
                segment.passed_at = now
        for segment in self._log.remove(partial(self._may_go, now)):
            self._damage.forget(segment)

    def _may_go(self, now: float, segment: Segment) -> bool:
        if segment.passed_at is None:
            return False
        return now - segment.passed_at >= self._retain or self._bounds.pressed

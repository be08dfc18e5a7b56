"""What this collector may have written and not gone over yet, as a span of receive times in the store: it survives a crash.

The span is widened before anything outside of it is written, ahead of time, so that this costs one row a minute.
"""

from __future__ import annotations

from openfuse_collector.clock import epoch_millis
from openfuse_collector.crash_points import crash_point
from openfuse_collector.exporters.greptimedb.ddl import literal, moment, quoted, select
from openfuse_collector.exporters.greptimedb.epoch import Sql
from openfuse_collector.exporters.greptimedb.schema import SETTLE_MARKS
from openfuse_collector.exporters.greptimedb.settle_list import Span

AHEAD = 60_000
"""Milliseconds a span reaches beyond what is about to be written."""

_TABLE = quoted(SETTLE_MARKS.name)
_COLUMNS = tuple(quoted(column.name) for column in SETTLE_MARKS.columns)
_AT, _INSTANCE, _SETTLED, _WRITTEN = _COLUMNS


class Marks:
    """The span of one exporter instance. Every method raises CallError."""

    def __init__(self, sql: Sql, instance: str) -> None:
        self._sql = sql
        self._instance = f"{_INSTANCE} = {literal(instance)}"
        self._values = literal(instance)
        self._newest = 0
        self._kept: Span | None = None

    def load(self) -> Span | None:
        """The span an earlier life of this collector has left, None when it had gone over everything."""
        rows = self._sql.rows(select((_AT, _SETTLED, _WRITTEN), _TABLE, self._instance))
        if rows:
            self._newest, *span = max(rows)
            self._kept = Span(*span)
        return self._kept

    def widen(self, span: Span, outstanding: Span | None) -> None:
        """Before something received within `span` is written. `outstanding` is everything that waits already."""
        if self._kept is not None and self._kept.start <= span.start and span.end <= self._kept.end:
            return
        known = (span,) if outstanding is None else (span, outstanding)
        start, end = min(each.start for each in known), max(each.end for each in known)
        self._keep(Span(start, end + AHEAD))

    def clear(self) -> None:
        """Everything was gone over."""
        if self._kept is not None:
            self._kept = None  # first: where no answer comes it may be gone, and what is left of it does no harm
            crash_point("greptimedb.unmark.before")
            self._sql.run(f"DELETE FROM {_TABLE} WHERE {self._instance}")  # noqa: S608
            crash_point("greptimedb.unmark.after")

    def _keep(self, span: Span) -> None:
        now = max(epoch_millis(), self._newest + 1)
        values = f"{now}, {self._values}, {span.start}, {span.end}"
        crash_point("greptimedb.mark.before")
        self._sql.run(f"INSERT INTO {_TABLE} ({', '.join(_COLUMNS)}) VALUES ({values})")  # noqa: S608
        crash_point("greptimedb.mark.after")
        self._newest, self._kept = now, span
        self._sql.run(f"DELETE FROM {_TABLE} WHERE {self._instance} AND {_AT} < {moment(now)}")  # noqa: S608

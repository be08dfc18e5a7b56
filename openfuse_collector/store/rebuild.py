"""A rebuild as every store does it: what the row of an entity should be, how the stored one differs, and what to report.

A row is a function of the set of the entity's raw events and of the enrichment tables (invariant I2, docs/architecture.md), so a
rebuild of a store nobody has tampered with changes nothing, and may be stopped and run again at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.enrich import Enrich
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.rows import row
from openfuse_collector.events.source import source_of
from openfuse_collector.signals import Origin
from openfuse_collector.store.horizon import OPEN, Horizon, record_within

Row = Mapping[str, Any]

Remap = Callable[[ExportTraceServiceRequest, Origin], tuple[Sequence[Event], int]]
"""Today's mapping of some kept spans of one request: (events, spans that could not be mapped)."""

NOT_COMPARED = frozenset(("eav_generation",))
"""Says which side rows belong to a row, not what the row says."""

EXAMPLES = 3
"""Kept of each kind of discrepancy."""

KEPT_FAILURES = 1000
"""More are only counted: a store may have any number of them."""

PICO = 10**12
"""Costs are added up in units of their last decimal place."""


@dataclass(frozen=True)
class Selection:
    """Which entities to go over. Everything by default."""

    project: str | None = None
    trace: str | None = None
    since: int | None = None
    """Epoch milliseconds: entities of which something was received then or later."""
    entity_type: str | None = None
    entity: str | None = None
    """The id of an entity, of whatever type."""


@dataclass(frozen=True)
class Verdict:
    """The row an entity should have beside the one it has; None is no row."""

    entity: Entity
    expected: Row | None
    stored: Row | None
    columns: tuple[str, ...] = ()
    """Columns in which two rows differ."""
    added: Sequence[Event] = ()
    """Events the entity gains."""
    left_over: int = 0
    """Events of older mappings that today's mapping has no successor for."""
    surplus: int = 0
    """Rows of the entity beside `stored`; where rows are keyed by time there may be some."""

    @property
    def row_differs(self) -> bool:
        """Whether the row has to be written or removed."""
        return bool(self.columns or self.surplus) or (self.expected is None) != (self.stored is None)

    @property
    def differs(self) -> bool:
        """Whether anything has to be written."""
        return bool(self.added) or self.row_differs


class Example(NamedTuple):
    """One place where a store is not what its events say."""

    project_id: str
    id: str
    stored: Any = None
    expected: Any = None


MISSING, UNWANTED, DOUBLED, WITHOUT_EVENTS = "row missing", "row unwanted", "rows doubled", "row without events"
LEFT_BEHIND = "side rows without row and events"
"""What may be wrong with a row as a whole; columns and side tables go by their names."""


@dataclass
class TableReport:
    """What a rebuild found in one projection. Costs are in units of 1e-12 US dollars."""

    checked: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0
    without_events: int = 0
    left_behind: int = 0
    """Entities with neither a row nor raw events, of which there are side rows."""
    doubled: int = 0
    """Rows beyond the first of their entity."""
    columns: Counter[str] = field(default_factory=Counter)
    """Column, or side table -> rows of which it changed."""
    examples: dict[str, list[Example]] = field(default_factory=dict)
    """Column, side table or what is wrong with the row -> the first few such rows."""
    cost_before: int = 0
    cost_after: int = 0

    @property
    def discrepancies(self) -> int:
        """Rows that are not what they should be, each counted once."""
        return self.changed + self.added + self.removed + self.without_events + self.left_behind

    def orphans(self, names: Iterable[tuple[str, str]], *, sides: bool = False) -> None:
        """Add rows, (project, id), that no event stands behind, or side rows that stand behind no row either."""
        for name in names:
            self.without_events += not sides
            self.left_behind += sides
            self.example(LEFT_BEHIND if sides else WITHOUT_EVENTS, Example(*name))

    def example(self, what: str, example: Example) -> None:
        """Keep it, if there are few of that kind yet."""
        kept = self.examples.setdefault(what, [])
        if len(kept) < EXAMPLES:
            kept.append(example)


@dataclass
class Report:
    """What a rebuild has found, and done unless it was a dry run."""

    tables: dict[str, TableReport] = field(default_factory=dict)
    """By entity type."""
    spans: int = 0
    """Kept spans that were mapped again."""
    unmapped: int = 0
    events: int = 0
    """Events that mapping again has added."""
    left_over: int = 0
    failed: int = 0
    """Entities whose events cannot be folded; their rows stay as they are."""
    failures: list[str] = field(default_factory=list)
    """Why, of the first `KEPT_FAILURES` of them."""

    @property
    def discrepancies(self) -> int:
        """Rows that are not what they should be, each counted once."""
        return sum(table.discrepancies for table in self.tables.values())

    def table(self, entity_type: str) -> TableReport:
        """The part about one projection."""
        return self.tables.setdefault(entity_type, TableReport())

    def fail(self, what: str, why: object) -> None:
        """Add something that could not be dealt with."""
        self.failed += 1
        if len(self.failures) < KEPT_FAILURES:
            self.failures.append(f"{what}: {why}")

    def count(self, verdict: Verdict) -> None:
        """Add one entity."""
        table = self.table(verdict.entity.type)
        table.checked += 1
        table.cost_before += _cost(verdict.stored)
        table.cost_after += _cost(verdict.expected)
        self.events += len(verdict.added)
        self.left_over += verdict.left_over
        if not verdict.row_differs:
            return
        table.doubled += verdict.surplus
        if (verdict.stored is None) == (verdict.expected is None):
            table.changed += 1
            table.columns.update(verdict.columns)
        elif verdict.stored is None:
            table.added += 1
        else:
            table.removed += 1
        for what, example in _examples(verdict):
            table.example(what, example)


def judge(
    entity: Entity,
    history: Sequence[Event],
    mapped: Sequence[Event],
    stored: Row | None,
    enrich: Enrich,
    remapped: Collection[str] = (),
    horizon: Horizon = OPEN,
) -> Verdict:
    """Folds an entity from scratch and compares. `mapped` are events of today's mapping, known or not; `remapped` the
    digests of the spans that were mapped again; `horizon` is that of the project. Raises whatever the fold raises for
    events nobody can fold.
    """
    known = {event.id for event in history}
    added = list({event.id: event for event in mapped if event.id not in known}.values())
    events = [*history, *added]
    expected = folded(events, enrich, horizon)
    return Verdict(entity, expected, stored, differences(expected, stored), added, _left_over(events, mapped, remapped))


def folded(events: Sequence[Event], enrich: Enrich, horizon: Horizon = OPEN) -> Row | None:
    """The row of one entity's events, None where there should be none: deleted, expired, unusable, no event at all."""
    accumulator = Accumulator.of(events)
    record = record_within(accumulator, horizon)
    if record is None or record["is_deleted"]:
        return None
    entity_type = events[0].entity.type
    record["eav_generation"] = accumulator.generation()
    return row(entity_type, enrich(entity_type, record))


def differences(expected: Row | None, stored: Row | None) -> tuple[str, ...]:
    """The columns in which two rows differ, none unless both are there."""
    if expected is None or stored is None:
        return ()
    return tuple(
        column
        for column, value in expected.items()
        if value != stored[column] and column not in NOT_COMPARED and not _rounded(value, stored[column])
    )


def _examples(verdict: Verdict) -> Iterator[tuple[str, Example]]:
    project_id, _, id = verdict.entity
    if verdict.surplus:
        yield DOUBLED, Example(project_id, id)
    if (verdict.stored is None) != (verdict.expected is None):
        yield MISSING if verdict.stored is None else UNWANTED, Example(project_id, id)
        return
    stored, expected = verdict.stored or {}, verdict.expected or {}
    for column in verdict.columns:
        yield column, Example(project_id, id, stored.get(column), expected.get(column))


def _rounded(expected: Any, stored: Any) -> bool:
    """Whether a store keeps an integer in a column of floating point, large ones as the nearest there is."""
    return isinstance(stored, float) and isinstance(expected, int) and float(expected) == stored


def _left_over(events: Iterable[Event], mapped: Iterable[Event], remapped: Collection[str]) -> int:
    """Events made of spans that were mapped again, to which nothing new corresponds: what only they say stays."""
    if not remapped:
        return 0
    successors = {source.digest for event in mapped if (source := source_of(event)) is not None}
    old = {source.digest for event in events if (source := source_of(event)) is not None}
    return len(old.intersection(remapped) - successors)


def _cost(row: Row | None) -> int:
    cost = None if row is None else row.get("total_cost")
    return 0 if cost is None else round(cost * PICO)

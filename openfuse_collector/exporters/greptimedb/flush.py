"""What a batch changes, written in an order that leaves nothing wrong behind if it stops half-way.

For each entity: its raw events, the row that NULL must clear (removed), its side rows, its projection row, and only then what that
row replaces elsewhere in time. The projection row makes the side rows of its generation visible, and whoever finds raw events
without a row writes the row again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, Self

from openfuse_collector.crash_points import crash_point
from openfuse_collector.events.columns import PROJECTIONS, TIME_COLUMN
from openfuse_collector.events.event import Entity
from openfuse_collector.events.rows import raw_row
from openfuse_collector.events.text import clean
from openfuse_collector.exporters.greptimedb.ingest import Ingester
from openfuse_collector.exporters.greptimedb.probe import Ask, side_row_keys
from openfuse_collector.exporters.greptimedb.rows import projection_row, raw_span_row
from openfuse_collector.exporters.greptimedb.schema import RAW_EVENTS, RAW_SPANS
from openfuse_collector.exporters.greptimedb.side_tables import SIDE_TABLES, side_rows
from openfuse_collector.signals import Origin, RawSpan
from openfuse_collector.store.present import Present, filled
from openfuse_collector.store.projector import Changes

Values = Mapping[str, Any]
Replacing = Sequence[tuple[Values, Present]]
"""Rows of one type, and what the store has of their entities."""


class Part(NamedTuple):
    """What one thread writes: everything about some entities."""

    changes: Changes
    events: int
    """How many events the changes come from."""
    spans: Sequence[tuple[Origin, RawSpan]] = ()


class Flush:
    """Writes one part; blocks. `ask` asks for the side rows of entities that moved."""

    def __init__(self, ingester: Ingester, ask: Ask, part: Part) -> None:
        self._ingester = ingester
        self._ask = ask
        self._changes, self._spans = part.changes, part.spans
        self.known = part.events - len(part.changes.raw)
        """Events the store had."""
        self._replaced = part.changes.replaced
        self.written: Counter[str] = Counter()
        """Rows written, by table."""
        self.removed: Counter[str] = Counter()
        """Rows deleted, by table."""

    def run(self) -> Self:
        """Raises CallError; some of the part may have been written then."""
        changes = self._changes
        self._insert(RAW_EVENTS.name, map(raw_row, chain(changes.raw, changes.earlier)))
        self._insert(RAW_SPANS.name, (raw_span_row(origin, span) for origin, span in self._spans))
        for entity_type, rows in changes.rows.items():
            self._write_rows(entity_type, rows)
        for entity in changes.gone:
            named = entity._replace(id=clean(entity.id))
            if named in self._replaced:
                self._remove({named: None})
        return self

    def _write_rows(self, entity_type: str, rows: Sequence[Values]) -> None:
        live = [row for row in rows if not row["is_deleted"]]
        replacing = [(row, present) for row in rows if (present := self._present(entity_type, row)) is not None]
        self._clear(entity_type, replacing)
        for table in SIDE_TABLES[entity_type]:
            self._insert(table.name, (side for row in live for side in side_rows(entity_type, table, row)))
        self._insert(PROJECTIONS[entity_type], (projection_row(entity_type, row) for row in live))
        self._remove_replaced(entity_type, replacing)

    def _clear(self, entity_type: str, replacing: Replacing) -> None:
        """Removes rows in which a column has to become NULL: writing NULL over a value leaves the value (last_non_null)."""
        time = TIME_COLUMN[entity_type]
        self._delete(
            PROJECTIONS[entity_type],
            (
                (row["project_id"], row["id"], row[time])
                for row, present in replacing
                if row[time] in present.times and not row["is_deleted"] and present.filled & ~filled(entity_type, row)
            ),
        )

    def _remove_replaced(self, entity_type: str, replacing: Replacing) -> None:
        """Every row an entity has at another time than its present one; of deleted entities every row."""
        time = TIME_COLUMN[entity_type]
        keep: dict[Entity, int | None] = {}
        for row, present in replacing:
            kept = None if row["is_deleted"] else row[time]
            if present.times - {kept}:
                keep[Entity(row["project_id"], entity_type, row["id"])] = kept
        if keep:
            self._remove(keep)

    def _remove(self, keep: Mapping[Entity, int | None]) -> None:
        """The rows of entities of one type, side rows included, but those at the time to keep.

        Side rows first: as long as a row of the projection is there, whoever repeats this knows that there is something to remove.
        """
        entities = list(keep)
        for table, side_keys in side_row_keys(self._ask, entities, keep):
            self._delete(table, side_keys)
        times = ((entity, time) for entity in entities for time in sorted(self._replaced[entity].times))
        keys = ((entity.project_id, entity.id, time) for entity, time in times if time != keep[entity])
        self._delete(PROJECTIONS[entities[0].type], keys)

    def _insert(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        crash_point("greptimedb.insert.before")
        self.written[table] += self._ingester.insert(table, rows)
        crash_point("greptimedb.insert.after")

    def _delete(self, table: str, keys: Iterable[Sequence[Any]]) -> None:
        crash_point("greptimedb.delete.before")
        self.removed[table] += self._ingester.delete(table, keys)
        crash_point("greptimedb.delete.after")

    def _present(self, entity_type: str, row: Values) -> Present | None:
        return self._replaced.get(Entity(row["project_id"], entity_type, row["id"])) if self._replaced else None

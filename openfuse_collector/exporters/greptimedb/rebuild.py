"""Rebuilds of a GreptimeDB store, page by page, beside running collectors or without.

There are no transactions. What is written follows the order of `flush`; afterwards the entities are read and judged once more, because a
collector may have added events meanwhile: it writes them before the row, so either they are seen here, or its row comes after ours.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from openfuse_collector.enrich import Enrich
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.text import clean
from openfuse_collector.exporters.greptimedb import horizons, pages, probe, stored
from openfuse_collector.exporters.greptimedb.compared import compared, side_rows_of
from openfuse_collector.exporters.greptimedb.flush import Part
from openfuse_collector.exporters.greptimedb.kept_spans import kept_spans
from openfuse_collector.exporters.greptimedb.side_tables import EMPTIED
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from openfuse_collector.exporters.greptimedb.writer import Writer
from openfuse_collector.store.horizon import OPEN, Horizons
from openfuse_collector.store.operations import Position
from openfuse_collector.store.present import NOTHING, Present
from openfuse_collector.store.projector import Changes
from openfuse_collector.store.rebuild import Remap, Report, Selection, Verdict, judge
from openfuse_collector.store.remap import mapped_events, requests_of
from openfuse_collector.store.visited import Visited

ROUNDS = 5
"""How often an entity is written before one that keeps changing under the rebuild is left to the next run."""
SETTLING = 2.0
"""Seconds between two looks of a verification at what seems wrong: a collector may be between an event and its row."""

Mapped = Mapping[Entity, Sequence[Event]]


class Rebuild:
    """One rebuild; see `Rebuilding`. Steps raise CallError. `written` counts rows written and removed, by table."""

    def __init__(
        self,
        sql: SqlClient,
        writer: Writer,
        enrich: Enrich,
        selection: Selection,
        *,
        dry_run: bool = False,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.report = Report()
        self.reached: Position | None = None
        self.written: Counter[str] = Counter()
        self._sql, self._writer = sql, writer
        self._enrich = enrich
        self._selection = selection
        self._dry_run = dry_run
        self._pause = pause
        self._visited: Visited | None = None
        self._horizons: Horizons = {}

    def remap(self, remap: Remap) -> Iterator[float]:
        """Map the kept spans again, some traces at a time, and rebuild the entities they speak of."""
        self._visited = Visited()
        for page in pages.trace_pages(self._sql.rows, self._selection):
            requests, sources = requests_of(kept_spans(self._writer.ask, page.entities), self.report)
            mapped = mapped_events(requests, remap, self.report)
            entities = list(dict.fromkeys([*mapped, *page.entities]))
            self._horizons = horizons.read(self._sql.rows)
            for start in range(0, len(entities), pages.PAGE_ENTITIES):
                self._rebuild(entities[start : start + pages.PAGE_ENTITIES], mapped, sources)
            self._visited.add(entities)
            yield page.share

    def refold(self, after: Position | None = None) -> Iterator[float]:
        """Rebuild every entity that `remap` has not."""
        suspects: list[Entity] = []
        for page in pages.entity_pages(self._sql.rows, self._selection, after):
            entities = [entity for entity in page.entities if self._visited is None or entity not in self._visited]
            self._horizons = horizons.read(self._sql.rows)
            suspects += self._rebuild(entities, {}, ())
            self.reached = list(page.entities[-1])
            yield page.share
        yield from self._look_again(suspects)

    def orphans(self, *, prune: bool) -> Iterator[float]:
        """Count the rows that no raw event stands behind, and remove them with `prune`."""
        kinds = [kind for kind in PROJECTIONS if self._selection.entity_type in (None, kind)]
        for number, kind in enumerate(kinds):
            for share in self._orphans(kind, prune=prune):
                yield (number + share) / len(kinds)

    def _orphans(self, kind: str, *, prune: bool) -> Iterator[float]:
        """Rows first, then side rows: of an entity that has a row they are counted, and removed, with it."""
        query, chosen, counted = self._sql.rows, self._selection, Visited()
        sides = [pages.side_pages(query, table, kind, chosen) for table in EMPTIED[kind]]
        for number, found in enumerate((pages.row_pages(query, kind, chosen), *sides)):
            for page in found:
                known = probe.known(self._writer.ask, page.entities)
                orphans = [one for one in page.entities if one not in known and one not in counted]
                counted.add(orphans)
                if orphans and prune and not self._dry_run:
                    self._write(Changes(gone=orphans), orphans)
                self.report.table(kind).orphans(((one.project_id, one.id) for one in orphans), sides=number > 0)
                yield (number + page.share) / (1 + len(sides))

    def _rebuild(self, entities: Sequence[Entity], mapped: Mapped, sources: Collection[str]) -> list[Entity]:
        """Counts the entities of a page; those of a dry run that differ are given back instead, to be looked at once more."""
        verdicts = self._judge(entities, mapped, sources)
        different = [verdict for verdict in verdicts if verdict.differs]
        if self._dry_run and not mapped:
            for verdict in verdicts:
                if not verdict.differs:
                    self.report.count(verdict)
            return [verdict.entity for verdict in different]
        for verdict in verdicts:
            self.report.count(verdict)
        if not self._dry_run:
            self._repair(different, mapped, sources)
        return []

    def _look_again(self, suspects: Sequence[Entity]) -> Iterator[float]:
        """What differs now as well is told."""
        if suspects:
            self._pause(SETTLING)
        for start in range(0, len(suspects), pages.PAGE_ENTITIES):
            for verdict in self._judge(suspects[start : start + pages.PAGE_ENTITIES], {}, ()):
                self.report.count(verdict)
            yield 1.0

    def _repair(self, different: Sequence[Verdict], mapped: Mapped, sources: Collection[str]) -> None:
        for _ in range(ROUNDS):
            if not different:
                return
            self._write(_changes(different), [verdict.entity for verdict in different])
            entities = [verdict.entity for verdict in different]
            different = [verdict for verdict in self._judge(entities, mapped, sources) if verdict.differs]
        for verdict in different:
            self.report.fail(f"{verdict.entity.type} {verdict.entity.id}", "changes all the time, left as it is")

    def _judge(self, entities: Sequence[Entity], mapped: Mapped, sources: Collection[str]) -> list[Verdict]:
        ask = self._writer.ask
        entities = [entity for entity in entities if entity.type in PROJECTIONS]
        history = probe.history(ask, entities)
        rows, sides = stored.rows_of(ask, entities), side_rows_of(ask, entities)
        verdicts = []
        for entity in entities:
            horizon = self._horizons.get(entity.project_id, OPEN)
            new = mapped.get(entity, ())
            known = history.get(entity, ())
            if not known and not new:
                continue
            try:
                verdict = judge(entity, known, new, None, self._enrich, sources, horizon)
                verdicts.append(compared(verdict, rows.get(entity, ()), sides.get(entity, {})))
            except Exception as error:  # one bad entity must not keep the others from being rebuilt
                self.report.fail(f"{entity.type} {entity.id}", f"{type(error).__name__}: {error}")
        return verdicts

    def _write(self, changes: Changes, entities: Sequence[Entity]) -> None:
        """What the store has of the entities is asked now: what was written since they were judged is replaced too."""
        ask = self._writer.ask
        present = stored.everywhere(ask, entities, probe.presence(ask, entities))
        for entity in entities:
            changes.replaced[entity._replace(id=clean(entity.id))] = present.get(entity, NOTHING)
        for kind, rows in changes.rows.items():
            changes.rows[kind] = [
                _following(row, present.get(Entity(row["project_id"], kind, row["id"]))) for row in rows
            ]
        for flush in self._writer.write([Part(changes, len(changes.raw))]):
            self.written += flush.written
            self.written += flush.removed


def _changes(different: Sequence[Verdict]) -> Changes:
    changes = Changes()
    for verdict in different:
        changes.raw += verdict.added
        if not verdict.row_differs:
            continue
        if verdict.expected is None:
            changes.gone.append(verdict.entity)
        else:
            changes.add_row(verdict.entity.type, verdict.expected)
    return changes


def _following(row: Mapping[str, object], present: Present | None) -> Mapping[str, object]:
    """With a generation above the one that was written: its side rows hide those that were there. Run items have neither."""
    if "eav_generation" not in row:
        return row
    made, last = row["eav_generation"], 0 if present is None else present.generation
    assert isinstance(made, int)
    return {**row, "eav_generation": made if made > last else last + 1}

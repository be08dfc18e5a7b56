"""Rebuilds of the embedded store: page by page over kept spans, raw events and rows, beside a running collector or without one.

A page is read and judged in a read transaction, which keeps nobody out. Only what differs in it is read again and written, in a
transaction of its own; whoever else writes to the file notices (`Store._notice_other_writers`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence

from openfuse_collector.enrich import Enrich
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.rows import raw_row
from openfuse_collector.exporters.sqlite import statements
from openfuse_collector.exporters.sqlite.locking import PATIENCE, reading, writing
from openfuse_collector.exporters.sqlite.selection import REBUILT, entity_pages, row_pages, trace_pages
from openfuse_collector.exporters.sqlite.statements import entity_key
from openfuse_collector.store.horizon import OPEN
from openfuse_collector.store.operations import Position
from openfuse_collector.store.rebuild import Remap, Report, Selection, Verdict, judge
from openfuse_collector.store.remap import mapped_events, requests_of

Mapped = dict[int, list[Event]]
"""Entity key -> events of today's mapping."""


class Rebuild:
    """One rebuild of one file. Its steps are iterators that give, after each page, the share that is done, 0 to 1.

    The connection must be in autocommit mode (`isolation_level=None`); for a dry run it may be read-only. `patience` is how long, in
    seconds, a page waits for other writers. Steps raise sqlite3.Error.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        enrich: Enrich,
        selection: Selection,
        *,
        dry_run: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        self.report = Report()
        self.reached: Position | None = None
        self._connection = connection
        self._enrich = enrich
        self._selection = selection
        self._dry_run = dry_run
        self._patience = patience
        connection.execute("PRAGMA busy_timeout = 0")  # `writing` waits by itself, and readers need not wait
        connection.execute(REBUILT)

    def remap(self, remap: Remap) -> Iterator[float]:
        """Map the kept spans again, some traces at a time, and rebuild the entities they speak of."""
        for page in trace_pages(self._connection, self._selection):
            requests, sources = requests_of(statements.raw_spans(self._connection, page.keys), self.report)
            events = mapped_events(requests, remap, self.report)
            mapped = {entity_key(entity): group for entity, group in events.items()}
            traces = {entity_key(Entity(origin.project_id, "trace", id)) for id, origin in requests}
            keys = mapped.keys() | traces
            self._rebuild(keys, mapped, sources)
            self._connection.executemany("INSERT OR IGNORE INTO openfuse_rebuilt VALUES (?)", ((key,) for key in keys))
            yield page.share

    def refold(self, after: Position | None = None) -> Iterator[float]:
        """Rebuild every entity that `remap` has not, those behind the key in `after` where given."""
        start = () if after is None else (int(after[0]) + 1,)
        for page in entity_pages(self._connection, self._selection, *start):
            self._rebuild(page.keys, {}, ())
            self.reached = [page.keys[-1]]
            yield page.share

    def orphans(self, *, prune: bool) -> Iterator[float]:
        """Count the rows that no raw event stands behind, and remove them with `prune`."""
        kinds = [kind for kind in PROJECTIONS if self._selection.entity_type in (None, kind)]
        for number, kind in enumerate(kinds):
            for names, share in row_pages(self._connection, kind, self._selection):
                found = self._without_events(kind, names)
                if found and prune and not self._dry_run:
                    with writing(self._connection, self._patience):
                        found = self._without_events(kind, found)
                        self._connection.executemany(statements.DELETES[kind], found)
                self.report.table(kind).orphans(found)
                yield (number + share) / len(kinds)

    def _without_events(self, kind: str, names: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        keys = {entity_key(Entity(project, kind, id)): (project, id) for project, id in names}
        known = statements.known_keys(self._connection, keys)
        return [name for key, name in keys.items() if key not in known]

    def _rebuild(self, keys: Collection[int], mapped: Mapped, sources: Collection[str]) -> None:
        with reading(self._connection):
            verdicts = self._judge(keys, mapped, sources)
        if not self._dry_run and any(verdict.differs for verdict in verdicts):
            different = {entity_key(verdict.entity) for verdict in verdicts if verdict.differs}
            verdicts = [verdict for verdict in verdicts if not verdict.differs]
            with writing(self._connection, self._patience):
                again = self._judge(different, mapped, sources)  # somebody may have written meanwhile
                self._write(again)
            verdicts += again
        for verdict in verdicts:
            self.report.count(verdict)

    def _judge(self, keys: Collection[int], mapped: Mapped, sources: Collection[str]) -> list[Verdict]:
        history = statements.history(self._connection, keys)
        events: dict[Entity, list[Event]] = {entity: [] for entity in history}
        for key in keys:
            for event in mapped.get(key, ()):
                events.setdefault(event.entity, []).append(event)
        rows = statements.stored_rows(self._connection, events)
        horizons = statements.horizons(self._connection)
        verdicts = []
        for entity, new in events.items():
            if entity.type not in PROJECTIONS:
                continue
            try:
                known, horizon = history.get(entity, ()), horizons.get(entity.project_id, OPEN)
                verdicts.append(judge(entity, known, new, rows.get(entity), self._enrich, sources, horizon))
            except Exception as error:  # one bad entity must not keep the others from being rebuilt
                self.report.fail(f"{entity.type} {entity.id}", f"{type(error).__name__}: {error}")
        return verdicts

    def _write(self, verdicts: Sequence[Verdict]) -> None:
        connection = self._connection
        raw = ((entity_key(event.entity), *raw_row(event)) for verdict in verdicts for event in verdict.added)
        connection.executemany(statements.INSERT_RAW, raw)
        for verdict in verdicts:
            project_id, kind, id = verdict.entity
            if not verdict.row_differs:
                continue
            if verdict.expected is None:
                connection.execute(statements.DELETES[kind], (project_id, id))
            else:
                statements.write_rows(connection, kind, [verdict.expected])

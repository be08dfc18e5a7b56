"""Entities go from a GreptimeDB store: the rows of projections and side tables are deleted, raw events stay until they expire.

Raw events are in an append-only table, where the server refuses deletes. So what says that an entity is gone is written: a tombstone for
each entity of a trace, one for a project, a limit for what has expired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from openfuse_collector.clock import epoch_millis
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.text import clean
from openfuse_collector.exporters.greptimedb import dead_letters, epoch, horizons, pages, probe
from openfuse_collector.exporters.greptimedb.ddl import literal, quoted, select
from openfuse_collector.exporters.greptimedb.flush import Part
from openfuse_collector.exporters.greptimedb.schema import DEAD_LETTERS, RAW_EVENTS, RAW_SPANS
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from openfuse_collector.exporters.greptimedb.writer import Writer
from openfuse_collector.store.deletion import BEYOND_REACH, OF_TRACE, is_elsewhere, names_trace, tombstone
from openfuse_collector.store.horizon import OPEN, Horizons, is_alive, is_gone
from openfuse_collector.store.operations import Removed
from openfuse_collector.store.present import NOTHING
from openfuse_collector.store.projector import Changes
from openfuse_collector.store.rebuild import Selection
from openfuse_collector.store.retention import RetentionConfig

DELETED = "delete"
"""Reason of the bump after tombstones are written, before rows go."""


AROUND = 3_600_000
"""Milliseconds before and after what is known of a trace in which more of it is looked for."""


class Removal:
    """One deletion or one pass of retention; see `Deleting`, `Expiring`. Raises CallError."""

    def __init__(self, sql: SqlClient, writer: Writer, *, erase: bool = False, dry_run: bool = False) -> None:
        self.removed = Removed()
        self._sql, self._writer, self._ask = sql, writer, writer.ask
        self._erase = erase
        self._dry_run = dry_run

    def traces(self, traces: Sequence[Entity]) -> Iterator[float]:
        """Each with its observations, scores and run items, itself last: until then it is found again."""
        known = horizons.read(self._sql.rows)
        for number, trace in enumerate(traces, start=1):
            self._bury_all(trace, [*self._members(trace), trace], known)
            yield number / len(traces)
        if not self._dry_run:
            for trace in traces:  # what collectors have written since they were searched for
                self._bury_all(trace, self._shown(trace), known)
        self._say_what_stays(bool(traces))

    def project(self, project_id: str) -> Iterator[float]:
        """A tombstone for the project first: from then on nothing old comes back, whatever still waits in a journal."""
        of_project = f"`project_id` = {literal(clean(project_id))}"
        tables = (RAW_EVENTS.name, RAW_SPANS.name)
        newest, newest_span = (
            rows[0][0]
            for rows in self._ask([select(("max(`ingested_at`)",), quoted(table), of_project) for table in tables])
        )
        at = max(epoch_millis(), newest or 0)
        if not self._dry_run:
            horizons.delete(self._sql, project_id, at)
            epoch.bump(self._sql, DELETED)
        yield from self._sweep(project_id, at)
        self._say_what_stays(newest is not None or newest_span is not None)

    def expire(self, retention: RetentionConfig, now: int) -> Iterator[float]:
        """Project by project: first the limit, which collectors heed from their next batch on, then the rows."""
        if not retention.limited:
            return
        tables = ("raw_events", DEAD_LETTERS.name)
        answers = self._ask([select(("DISTINCT `project_id`",), quoted(table), "TRUE") for table in tables])
        found = sorted({id for rows in answers for (id,) in rows})
        limits = [(id, cutoff - 1) for id in found if (cutoff := retention.cutoff(id, now)) is not None]
        if not self._dry_run:
            known = horizons.read(self._sql.rows)
            for project, until in limits:
                if until > known.get(project, OPEN).expired:  # a limit that has become longer brings nothing back
                    horizons.expire(self._sql, project, until)
            epoch.bump(self._sql, "retention")
        for number, (project, until) in enumerate(limits):
            expired = dead_letters.expire(self._sql, project, until, dry_run=self._dry_run)
            self.removed.rows[DEAD_LETTERS.name] += expired
            for share in self._sweep(project, until):
                yield (number + share) / len(limits)

    def _members(self, trace: Entity) -> list[Entity]:
        """What may be observations, scores and run items of a trace.

        Those that have rows say so in a column. Some may have raw events only, because a collector is just writing them: they are looked
        for among what was received around the time of the others, and lately. Reading the bodies of all events would take hours.
        """
        found = dict.fromkeys(self._shown(trace))
        times = [
            event.ingested_at
            for start in range(0, len(found) + 1, pages.PAGE_ENTITIES)
            for events in probe.history(self._ask, [trace, *found][start : start + pages.PAGE_ENTITIES]).values()
            for event in events
        ]
        around = [(min(times) - AROUND, max(times) + AROUND)] if times else []
        for since, until in (*around, (epoch_millis() - AROUND, None)):
            found |= dict.fromkeys(self._mentioned(trace, since, until))
        found.pop(trace, None)
        return list(found)

    def _shown(self, trace: Entity) -> list[Entity]:
        """What has a row that names the trace."""
        of_trace = f"`project_id` = {literal(clean(trace.project_id))} AND `trace_id` = {literal(clean(trace.id))}"
        return [
            Entity(trace.project_id, kind, id)
            for kind in OF_TRACE
            for (id,) in self._sql.rows(select(("DISTINCT `id`",), quoted(PROJECTIONS[kind]), of_trace))
        ]

    def _mentioned(self, trace: Entity, since: int, until: int | None) -> Iterator[Entity]:
        """Entities that say they are of the trace in something received within that time."""
        selection = Selection(project=trace.project_id, trace=trace.id, since=since)
        for page in pages.entity_pages(self._sql.rows, selection, until=until):
            for entity, events in probe.history(self._ask, page.entities).items():
                if entity.type in PROJECTIONS and any(names_trace(event, trace.id) for event in events):
                    yield entity

    def _bury_all(self, trace: Entity, candidates: Sequence[Entity], known: Horizons) -> None:
        for start in range(0, len(candidates), pages.PAGE_ENTITIES):
            self._bury(trace, candidates[start : start + pages.PAGE_ENTITIES], known)

    def _bury(self, trace: Entity, candidates: Sequence[Entity], known: Horizons) -> None:
        """Tombstones first; then collectors are told; then what they may have written until they knew is removed with the rest."""
        history = probe.history(self._ask, candidates)
        entities = [one for one in candidates if one == trace or not is_elsewhere(history.get(one, ()), trace.id)]
        for entity in entities:
            if is_alive(history.get(entity, ()), known.get(entity.project_id, OPEN)):
                self.removed.entities[entity.type] += 1
        if self._dry_run:
            self._count(entities)
            return
        now = epoch_millis()
        # With an event nobody can read an entity may be there or not: from now on it is not.
        buried = [one for one in entities if not is_gone(history.get(one, ()), known.get(one.project_id, OPEN))]
        tombstones = [tombstone(one, history.get(one, ()), now) for one in buried]
        self._write(Changes(raw=tombstones))
        epoch.bump(self._sql, DELETED)
        self._remove(entities)

    def _sweep(self, project: str, until: int) -> Iterator[float]:
        """The rows of a project that were last updated at `until` or before. Newer ones are there because of the limit, not in spite."""
        for number, kind in enumerate(PROJECTIONS):
            for page in pages.row_pages(self._sql.rows, kind, Selection(project=project), updated_until=until):
                outdated = self._outdated(page.entities, until)
                self.removed.entities[kind] += len(outdated)
                if self._dry_run:
                    self._count(outdated)
                else:
                    self._remove(outdated)
                yield (number + page.share) / len(PROJECTIONS)

    def _outdated(self, entities: Sequence[Entity], until: int) -> list[Entity]:
        """Those without a newer row: one may have been written since they were listed, or beside the old one at another time."""
        found: list[Entity] = []
        parts = list(probe.parts(entities))
        newest = ("`id`", "max(`updated_at`)")
        queries = [
            select(newest, quoted(PROJECTIONS[kind]), f"{probe.these(project, 'id', ids)} GROUP BY `id`")
            for project, kind, ids in parts
        ]
        for (_, _, named), rows in zip(parts, self._ask(queries), strict=True):
            found += [named[id] for id, updated_at in rows if updated_at <= until]
        return found

    def _remove(self, entities: Sequence[Entity]) -> None:
        """Rows of whatever time and side rows of whatever generation."""
        present = probe.presence(self._ask, entities)
        by_kind: dict[str, list[Entity]] = {}
        for entity in entities:
            by_kind.setdefault(entity.type, []).append(entity)
        for group in by_kind.values():
            replaced = {one._replace(id=clean(one.id)): present.get(one, NOTHING) for one in group}
            self._write(Changes(gone=group, replaced=replaced))

    def _count(self, entities: Sequence[Entity]) -> None:
        for entity, present in probe.presence(self._ask, entities).items():
            self.removed.rows[PROJECTIONS[entity.type]] += len(present.times)

    def _write(self, changes: Changes) -> None:
        events: list[Event] = changes.raw
        for flush in self._writer.write([Part(changes, len(events))]):
            self.removed.rows += flush.removed

    def _say_what_stays(self, raw: bool) -> None:
        """`raw` says whether there are raw events or kept spans of what is deleted."""
        if self._erase:
            self.removed.kept = raw
            if raw:
                self.removed.remaining.append(
                    "raw_events and openfuse_raw_spans refuse deletes in GreptimeDB: payloads stay there until the lifetime (ttl) of "
                    "the database or table is over; how to be rid of them sooner is in docs/operations.md"
                )
            self.removed.remaining.append(BEYOND_REACH)

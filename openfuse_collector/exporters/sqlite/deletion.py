"""Deletions in the embedded store: a tombstone and the row it removes are one transaction, so a crash leaves whole entities only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from openfuse_collector.clock import epoch_millis
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.event import Entity, decode_envelope
from openfuse_collector.events.rows import envelope_text, raw_row
from openfuse_collector.exporters.sqlite import statements
from openfuse_collector.exporters.sqlite.locking import PATIENCE, reading, writing
from openfuse_collector.exporters.sqlite.members import members_of
from openfuse_collector.exporters.sqlite.statements import entity_key, trace_key
from openfuse_collector.exporters.sqlite.wal import begin_anew
from openfuse_collector.store.deletion import BEYOND_REACH, erased, is_elsewhere, is_erased, tombstone
from openfuse_collector.store.horizon import OPEN, is_alive, is_gone
from openfuse_collector.store.operations import Removed

ENTITIES = 200
"""Of one transaction."""
ROWS = 1000
"""Of one transaction, where rows go without being looked at."""

CHECKPOINT_PATIENCE = 10.0
"""Seconds to wait for readers before the write-ahead log is left as it is. Writers wait as long."""

_PAYLOADS = """
SELECT rowid, project_id, entity_type, entity_id, ingested_at, body FROM raw_events
WHERE {} AND rowid > ? ORDER BY rowid LIMIT ?
"""
_ERASE = "UPDATE raw_events SET body = ? WHERE rowid = ?"
_EMPTY_SPANS = f"""
UPDATE openfuse_raw_spans SET payload = x''
WHERE rowid IN (SELECT rowid FROM openfuse_raw_spans WHERE length(payload) > 0 AND {{}} LIMIT {ROWS})
"""  # noqa: S608
_COUNT_SPANS = "SELECT count(*) FROM openfuse_raw_spans WHERE length(payload) > 0 AND {}"


class Deletion:
    """One deletion; see `Deleting`. The connection must be in autocommit mode; for a dry run it may be read-only."""

    def __init__(
        self, connection: sqlite3.Connection, *, erase: bool, dry_run: bool, patience: float = PATIENCE
    ) -> None:
        self.removed = Removed()
        self._connection = connection
        self._erase = erase
        self._dry_run = dry_run
        self._patience = patience
        self._horizons = statements.horizons(connection)

    def traces(self, traces: Sequence[Entity]) -> Iterator[float]:
        """Each with its observations, scores and run items, itself last: until then it is found again."""
        for number, trace in enumerate(traces, start=1):
            # What has no row, because it was deleted before or says nothing usable, has payloads all the same.
            self._delete_all(trace, [*members_of(self._connection, trace, without_rows=self._erase), trace])
            self._empty_spans("openfuse_trace = ?", (trace_key(trace.project_id, trace.id),))
            yield number / len(traces)
        if not self._dry_run:
            for trace in traces:  # what a collector has written since they were searched for
                self._delete_all(trace, members_of(self._connection, trace, without_rows=False))
                self._empty_spans("openfuse_trace = ?", (trace_key(trace.project_id, trace.id),))
        self._finish()

    def project(self, project_id: str) -> Iterator[float]:
        """A tombstone for the project first: from then on nothing old comes back, whatever still waits in a journal."""
        connection = self._connection
        (newest,) = connection.execute(
            "SELECT max(ingested_at) FROM raw_events WHERE project_id = ?", (project_id,)
        ).fetchone()
        deleted_at = max(epoch_millis(), newest or 0)
        if not self._dry_run:
            with writing(connection, self._patience):
                connection.execute(statements.SET_PROJECT_TOMBSTONE, (project_id, deleted_at))
        steps = len(PROJECTIONS) + 2
        for number, (kind, table) in enumerate(PROJECTIONS.items(), start=1):
            self._empty_table(kind, table, (project_id, deleted_at))
            yield number / steps
        self._empty_spans("project_id = ? AND ingested_at <= ?", (project_id, deleted_at))
        yield (steps - 1) / steps
        if self._erase:
            self._erase_events("project_id = ? AND ingested_at <= ?", (project_id, deleted_at))
        self._finish()
        yield 1.0

    def _delete_all(self, trace: Entity, candidates: Sequence[Entity]) -> None:
        for start in range(0, len(candidates), ENTITIES):
            self._delete(trace, candidates[start : start + ENTITIES])

    def _delete(self, trace: Entity, candidates: Sequence[Entity]) -> None:
        connection = self._connection
        with reading(connection) if self._dry_run else writing(connection, self._patience):
            history = statements.history(connection, map(entity_key, candidates))
            entities = [one for one in candidates if one == trace or not is_elsewhere(history.get(one, ()), trace.id)]
            rows = statements.stored_rows(connection, entities)
            for entity in entities:
                events = history.get(entity, [])
                horizon = self._horizons.get(entity.project_id, OPEN)
                alive = entity in rows or is_alive(events, horizon)
                self.removed.entities[entity.type] += alive
                self.removed.rows[PROJECTIONS[entity.type]] += entity in rows
                # What nobody can read may be newer than the last tombstone. Erased it counts, and must find a newer one.
                if (alive or not is_gone(events, horizon)) and not self._dry_run:
                    row = raw_row(tombstone(entity, events, epoch_millis()))
                    connection.execute(statements.INSERT_RAW, (entity_key(entity), *row))
                    connection.execute(statements.DELETES[entity.type], (entity.project_id, entity.id))
                if self._erase:
                    self._erase_pages("openfuse_entity = ? AND entity_id = ?", (entity_key(entity), entity.id))

    def _empty_table(self, kind: str, table: str, until: tuple[str, int]) -> None:
        """The rows of a project, some at a time, so that a collector gets its turn. Rows that are newer than the tombstone are
        there because of it, not in spite of it."""
        where = "project_id = ? AND ifnull(updated_at, 0) <= ?"
        if self._dry_run:
            (gone,) = self._connection.execute(f"SELECT count(*) FROM {table} WHERE {where}", until).fetchone()  # noqa: S608
            self._count(kind, table, gone)
            return
        some = f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {where} LIMIT {ROWS})"  # noqa: S608
        gone = ROWS
        while gone == ROWS:
            with writing(self._connection, self._patience):
                gone = self._connection.execute(some, until).rowcount
            self._count(kind, table, gone)

    def _count(self, kind: str, table: str, rows: int) -> None:
        self.removed.entities[kind] += rows
        self.removed.rows[table] += rows

    def _empty_spans(self, where: str, values: tuple[object, ...]) -> None:
        """Spans of what is deleted must not be mapped again. They stay known by their digest: sent again, they are not kept again."""
        if not statements.has_table(self._connection, "openfuse_raw_spans"):
            return
        emptied = 0
        if self._dry_run:
            (emptied,) = self._connection.execute(_COUNT_SPANS.format(where), values).fetchone()
        else:
            some = ROWS
            while some == ROWS:
                with writing(self._connection, self._patience):
                    some = self._connection.execute(_EMPTY_SPANS.format(where), values).rowcount
                emptied += some
        self.removed.rows["openfuse_raw_spans"] += emptied
        self.removed.erased += emptied if self._erase else 0

    def _erase_events(self, where: str, values: tuple[object, ...]) -> None:
        """Every payload there is, a page in a transaction."""
        last = 0
        while last >= 0:
            with reading(self._connection) if self._dry_run else writing(self._connection, self._patience):
                last = self._erase_page(where, values, last)

    def _erase_pages(self, where: str, values: tuple[object, ...]) -> None:
        """Within a transaction."""
        last = 0
        while last >= 0:
            last = self._erase_page(where, values, last)

    def _erase_page(self, where: str, values: tuple[object, ...], last: int) -> int:
        """The payloads of some raw events behind the row id `last`; gives the last of these, -1 when there are no more."""
        page = self._connection.execute(_PAYLOADS.format(where), (*values, last, ROWS)).fetchall()
        for rowid, project_id, kind, id, ingested_at, body in page:
            event = decode_envelope(Entity(project_id, kind, id), body, ingested_at)
            if is_erased(event):
                continue
            self.removed.erased += 1
            if not self._dry_run:
                self._connection.execute(_ERASE, (envelope_text(erased(event)), rowid))
        return page[-1][0] if page else -1

    def _finish(self) -> None:
        """Payloads are in the write-ahead log too, until it begins anew."""
        if self._dry_run or not self._erase:
            return
        if not begin_anew(self._connection, CHECKPOINT_PATIENCE):
            self.removed.kept = True
            self.removed.remaining.append(
                "the write-ahead log could not be emptied because somebody reads the store all the time: "
                "what was erased is in the file beside it until the collector stops"
            )
        self.removed.remaining.append(BEYOND_REACH)

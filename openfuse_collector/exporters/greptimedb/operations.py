"""What the commands do to a GreptimeDB store; see `store.operations`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from openfuse_collector.enrich import Enrich
from openfuse_collector.errors import CollectorError
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.event import Entity
from openfuse_collector.events.text import clean
from openfuse_collector.exporters.greptimedb import compaction, epoch
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.ddl import literal, quoted, select
from openfuse_collector.exporters.greptimedb.errors import CallError, Cause, consume_error
from openfuse_collector.exporters.greptimedb.ingest import Ingester
from openfuse_collector.exporters.greptimedb.rebuild import Rebuild
from openfuse_collector.exporters.greptimedb.removal import Removal
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from openfuse_collector.exporters.greptimedb.writer import Writer
from openfuse_collector.store.deletion import OF_TRACE
from openfuse_collector.store.rebuild import Selection


class GreptimedbOperations:
    """One database."""

    erases = False  # raw events are in an append-only table
    failures: tuple[type[Exception], ...] = (CallError,)

    def __init__(self, config: GreptimedbConfig) -> None:
        self._config = config
        self.where = f"database {config.database} at {', '.join(config.http_endpoints)}"
        self._sql = SqlClient(config)
        self._writing: list[Rebuild | Removal] = []

    def explain(self, error: Exception) -> str:
        """What the call was, and what to do about its cause."""
        return str(consume_error(error)) if isinstance(error, CallError) else str(error)

    def check(self) -> None:
        """Raises CollectorError where tables of ours are missing. Raises CallError where nobody answers."""
        try:
            epoch.read(self._sql)
        except CallError as error:
            if error.cause is not Cause.SCHEMA:
                raise
            raise CollectorError(
                f"no store in {self.where}: start a collector that writes to it, or run `openfuse-collector schema apply`"
            ) from error

    @contextmanager
    def changing(self, reason: str) -> Iterator[None]:
        """Bumps the epoch before and after, also where the work in between failed: some of it may have been done."""
        epoch.bump(self._sql, reason)
        try:
            yield
        finally:
            epoch.bump(self._sql, reason)

    def changed_tables(self) -> Sequence[str]:
        """Those with rows that were written, replaced or deleted."""
        changed = {
            table
            for made in self._writing
            for table, rows in (made.written if isinstance(made, Rebuild) else made.removed.rows).items()
            if rows
        }
        return sorted(changed)

    def merge(self, table: str) -> None:
        """Rows that were replaced or deleted leave the disk when files are merged; many small writes have made many files."""
        compaction.compact(self._config, table)

    def rebuild(self, enrich: Enrich, selection: Selection, *, dry_run: bool) -> Rebuild:
        """See `rebuild`."""
        made = Rebuild(self._sql, self._writer, enrich, selection, dry_run=dry_run)
        self._writing.append(made)
        return made

    def find_traces(self, id: str, project: str | None) -> list[Entity]:
        """Among all raw events, because a deleted trace has no row; and where rows are of it, because it need not have events."""
        named = literal(clean(id))
        within = "TRUE" if project is None else f"`project_id` = {literal(clean(project))}"
        places = {
            "raw_events": f"`entity_type` = 'trace' AND `entity_id` = {named}",
            **{PROJECTIONS[kind]: f"`trace_id` = {named}" for kind in OF_TRACE},
        }
        found = {
            project_id
            for table, where in places.items()
            for (project_id,) in self._sql.rows(
                select(("DISTINCT `project_id`",), quoted(table), f"{within} AND {where}")
            )
        }
        return [Entity(project_id, "trace", id) for project_id in sorted(found)]

    def deletion(self, *, erase: bool, dry_run: bool) -> Removal:
        """See `removal`."""
        return self._removal(erase=erase, dry_run=dry_run)

    def expiry(self, *, dry_run: bool) -> Removal:
        """See `removal`."""
        return self._removal(erase=False, dry_run=dry_run)

    def rewind(self, instance: str, pipeline: str, offset: int, *, dry_run: bool) -> int | None:
        """None: the cursor is in the journal only."""
        return None

    def close(self) -> None:
        """Lets go of connections and threads."""
        if "_writer" in self.__dict__:
            self._writer.close()
        self._sql.close()

    @cached_property
    def _writer(self) -> Writer:
        return Writer(self._config, self._sql, Ingester(self._config))

    def _removal(self, *, erase: bool, dry_run: bool) -> Removal:
        made = Removal(self._sql, self._writer, erase=erase, dry_run=dry_run)
        self._writing.append(made)
        return made

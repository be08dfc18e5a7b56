"""How far back projects have rows: tombstones of projects, and how far retention has come where raw events cannot be forgotten."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from openfuse_collector.events.deletion import NEVER
from openfuse_collector.exporters.greptimedb.ddl import literal, moment, quoted, select
from openfuse_collector.exporters.greptimedb.schema import EXPIRED, PROJECT_TOMBSTONES, Table
from openfuse_collector.exporters.greptimedb.sql import Rows, SqlClient
from openfuse_collector.store.horizon import OPEN, Horizon, Horizons


def read(query: Callable[[str], Rows]) -> dict[str, Horizon]:
    """The projects that were deleted or have expired data. Raises CallError."""
    deleted: dict[str, int] = {row[0]: row[1] for row in query(_newest(PROJECT_TOMBSTONES))}
    expired: dict[str, int] = {row[0]: row[1] for row in query(_newest(EXPIRED))}
    return {
        project: Horizon(deleted.get(project, NEVER), expired.get(project, NEVER))
        for project in deleted.keys() | expired.keys()
    }


def newly_deleted(before: Horizons, now: Horizons) -> AbstractSet[str]:
    """The projects that were deleted, or deleted once more, between two readings."""
    return {project for project, horizon in now.items() if horizon.deleted != before.get(project, OPEN).deleted}


def delete(sql: SqlClient, project: str, at: int) -> None:
    """The tombstone of a project, which Openfuse knows as well: there a deleted project never comes back. Raises CallError."""
    sql.run(_insert(PROJECT_TOMBSTONES, project, at))


def expire(sql: SqlClient, project: str, until: int) -> None:
    """What received nothing after `until` has expired. Earlier limits of the project are replaced. Raises CallError."""
    sql.run(_insert(EXPIRED, project, until))
    older = f"`project_id` = {literal(project)} AND `expired_at` < {moment(until)}"
    sql.run(f"DELETE FROM {quoted(EXPIRED.name)} WHERE {older}")  # noqa: S608


def _newest(table: Table) -> str:
    return f"{select(('`project_id`', f'max({quoted(table.time_index)})'), quoted(table.name), 'TRUE')} GROUP BY `project_id`"


def _insert(table: Table, project: str, at: int) -> str:
    columns = f"({quoted(table.time_index)}, `project_id`)"
    return f"INSERT INTO {quoted(table.name)} {columns} VALUES ({at}, {literal(project)})"  # noqa: S608

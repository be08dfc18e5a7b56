"""Reads traces, observations and scores from an SQLite store, read-only, while a collector may be writing to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openfuse_collector.cli.views.format import clean

LEVELS = ("DEBUG", "DEFAULT", "WARNING", "ERROR")
"""Langfuse observation levels, mildest first."""

_BUSY_TIMEOUT = 10.0
_CANDIDATES = 10
"""Traces to name where the beginning of an id fits several."""

_CHUNK = 500
"""Bound values per statement, below SQLite's oldest limit of 999."""


class StoreError(Exception):
    """A store that cannot be read, or that does not hold what was asked for; the message is for the user."""


@dataclass(frozen=True)
class Filter:
    """Which traces to list. `name` matches anywhere in the name, ignoring case; times are epoch milliseconds."""

    project: str | None = None
    session: str | None = None
    user: str | None = None
    name: str | None = None
    environment: str | None = None
    since: int | None = None


@dataclass(frozen=True)
class Rollup:
    """What the observations of one trace add up to. `start` and `end` are epoch milliseconds."""

    observations: int = 0
    start: int | None = None
    end: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cost: float | None = None
    level: str = "DEFAULT"
    errors: int = 0

    @property
    def latency(self) -> int | None:
        """Milliseconds from the first start to the last end, None where nothing has ended, as Langfuse counts it."""
        return None if self.start is None or self.end is None else self.end - self.start


@dataclass(frozen=True)
class Trace:
    """A row of `traces`; `timestamp` in epoch milliseconds, `tags` and `metadata` as JSON text."""

    project_id: str
    id: str
    timestamp: int
    name: str | None
    user_id: str | None
    session_id: str | None
    environment: str | None
    release: str | None
    version: str | None
    tags: str | None
    metadata: str | None
    input: str | None
    output: str | None


@dataclass(frozen=True)
class Observation:
    """What a waterfall shows of a row of `observations`; times in epoch milliseconds, `usage_details` as JSON text."""

    id: str
    parent_observation_id: str | None
    type: str
    name: str | None
    start_time: int
    end_time: int | None
    level: str | None
    status_message: str | None
    provided_model_name: str | None
    usage_details: str | None
    total_cost: float | None


@dataclass(frozen=True)
class Score:
    """What a waterfall shows of a row of `scores`."""

    name: str
    value: float | None
    string_value: str | None
    observation_id: str | None
    comment: str | None


@contextmanager
def open_store(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection in one read transaction, so that all queries see the same moment.

    Raises StoreError where there is no file, where the file is no store of this project, or where SQLite gives up.
    """
    if not path.is_file():
        raise StoreError(
            f"no store at {path}: start one with `openfuse-collector run`, or name it with --store or OPENFUSE_STORE"
        )
    try:
        with closing(_connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            yield connection
    except sqlite3.DatabaseError as error:
        reason = "it holds no traces table" if "no such table" in str(error) else str(error)
        raise StoreError(f"{path} cannot be read as a store: {reason}") from error


def _connect(path: Path) -> sqlite3.Connection:
    """Read-only; a WAL database in a directory that may not be written opens as immutable when nobody has it open.

    The log of one that is open is beside the file itself, where `path` is a link.
    """
    uri = path.absolute().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if Path(f"{path.resolve()}-wal").exists():
            raise
        connection = sqlite3.connect(f"{uri}?immutable=1", uri=True, isolation_level=None)
    return connection


def newest_traces(store: sqlite3.Connection, wanted: Filter, limit: int) -> list[Trace]:
    """At most `limit` traces that match, newest first. One query per project, because the store's indexes begin with it."""
    clauses = {
        "session_id = ?": wanted.session,
        "user_id = ?": wanted.user,
        "environment = ?": wanted.environment,
        "timestamp >= ?": wanted.since,
        "name LIKE ? ESCAPE '\\'": None if wanted.name is None else f"%{_literal(wanted.name)}%",
    }
    given = {clause: value for clause, value in clauses.items() if value is not None}
    where = " AND ".join(["project_id = ?", "is_deleted = 0", *given])
    sql = f"SELECT {_columns(Trace)} FROM traces WHERE {where} ORDER BY timestamp DESC, id LIMIT ?"  # noqa: S608
    rows = [
        row
        for project in _projects(store, wanted.project)
        for row in store.execute(sql, (project, *given.values(), limit))
    ]
    rows.sort(key=lambda row: (-row["timestamp"], row["id"]))
    return [Trace(**dict(row)) for row in rows[:limit]]


def find_trace(store: sqlite3.Connection, prefix: str, project: str | None) -> Trace:
    """The trace with that id, else the only one whose id begins so. Raises StoreError for none and for several."""
    projects = _projects(store, project)
    rows = _by_id(store, projects, prefix, prefix) or _by_id(store, projects, prefix, prefix + chr(0x10FFFF))
    if not rows:
        raise StoreError(f"no trace {prefix!r} in this store")
    if len(rows) > 1:
        found = "\n".join(f"  {row['project_id']}  {row['id']}  {row['name'] or ''}" for row in rows[:_CANDIDATES])
        more = "\n  and more" if len(rows) > _CANDIDATES else ""
        raise StoreError(f"{prefix!r} fits several traces, give more of the id or --project:\n{clean(found)}{more}")
    return Trace(**dict(rows[0]))


def _by_id(store: sqlite3.Connection, projects: Sequence[str], first: str, last: str) -> list[sqlite3.Row]:
    """Traces with an id in that range, which is what the key can look up where LIKE would read the whole table."""
    where = "project_id = ? AND id BETWEEN ? AND ? AND is_deleted = 0"
    sql = f"SELECT {_columns(Trace)} FROM traces WHERE {where} ORDER BY id LIMIT {_CANDIDATES + 1}"  # noqa: S608
    return [row for project in projects for row in store.execute(sql, (project, first, last))]


def _projects(store: sqlite3.Connection, wanted: str | None) -> list[str]:
    """The wanted project, else all there are."""
    return [wanted] if wanted is not None else [row["id"] for row in store.execute(_EVERY_PROJECT)]


def observations_of(store: sqlite3.Connection, trace: Trace) -> list[Observation]:
    """All observations of a trace in order of start."""
    sql = f"SELECT {_columns(Observation)} FROM observations WHERE {_OF_TRACE} ORDER BY start_time, id"  # noqa: S608
    return [Observation(**dict(row)) for row in store.execute(sql, (trace.project_id, trace.id))]


def scores_of(store: sqlite3.Connection, trace: Trace) -> list[Score]:
    """All scores of a trace and of its observations, by name."""
    sql = f"SELECT {_columns(Score)} FROM scores WHERE {_OF_TRACE} ORDER BY name, id"  # noqa: S608
    return [Score(**dict(row)) for row in store.execute(sql, (trace.project_id, trace.id))]


def every_column(store: sqlite3.Connection, table: str, trace: Trace) -> list[dict[str, Any]]:
    """Whole rows of `observations` or `scores` of a trace, or its one row of `traces`."""
    where = "project_id = ? AND id = ?" if table == "traces" else _OF_TRACE
    order = {"traces": "id", "observations": "start_time, id", "scores": "name, id"}[table]
    sql = f"SELECT * FROM {table} WHERE {where} ORDER BY {order}"  # noqa: S608
    return [dict(row) for row in store.execute(sql, (trace.project_id, trace.id))]


def rollups(store: sqlite3.Connection, traces: Sequence[Trace]) -> dict[tuple[str, str], Rollup]:
    """(project, trace id) -> rollup; a trace without observations has none."""
    found: dict[tuple[str, str], Rollup] = {}
    for project in {trace.project_id for trace in traces}:
        ids = [trace.id for trace in traces if trace.project_id == project]
        for at in range(0, len(ids), _CHUNK):
            chunk = ids[at : at + _CHUNK]
            sql = _ROLLUP.format(marks=",".join("?" * len(chunk)))
            for row in store.execute(sql, (project, *chunk)):
                found[project, row["trace_id"]] = _rollup(row)
    return found


# The `+` keeps SQLite from taking the key, of which a project is the larger part, where there is an index on the trace.
_OF_TRACE = "+project_id = ? AND trace_id = ? AND is_deleted = 0"

# Hops from one project to the next along the key; DISTINCT would read every row.
_EVERY_PROJECT = """
WITH RECURSIVE projects (id) AS (
  SELECT min(project_id) FROM traces
  UNION ALL SELECT (SELECT min(project_id) FROM traces WHERE project_id > projects.id) FROM projects WHERE id IS NOT NULL
)
SELECT id FROM projects WHERE id IS NOT NULL
"""

# As Langfuse adds them up: the tokens of a side are all usage keys that begin with its name, total is one key. Usage counts
# where there is a total_usage (repetitions of the observations below have none), unless the generation right above says the
# same: that is one call seen by two instrumentations, say of LangChain and of OpenAI. total() and not sum(), which fails where integers
# add up to more than 64 bits: a single count may be as large as a sender likes.
_ROLLUP = """
SELECT trace_id, count(*) AS observations, min(start_time) AS start, max(end_time) AS "end", sum(cost) AS cost,
       max(CASE level WHEN 'ERROR' THEN 3 WHEN 'WARNING' THEN 2 WHEN 'DEBUG' THEN 0 ELSE 1 END) AS level,
       sum(level = 'ERROR') AS errors,
       total((SELECT total(value) FROM json_each(usage) WHERE key LIKE 'input%')) AS input_tokens,
       total((SELECT total(value) FROM json_each(usage) WHERE key LIKE 'output%')) AS output_tokens,
       total((SELECT total(value) FROM json_each(usage) WHERE key = 'total')) AS total_tokens
FROM (
  SELECT *, CASE WHEN total_usage IS NOT NULL AND NOT again AND json_valid(usage_details) THEN usage_details ELSE '{{}}' END AS usage,
         CASE WHEN NOT again THEN total_cost END AS cost
  FROM (
    SELECT *, type IN ('GENERATION', 'EMBEDDING') AND EXISTS (
      SELECT 1 FROM observations AS above
      WHERE above.project_id = below.project_id AND above.id = below.parent_observation_id AND above.is_deleted = 0
        AND above.trace_id = below.trace_id AND above.type = below.type AND above.total_usage = below.total_usage
    ) AS again
    FROM observations AS below
  )
)
WHERE +project_id = ? AND trace_id IN ({marks}) AND is_deleted = 0
GROUP BY trace_id
"""


def _rollup(row: sqlite3.Row) -> Rollup:
    return Rollup(
        observations=row["observations"],
        start=row["start"],
        end=row["end"],
        input_tokens=round(row["input_tokens"]),
        output_tokens=round(row["output_tokens"]),
        total_tokens=round(row["total_tokens"]),
        cost=row["cost"],
        level=LEVELS[row["level"]],
        errors=row["errors"] or 0,
    )


def _columns(cls: type[Trace] | type[Observation] | type[Score]) -> str:
    return ", ".join(cls.__dataclass_fields__)


def _literal(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")

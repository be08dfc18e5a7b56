"""What commands go over: names of entities and rows in the order of their keys, page by page behind the last one.

Never by OFFSET, because the table grows meanwhile. A page is asked for within one project and entity type, which is the beginning of the
primary key, so the server reads only what is behind the last name. Conditions stand on the table itself, below no JOIN (#8338).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.event import Entity
from openfuse_collector.exporters.greptimedb.ddl import literal, moment, quoted, select
from openfuse_collector.exporters.greptimedb.sql import Rows
from openfuse_collector.store.rebuild import Selection

NAMES = 10_000
"""Asked for in one query."""
PAGE_ENTITIES = 500
PAGE_EVENTS = 2000
"""Raw events of a page, unless a single entity has more: bounds memory."""

Query = Callable[[str], Rows]


class Page(NamedTuple):
    """Some entities of one project and type, in the order of their ids, and how much of everything is done with them, 0 to 1."""

    entities: list[Entity]
    share: float


def entity_pages(
    query: Query, selection: Selection, after: Sequence[str] | None = None, until: int | None = None
) -> Iterator[Page]:
    """Entities that have raw events; those behind `after`, (project, entity type, id), where given. Raises CallError.

    With `until`, epoch milliseconds, those that have received something up to then.
    """
    where = conditions(
        {
            "`project_id` = {}": selection.project,
            "`entity_type` = {}": selection.entity_type,
            "`entity_id` = {}": selection.entity,
            "`ingested_at` >= {}": selection.since,
            "`ingested_at` <= {}": until,
        }
    )
    if selection.trace is not None:
        where += f" AND {_of_trace(selection.trace)}"
    by = ("`project_id`", "`entity_type`")
    groups = _groups(query, "raw_events", by, "`entity_id`", where)
    return _pages(query, "raw_events", "`entity_id`", where, groups, after)


def trace_pages(query: Query, selection: Selection) -> Iterator[Page]:
    """Traces that have kept spans. A trace is selected as a whole."""
    where = conditions({"`project_id` = {}": selection.project, "`trace_id` = {}": selection.trace})
    if selection.entity is not None:
        where += f" AND (`trace_id` = {literal(selection.entity)} OR `span_id` = {literal(selection.entity)})"
    where += f" AND {conditions({'`ingested_at` >= {}': selection.since})}"
    groups = [
        ((project, "trace"), total)
        for (project,), total in _groups(query, "openfuse_raw_spans", ("`project_id`",), "`trace_id`", where)
    ]
    return _pages(query, "openfuse_raw_spans", "`trace_id`", where, groups, None)


def row_pages(query: Query, entity_type: str, selection: Selection, updated_until: int | None = None) -> Iterator[Page]:
    """Entities that have rows in a projection, last updated at `updated_until` at the latest where that is given."""
    table = PROJECTIONS[entity_type]
    of_trace = "`id` = {}" if entity_type == "trace" else "`trace_id` = {}"
    where = conditions(
        {
            "`project_id` = {}": selection.project,
            of_trace: selection.trace,
            "`id` IN ({})": selection.entity,
            "`updated_at` >= {}": selection.since,
            "`updated_at` <= {}": updated_until,
        }
    )
    groups = [
        ((project, entity_type), total) for (project,), total in _groups(query, table, ("`project_id`",), "`id`", where)
    ]
    return _pages(query, table, "`id`", where, groups, None)


def side_pages(query: Query, table: str, entity_type: str, selection: Selection) -> Iterator[Page]:
    """Entities that have rows in a side table. Those name neither their trace nor when something was received: where that is asked
    for, nothing is gone over, but for traces themselves."""
    if selection.since is not None or (selection.trace is not None and entity_type != "trace"):
        return
    where = conditions(
        {
            "`project_id` = {}": selection.project,
            "`entity_id` = {}": selection.trace,
            "`entity_id` IN ({})": selection.entity,
        }
    )
    where += " AND `is_deleted` = false"
    groups = [
        ((project, entity_type), total)
        for (project,), total in _groups(query, table, ("`project_id`",), "`entity_id`", where)
    ]
    yield from _pages(query, table, "`entity_id`", where, groups, None)


def conditions(values: Mapping[str, Any]) -> str:
    """The conditions that have a value, with it: text, or a time in epoch milliseconds."""
    given = (
        clause.format(moment(value) if isinstance(value, int) else literal(value))
        for clause, value in values.items()
        if value is not None
    )
    return " AND ".join(("TRUE", *given))


def _of_trace(id: str) -> str:
    """Observations and scores name their trace in the body. What JSON escapes, and what LIKE does not take as it is, may be anything:
    too much does no harm."""
    pattern = re.sub(r'[%"\\\x00-\x1f]', "%", id)
    return f"((`entity_type` = 'trace' AND `entity_id` = {literal(id)}) OR `body` LIKE {literal(f'%{pattern}%')})"


Groups = Sequence[tuple[tuple[str, ...], int]]
"""(project, entity type) and how many names there are, in order."""


def _groups(query: Query, table: str, by: Sequence[str], name: str, where: str) -> Groups:
    what = (*by, f"count(DISTINCT {name})")
    keys = ", ".join(by)
    rows = query(f"{select(what, quoted(table), where)} GROUP BY {keys} ORDER BY {keys}")
    return [(tuple(row[:-1]), row[-1]) for row in rows]


def _pages(
    query: Query, table: str, name: str, where: str, groups: Groups, after: Sequence[str] | None
) -> Iterator[Page]:
    total, done = sum(count for _, count in groups), 0
    for group, count in groups:
        project, entity_type = group
        last = None
        if after is not None:
            if (project, entity_type) < tuple(after[:2]):
                done += count
                continue
            last = after[2] if (project, entity_type) == tuple(after[:2]) else None
        typed = f"`entity_type` = {literal(entity_type)} AND " if table == "raw_events" else ""
        inside = f"`project_id` = {literal(project)} AND {typed}{where}"
        for ids in _names(query, table, name, inside, last):
            done += len(ids)
            yield Page([Entity(project, entity_type, id) for id in ids], min(1.0, done / max(1, total)))


def _names(query: Query, table: str, name: str, where: str, last: str | None) -> Iterator[list[str]]:
    found: Rows = [[]] * NAMES
    while len(found) == NAMES:
        behind = where if last is None else f"{name} > {literal(last)} AND {where}"
        statement = select((name, "count(*)"), quoted(table), behind)
        found = query(f"{statement} GROUP BY {name} ORDER BY {name} LIMIT {NAMES}")
        yield from _fitting(found)
        last = found[-1][0] if found else last


def _fitting(found: Rows) -> Iterator[list[str]]:
    """The names in pages of a bounded number of rows, at least one name each."""
    page: list[str] = []
    rows = 0
    for name, count in found:
        if page and (rows + count > PAGE_EVENTS or len(page) == PAGE_ENTITIES):
            yield page
            page, rows = [], 0
        page.append(name)
        rows += count
    if page:
        yield page

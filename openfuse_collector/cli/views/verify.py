"""How a verification shows: one line per field that differs with examples, or everything as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from openfuse_collector.cli.views.counted import counted
from openfuse_collector.cli.views.format import clean, one_line
from openfuse_collector.cli.views.rebuild import failure_lines
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.store.rebuild import (
    DOUBLED,
    LEFT_BEHIND,
    MISSING,
    UNWANTED,
    WITHOUT_EVENTS,
    Example,
    Report,
    TableReport,
)

WIDTH = 40
"""Cells of a value in an example."""

WHOLE_ROWS = {
    MISSING: "no row although its events make one",
    UNWANTED: "a row although its events make none (deleted or expired)",
    DOUBLED: "rows beside the one",
    WITHOUT_EVENTS: "a row, but no raw event",
    LEFT_BEHIND: "side rows, but neither a row nor a raw event",
}
"""What may be wrong with rows as a whole, in words."""


def verdict_lines(report: Report, where: str) -> Iterator[str]:
    """The findings, for people."""
    checked = sum(table.checked for table in report.tables.values())
    yield f"{where}: {counted(checked, 'entity', 'entities')}, {counted(report.discrepancies, 'row')} with discrepancies"
    found = [
        (
            f"{PROJECTIONS[kind]}.{what}" if what not in WHOLE_ROWS else PROJECTIONS[kind],
            what,
            rows,
            table.examples.get(what, []),
        )
        for kind, table in report.tables.items()
        for what, rows in _counts(table).items()
        if rows
    ]
    if found:
        yield ""
        yield f"{'field':44}{'rows':>10}  examples"
    for name, what, rows, examples in found:
        shown = WHOLE_ROWS.get(what)
        yield f"{name:44}{rows:10,}  {shown or _values(examples[0]) if examples else shown or ''}"
        for example in examples if shown else examples[1:]:
            yield f"{'':56}{_name(example) if shown else _values(example)}"
    yield from failure_lines(report, "could not be folded")
    if found:
        yield "\n`openfuse-collector rebuild` puts rows right; with --prune it removes those without raw events"


def as_json(report: Report, where: str) -> str:
    """The findings, for programs."""
    tables = {
        PROJECTIONS[kind]: {
            "entities": table.checked,
            "discrepancies": table.discrepancies,
            "fields": {
                what: {"rows": rows, "examples": [example._asdict() for example in table.examples.get(what, [])]}
                for what, rows in _counts(table).items()
                if rows
            },
        }
        for kind, table in report.tables.items()
    }
    found = {
        "store": where,
        "entities": sum(table.checked for table in report.tables.values()),
        "discrepancies": report.discrepancies,
        "tables": tables,
        "failed": report.failed,
        "failures": report.failures,
    }
    return json.dumps(found, indent=2, default=_plain)


def _counts(table: TableReport) -> dict[str, int]:
    whole = {
        MISSING: table.added,
        UNWANTED: table.removed,
        DOUBLED: table.doubled,
        WITHOUT_EVENTS: table.without_events,
        LEFT_BEHIND: table.left_behind,
    }
    return {**whole, **dict(table.columns.most_common())}


def _values(example: Example) -> str:
    stored, expected = (one_line(_text(value), WIDTH) for value in (example.stored, example.expected))
    name = _name(example)
    return name if example.stored == example.expected else f"{name}: {stored} instead of {expected}"


def _name(example: Example) -> str:
    return clean(f"{example.project_id} {example.id}")


def _text(value: Any) -> str:
    return "NULL" if value is None else json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)

"""The list of traces: one line each, newest first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Literal

from rich.cells import cell_len
from rich.text import Text

from openfuse_collector.cli.views.format import UNICODE, Glyphs, clock, cost, duration, one_line, tokens
from openfuse_collector.cli.views.store import Rollup, Trace

GAP = "  "
"""Between two columns."""

LEVEL_STYLES = {"DEBUG": "dim", "DEFAULT": "green", "WARNING": "yellow", "ERROR": "bold red"}

_GIVE_WAY = (
    ("id", 12),
    ("session", 10),
    ("user", 10),
    ("name", 16),
    ("id", 8),
    ("session", 8),
    ("user", 8),
    ("name", 6),
)
"""(title, cells left to it): who gives way first where the terminal is too narrow."""


@dataclass(frozen=True)
class Column:
    """How a column of the list is made. `wide` is the terminal width below which it is left out."""

    title: str
    cell: Callable[[Trace, Rollup], str]
    wide: int = 0
    most: int = 40
    justify: Literal["left", "right"] = "left"
    style: str = ""


def columns(zone: tzinfo | None, several_projects: bool) -> list[Column]:
    """The columns in order; `most` is the widest a cell may be."""
    made = [
        Column("time", lambda trace, _: clock(trace.timestamp, zone), style="dim"),
        Column("id", lambda trace, _: trace.id, most=36, style="cyan"),
        Column("name", lambda trace, _: trace.name or "", most=28),
        Column("user", lambda trace, _: trace.user_id or "", wide=110, most=14),
        Column("session", lambda trace, _: trace.session_id or "", wide=110, most=16),
        Column("obs", lambda _, sums: str(sums.observations), most=7, justify="right"),
        Column("latency", lambda _, sums: duration(sums.latency), most=8, justify="right"),
        Column("tokens", lambda _, sums: tokens(sums.total_tokens), most=8, justify="right"),
        Column("cost", lambda _, sums: cost(sums.cost), wide=90, most=12, justify="right"),
        Column("level", lambda _, sums: _level(sums), most=14),
    ]
    return [Column("project", lambda trace, _: trace.project_id, most=16), *made] if several_projects else made


def trace_lines(
    traces: Sequence[Trace],
    rollups: Mapping[tuple[str, str], Rollup],
    width: int,
    zone: tzinfo | None = None,
    glyphs: Glyphs = UNICODE,
) -> list[Text]:
    """The list for a terminal of that many columns; narrow ones lose user, session, cost, then the tail of the id."""
    shown = [c for c in columns(zone, len({t.project_id for t in traces}) > 1) if c.wide <= width]
    sums = [rollups.get((trace.project_id, trace.id), Rollup()) for trace in traces]
    table = {
        column.title: [one_line(column.cell(t, s), column.most, glyphs) for t, s in zip(traces, sums, strict=True)]
        for column in shown
    }
    room = _fit(table, width)
    lines = [Text(GAP.join(_pad(c.title, room[c.title], c.justify) for c in shown).rstrip(), "bold")]
    for at in range(len(traces)):
        line = Text()
        for column in shown:
            cell = one_line(table[column.title][at], room[column.title], glyphs)
            style = LEVEL_STYLES[sums[at].level] if column.title == "level" else column.style
            line.append(_pad(cell, room[column.title], column.justify), style).append(GAP)
        line.rstrip()
        lines.append(line)
    return lines


def _fit(table: Mapping[str, Sequence[str]], width: int) -> dict[str, int]:
    """Title -> cells a column gets: what its longest text needs, less what the terminal lacks, taken from the texts."""
    room = {title: max(map(cell_len, (title, *column))) for title, column in table.items()}
    excess = sum(room.values()) + len(GAP) * (len(room) - 1) - width
    for title, least in _GIVE_WAY:
        cut = max(0, min(excess, room.get(title, 0) - least))
        if cut:
            room[title] -= cut
            excess -= cut
    return room


def _pad(cell: str, width: int, justify: str) -> str:
    pad = " " * (width - cell_len(cell))
    return pad + cell if justify == "right" else cell + pad


def _level(sums: Rollup) -> str:
    if sums.errors:
        return f"{sums.errors} error{'s' if sums.errors > 1 else ''}"
    return "" if sums.level == "DEFAULT" else sums.level.lower()

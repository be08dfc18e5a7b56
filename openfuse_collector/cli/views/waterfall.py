"""One trace as a waterfall: its observations as a tree, each with a bar on the common time axis."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from openfuse_collector.cli.views.format import UNICODE, Glyphs, clean, clock, cost, duration, excerpt, one_line, tokens
from openfuse_collector.cli.views.store import Observation, Rollup, Score, Trace
from openfuse_collector.cli.views.table import GAP, LEVEL_STYLES
from openfuse_collector.cli.views.tree import Branch, branches

TYPE_STYLES = {
    "AGENT": "magenta",
    "CHAIN": "blue",
    "EMBEDDING": "bright_cyan",
    "EVALUATOR": "bright_blue",
    "GENERATION": "cyan",
    "GUARDRAIL": "bright_magenta",
    "RETRIEVER": "yellow",
    "TOOL": "green",
}
"""Langfuse observation types; the rest is drawn plainly."""

_NARROWEST_BAR = 12
_NARROWEST_NAME = 16
_GIVE_WAY = (("cost", 0), ("model", 16), ("model", 0), ("tokens", 0), ("type", 0))
"""(title, cells left to it): who gives way first where the terminal is too narrow for names and bars beside the columns."""


@dataclass(frozen=True)
class Axis:
    """The stretch of time the bars share, in epoch milliseconds, and the cells it has."""

    start: int
    end: int
    cells: int

    def place(self, start: int, end: int) -> tuple[int, int]:
        """(first cell, number of cells) of a stretch, at least one cell and always inside."""
        stretch = max(1, self.end - self.start)
        first = min(self.cells - 1, max(0, (start - self.start) * self.cells // stretch))
        last = -((self.start - end) * self.cells // stretch)
        return first, max(1, min(self.cells, last) - first)


def axis_of(observations: Sequence[Observation], cells: int) -> Axis:
    """From the first start to the last end."""
    start = min(o.start_time for o in observations)
    return Axis(start, max(max(o.start_time, o.end_time or 0) for o in observations), cells)


def bar(observation: Observation, axis: Axis, glyphs: Glyphs = UNICODE) -> str:
    """Solid from start to end; a point for an event; open to the right edge for what has not ended."""
    if observation.end_time is None:
        point = observation.type == "EVENT"
        first, long = axis.place(observation.start_time, observation.start_time if point else axis.end)
        return " " * first + (glyphs.point if point else glyphs.open_bar * long)
    first, long = axis.place(observation.start_time, observation.end_time)
    return " " * first + glyphs.bar * long


def usage(observation: Observation) -> tuple[int, int, int]:
    """(input, output, total) tokens; a side is all keys that begin with its name, as Langfuse adds them up."""
    try:
        details = json.loads(observation.usage_details or "{}")
    except ValueError:
        return 0, 0, 0
    counts = {k: v for k, v in details.items() if isinstance(v, int | float)} if isinstance(details, dict) else {}
    sides = [round(sum(v for k, v in counts.items() if k.startswith(side))) for side in ("input", "output")]
    return sides[0], sides[1], round(counts.get("total", 0))


def waterfall(observations: Sequence[Observation], width: int, glyphs: Glyphs = UNICODE) -> list[Text]:
    """The lines of the tree with its bars for a terminal of that many columns, a head line first.

    Narrow terminals lose cost, model, tokens and type, in that order. A status message has a line of its own.
    """
    if not observations:
        return []
    rows = branches(observations, glyphs)
    table = _cells(rows, width, glyphs)
    taken, widths = _taken(table), _widths(table)
    names = [branch.stem + _name(branch, width, glyphs) for branch in rows]
    room = width - taken - len(GAP)
    name_width = max(_NARROWEST_NAME, min(room * 3 // 5, room - _NARROWEST_BAR))
    name_width = min(max(map(cell_len, ("observation", *names))), name_width)
    axis = axis_of(observations, max(_NARROWEST_BAR, room - name_width))
    titles = _join(
        [set_cell_size("observation", name_width), *(_justify(t, t, widths[t]) for t in table), _scale(axis, glyphs)]
    )
    lines = [Text(titles, "dim")]
    for at, branch in enumerate(rows):
        style = TYPE_STYLES.get(branch.observation.type, "")
        level = _level_style(branch.observation)
        line = Text(set_cell_size(_cut(names[at], name_width, glyphs), name_width), level)
        for title, column in table.items():
            line.append(GAP).append(_justify(title, column[at], widths[title]), style if title == "type" else "")
        lines.append(line.append(GAP).append(bar(branch.observation, axis, glyphs), level or style))
        lines += _status(branch, width, glyphs)
    return lines


def heading(
    trace: Trace, sums: Rollup, scores: Sequence[Score], zone: tzinfo | None, width: int, glyphs: Glyphs = UNICODE
) -> list[Text]:
    """What the trace is and adds up to, above its waterfall."""
    facts = {
        "time": clock(trace.timestamp, zone),
        "project": "" if trace.project_id == "default" else trace.project_id,
        "environment": "" if trace.environment == "default" else trace.environment,
        "user": trace.user_id,
        "session": trace.session_id,
        "release": trace.release,
        "version": trace.version,
        "tags": ", ".join(map(str, _list(trace.tags))),
    }
    totals = {
        "observations": str(sums.observations),
        "latency": duration(sums.latency),
        "tokens": _tokens((sums.input_tokens, sums.output_tokens, sums.total_tokens), glyphs),
        "cost": cost(sums.cost),
        "errors": str(sums.errors or ""),
    }
    lines = [
        Text.assemble((one_line(trace.name or "(no name)", width // 2, glyphs), "bold"), GAP, (clean(trace.id), "cyan"))
    ]
    lines += [_facts(facts, width, glyphs), _facts(totals, width, glyphs)]
    return lines + [Text(one_line(_score(score), width, glyphs), "dim") for score in scores]


def content(trace: Trace, width: int, most: int, glyphs: Glyphs = UNICODE) -> list[Text]:
    """Input and output of the trace, each cut to `most` lines."""
    lines: list[Text] = []
    for title, text in (("input", trace.input), ("output", trace.output)):
        cut = excerpt(text, max(8, width - len(GAP)), most, glyphs)
        if cut:
            lines += [Text(""), Text(title, "bold"), *(Text(GAP + line) for line in cut)]
    return lines


def _cells(rows: Sequence[Branch], width: int, glyphs: Glyphs) -> dict[str, list[str]]:
    """Column title -> its cell per row, without columns that are empty everywhere or have no room."""
    seen = [branch.observation for branch in rows]
    columns = {
        "type": [one_line(o.type, 12, glyphs) for o in seen],
        "model": [one_line(o.provided_model_name, 24, glyphs) for o in seen],
        "tokens": [_tokens(usage(o), glyphs) for o in seen],
        "cost": [cost(o.total_cost) for o in seen],
        "time": [_took(o) for o in seen],
    }
    shown = {title: cells for title, cells in columns.items() if any(cells)}
    for title, cells in _GIVE_WAY:
        if _taken(shown) + _NARROWEST_NAME + len(GAP) + _NARROWEST_BAR <= width:
            break
        column = shown.get(title)
        if column is not None and cells:
            shown[title] = [one_line(cell, cells, glyphs) for cell in column]
        else:
            shown.pop(title, None)
    return shown


def _widths(table: Mapping[str, Sequence[str]]) -> dict[str, int]:
    return {title: max(map(cell_len, (title, *column))) for title, column in table.items()}


def _taken(table: Mapping[str, Sequence[str]]) -> int:
    """Cells the columns take, gaps included."""
    return sum(len(GAP) + cells for cells in _widths(table).values())


def _took(observation: Observation) -> str:
    return "" if observation.end_time is None else duration(observation.end_time - observation.start_time)


def _tokens(counts: tuple[int, int, int], glyphs: Glyphs) -> str:
    """`310→42`; only the total where the sides are not known."""
    given, made, total = counts
    return f"{tokens(given) or 0}{glyphs.arrow}{tokens(made) or 0}" if given or made else tokens(total)


def _name(branch: Branch, width: int, glyphs: Glyphs) -> str:
    name = one_line(branch.observation.name or branch.observation.id, width, glyphs)
    return (
        f"{name} (parent {one_line(branch.observation.parent_observation_id, 8, glyphs)} not here)"
        if branch.orphan
        else name
    )


def _cut(name: str, width: int, glyphs: Glyphs) -> str:
    return name if cell_len(name) <= width else set_cell_size(name, width - len(glyphs.ellipsis)) + glyphs.ellipsis


def _justify(title: str, cell: str, width: int) -> str:
    pad = " " * (width - cell_len(cell))
    return pad + cell if title in ("tokens", "cost", "time") else cell + pad


def _join(cells: Sequence[str]) -> str:
    return GAP.join(cells)


def _scale(axis: Axis, glyphs: Glyphs) -> str:
    """The head of the bars: `0 ──── 1.90s`."""
    end = duration(axis.end - axis.start)
    return f"0 {glyphs.rule * max(1, axis.cells - len(end) - 3)} {end}"


def _level_style(observation: Observation) -> str:
    level = observation.level or "DEFAULT"
    return "" if level == "DEFAULT" else LEVEL_STYLES.get(level, "")


def _status(branch: Branch, width: int, glyphs: Glyphs) -> list[Text]:
    """The status message below its observation, under the stem of its children."""
    message, level = branch.observation.status_message, branch.observation.level or "DEFAULT"
    if not message:
        return []
    indent = " " * cell_len(branch.stem)
    said = message if level == "DEFAULT" else f"{level.lower()}: {message}"
    return [Text(indent + one_line(said, max(8, width - len(indent)), glyphs), _level_style(branch.observation))]


def _facts(facts: Mapping[str, str | None], width: int, glyphs: Glyphs) -> Text:
    """`name value` pairs on one line, the absent ones left out."""
    line = Text()
    for name, value in facts.items():
        if value:
            line.append(GAP if line else "").append(f"{name} ", "dim").append(one_line(value, width // 2, glyphs))
    return line


def _score(score: Score) -> str:
    value = score.string_value if score.value is None else f"{score.value:g}"
    return f"score {score.name} = {value}" + (f"  {score.comment}" if score.comment else "")


def _list(text: str | None) -> list[object]:
    try:
        made = json.loads(text or "[]")
    except ValueError:
        return []
    return made if isinstance(made, list) else []

"""Numbers, times and foreign text as a terminal shows them: pure functions over what somebody's telemetry said."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from rich.cells import cell_len, chop_cells, set_cell_size

from openfuse_collector.cli.views.conversation import as_conversation

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Everything that could move the cursor, change colours or turn the direction of writing; line feed and tab stay."""


@dataclass(frozen=True)
class Glyphs:
    """The characters a view draws with."""

    tee: str
    corner: str
    pipe: str
    bar: str
    open_bar: str
    point: str
    rule: str
    ellipsis: str
    arrow: str


UNICODE = Glyphs("├─ ", "└─ ", "│  ", "█", "░", "◆", "─", "…", "→")
ASCII = Glyphs("|- ", "`- ", "|  ", "#", ".", "*", "-", "...", ">")


def clean(text: str) -> str:
    """The text without control characters: what an application traced must not drive the terminal it is read in."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def one_line(text: str | None, width: int, glyphs: Glyphs = UNICODE) -> str:
    """The text on one line of at most `width` cells."""
    flat = " ".join(clean((text or "")[: 4 * width + 64]).split())
    if cell_len(flat) <= width:
        return flat
    return set_cell_size(flat, max(0, width - len(glyphs.ellipsis))).rstrip() + glyphs.ellipsis[:width]


def duration(ms: int | None) -> str:
    """`380ms`, `1.90s`, `2m05s`, `3h07m`; empty for None."""
    if ms is None:
        return ""
    if ms < 1000:
        return f"{ms}ms"
    if ms < 60_000:
        return f"{ms / 1000:.2f}s"
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


def tokens(count: int) -> str:
    """Exact below 100,000, then `123k`, `4.5M`; empty for nothing."""
    if count >= 1_000_000:
        return f"{count / 1_000_000:.1f}M"
    if count >= 100_000:
        return f"{count // 1000}k"
    return f"{count:,}" if count else ""


def cost(dollars: float | None) -> str:
    """US dollars with as many digits as matter; empty for None."""
    if dollars is None:
        return ""
    if 0 < dollars < 0.000001:
        return "<$0.000001"
    digits = 2 if dollars >= 1 or dollars == 0 else 4 if dollars >= 0.01 else 6
    return f"${dollars:,.{digits}f}"


def clock(ms: int, zone: tzinfo | None) -> str:
    """`2026-11-21 06:00:00` in the zone, local time for None. Times outside the calendar stay numbers."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(ms)


def excerpt(text: str | None, width: int, lines: int, glyphs: Glyphs = UNICODE) -> list[str]:
    """At most `lines` lines of at most `width` cells, JSON laid out; one more line says how much was left out."""
    if not text:
        return []
    laid_out = clean(_pretty(text)).expandtabs(2).split("\n")
    cut = [piece for line in laid_out for piece in _wrap(line, width)]
    if len(cut) <= lines:
        return cut
    return [*cut[:lines], f"{glyphs.ellipsis} {len(cut) - lines} more lines"]


def _pretty(text: str) -> str:
    """Chat messages as a conversation, other JSON objects and arrays indented, anything else as it is."""
    if text[:1] not in "{[":
        return text
    try:
        value = json.loads(text)
        return as_conversation(value) or json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _wrap(line: str, width: int) -> list[str]:
    return chop_cells(line, width) or [""]

"""The console the views print on: its width, and what it can show."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from openfuse_collector.cli.views.format import ASCII, UNICODE, Glyphs

PLAIN_WIDTH = 120
"""Columns when the output is no terminal."""

_WIDEST = 200
"""On very wide terminals lines stop here, so that a name and its bar stay near each other."""


def console() -> Console:
    """Standard output as a rich console. A character the terminal cannot show becomes `?` instead of an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    made = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    made.width = min(made.width, _WIDEST) if made.is_terminal else _plain_width()
    return made


def _plain_width() -> int:
    """$COLUMNS where the output is no terminal, as other tools do it, else `PLAIN_WIDTH`."""
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else PLAIN_WIDTH


def print_lines(made: Console, lines: Iterable[Text]) -> None:
    """Each line as it is: the layout has fitted it, and what a very narrow terminal does with it is its own affair."""
    for line in lines:
        made.print(line, soft_wrap=True)


def glyphs_for(made: Console) -> Glyphs:
    """Box drawing where the encoding has it, else ASCII."""
    try:
        "├█░◆…→".encode(made.encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE

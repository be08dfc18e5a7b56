"""What the spans of one request may become beyond what they say. Spans are mapped one by one, a request is in memory as a whole."""

from __future__ import annotations

SLOTS = 10_001
"""List slots one prefix of flattened attributes may open, holes included, so that `….99999999.content` costs nothing. Langfuse has the
same bound."""

FEW_HOLES = 100
"""Holes that the lists of a prefix show as null in any case."""

DENSE = 8
"""Characters of JSON for a value, on the average, below which a text counts: what is denser becomes twenty to a hundred times its size."""

MOST_VALUES = 2_000_000
"""Values of dense JSON texts that are read."""


class Room:
    """Of one request."""

    __slots__ = ("_holes", "_values")

    def __init__(self) -> None:
        self._holes = SLOTS
        self._values = MOST_VALUES

    def shows_holes(self, number: int) -> bool:
        """Whether lists with so many holes show them as null. Together as many as Langfuse shows for one prefix, beside few ones: an
        attribute of 30 bytes takes 50,000 there, and a request may have 100,000 spans."""
        if FEW_HOLES < number <= self._holes:
            self._holes -= number
            return True
        return number <= FEW_HOLES

    def reads(self, text: str) -> bool:
        """Whether there is room for what becomes of a JSON text, which then is taken."""
        values = text.count(",") + text.count("[") + text.count("{")
        if values * DENSE <= len(text):
            return True
        if values > self._values:
            return False
        self._values -= values
        return True

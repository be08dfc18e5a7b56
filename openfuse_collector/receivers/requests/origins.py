"""Which web pages may send: origins as a configuration lists them, `*` for any run of characters."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Origins:
    """Origins that are allowed; `origin in origins` says whether one is, in letters of either case."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._patterns = [_pattern(origin) for origin in allowed]

    def __contains__(self, origin: str) -> bool:
        return any(pattern.fullmatch(origin.lower()) for pattern in self._patterns)


def _pattern(origin: str) -> re.Pattern[str]:
    """What lies between two wildcards is taken where it first stands and nowhere else: that loses no match, and however many
    wildcards there are, the time grows with the length of what was sent alone."""
    first, *others = (re.escape(part) for part in origin.lower().split("*"))
    if not others:
        return re.compile(first)
    *between, last = others
    return re.compile("".join((first, *(f"(?>.*?{part})" for part in between), ".*", last)))

"""A bound on how deep JSON nests: what lies deeper stays, as the text it was written in.

Parsers and encoders recurse, and so does some of what looks at values in between, each until the stack ends, which is sooner the
deeper the caller stands. So texts are cut at a depth that is far from that everywhere: the same text is the same value whoever reads
it, and no sender decides how far our recursion goes.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

DEEPEST: Final = 200
"""Levels of maps and lists that are kept as such. Real telemetry has about fifteen."""

_TOKENS = re.compile(r'"(?:[^"\\]+|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""Strings and brackets. A string that never ends is one token too: else the search would go to the end from every quote in it."""


def is_deep(value: Any) -> bool:
    """Whether a value nests deeper than `DEEPEST`. Goes level by level, so it does not recurse itself."""
    level = [value] if type(value) is dict or type(value) is list else []
    for _ in range(DEEPEST):
        if not level:
            return False
        level = [
            item
            for container in level
            for item in (container.values() if type(container) is dict else container)
            if type(item) is dict or type(item) is list
        ]
    return bool(level)


def may_be_deep(text: str | bytes, deepest: int = DEEPEST) -> bool:
    """Whether a JSON text has enough brackets to nest that deep: a cheap look before `is_deep`."""
    if len(text) <= 2 * deepest:
        return False
    if isinstance(text, str):
        return text.count("{") + text.count("[") > deepest
    return text.count(b"{") + text.count(b"[") > deepest


def flattened(text: str, deepest: int = DEEPEST) -> str:
    """A JSON text with every map or list below so many levels replaced by a string that holds its text."""
    depth, start, copied = 0, 0, 0
    pieces: list[str] = []
    for token in _TOKENS.finditer(text):
        kind = token[0][0]
        if kind in "[{":
            depth += 1
            if depth == deepest + 1:
                start = token.start()
        elif kind in "]}":
            if depth == deepest + 1:
                pieces += (text[copied:start], json.dumps(text[start : token.end()]))
                copied = token.end()
            depth -= 1
    if depth > deepest:  # it ends in the middle of the deep, so it is no JSON, and must not be for want of a stack
        pieces += (text[copied:start], json.dumps(text[start:]))
        copied = len(text)
    return "".join((*pieces, text[copied:]))

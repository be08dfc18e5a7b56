"""JSON bytes to Python values, with two leniencies: text that is not Unicode costs a replacement character, not the request, and
numbers may be of any size.

JavaScript strings can hold half a surrogate pair (`"\\ud800"`), and cutting UTF-8 at a byte limit leaves half a character.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from openfuse_collector.events.text import decoded

_decode = msgspec.json.Decoder().decode

_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u([dD][89a-fA-F])[0-9a-fA-F]{2}|.)", re.DOTALL
)
"""Every escape sequence, whole, so that an escaped backslash never passes for the start of the next one.
The group is set for half a pair."""


def parse_json(body: bytes) -> tuple[Any, int]:
    """(value, number of places where invalid Unicode became U+FFFD). Raises ValueError, RecursionError.

    Numbers beyond what a double holds are as in `events.text.decoded`.
    """
    try:
        return _decode(body), 0
    except ValueError:
        text, replaced = _repair(body)
        return decoded(text), replaced


def _repair(body: bytes) -> tuple[str, int]:
    text = body.decode(errors="replace")
    replaced = text.count("\ufffd") - body.count("\ufffd".encode())
    halves = 0

    def whole(escape: re.Match[str]) -> str:
        nonlocal halves
        if escape[1] is None:
            return escape[0]
        halves += 1
        return "\\ufffd"

    return _ESCAPE.sub(whole, text), replaced + halves if "\\u" in text else replaced

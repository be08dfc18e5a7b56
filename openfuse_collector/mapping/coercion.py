"""How values turn into text, numbers and truth: the JavaScript rules Langfuse's mapping relies on.

Langfuse decides with JavaScript truthiness and writes with `JSON.stringify`, so equality with it needs the same notions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from openfuse_collector.events.depth import flattened, is_deep, may_be_deep

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_LARGEST = sys.float_info.max
_LARGEST_EXACT = 2**63 - 1
_MOST_DIGITS = 400
"""More than any double has, leading zeros aside."""
BROKEN = object()
"""What `parse_json` answers for text that is not JSON (JSON has a null of its own)."""


def truthy(value: Any) -> bool:
    """JavaScript's truth: `""`, 0, false and null are false, an empty list or map is true."""
    return bool(value) or isinstance(value, list | dict)


def meaningful(value: Any) -> bool:
    """Anything but null, `""`, `[]` and `{}`; 0 and false do mean something."""
    return bool(value) or value is False or (isinstance(value, int | float) and value == 0)


def json_text(value: Any) -> str:
    """Compact JSON of a value, non-ASCII kept as it is."""
    return _encode(value).decode()


def text(value: Any) -> str:
    """A string as it is, anything else as JSON text."""
    return value if type(value) is str else json_text(value)


def spelled(value: Any) -> str:
    """JavaScript's `String(value)`: like `text`, but lists are joined by commas."""
    if isinstance(value, list):
        return ",".join("" if item is None else spelled(item) for item in value)
    return text(value)


def parse_json(source: Any) -> Any:
    """The value of a JSON text, `BROKEN` when it is none. What is not text already passes through.

    What is nested too deeply in it stays text.
    """
    if type(source) is not str:
        return source
    try:
        value = _decode(source)
        return _decode(flattened(source)) if may_be_deep(source) and is_deep(value) else value
    except (msgspec.DecodeError, UnicodeEncodeError):
        return BROKEN
    except RecursionError:
        return parse_json(flattened(source))


def parsed(source: Any) -> Any:
    """The value of a JSON text, or the text itself when it is not JSON."""
    value = parse_json(source)
    return source if value is BROKEN else value


def finite(value: int | float) -> bool:
    """Whether a number is one to JavaScript: neither NaN nor infinite, nor an integer past every double."""
    return -_LARGEST <= value <= _LARGEST


def number(value: Any) -> int | float | None:
    """JavaScript's `Number(value)` with None for NaN: booleans are 0 and 1, `""` is 0, numeric text is its number.

    Integers are exact as far as stores hold them. Beyond they are doubles, as all are to JavaScript: sums of these may become
    infinite, where sums of integers would become too large to be taken from a double.
    """
    kind = type(value)
    if kind is int:
        return int(value) if -_LARGEST_EXACT <= value <= _LARGEST_EXACT else _double(value)
    if kind is float:
        return normal_number(value)
    if kind is bool:
        return int(value)
    return _number_of_text(value) if kind is str else None


def normal_number(value: float) -> int | float | None:
    """A float that is a whole number becomes an int, as there is one kind of number in JSON; not finite is None."""
    if not finite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _double(value: int) -> float | None:
    return float(value) if finite(value) else None


def _number_of_text(value: str) -> int | float | None:
    stripped = value.strip()
    if not stripped:
        return 0
    if "_" in stripped:
        return None
    try:
        return number(int(stripped))
    except ValueError:
        pass
    try:
        return normal_number(float(stripped))
    except ValueError:
        return None


def whole_number(value: Any) -> int | None:
    """JavaScript's `parseInt(value)`: the whole number text begins with, the truncated value of a number, else None.

    A number past every double is none.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value) if finite(value) else None
    if not isinstance(value, str):
        return None
    stripped = value.strip()
    sign = stripped[:1] if stripped[:1] in ("+", "-") else ""
    digits = 0
    for character in stripped[len(sign) :]:
        if character not in "0123456789":
            break
        digits += 1
    end = len(sign) + digits
    found = int(stripped[:end]) if 0 < digits <= _MOST_DIGITS else None
    return found if found is not None and finite(found) else None


def without_parts(whole: int | float, parts: Iterable[int | float]) -> int | float:
    """What is left of a count when its parts are counted apart: never less than nothing, nor more for a part below zero."""
    return max(whole - sum(part for part in parts if part > 0), 0)


def scalar_map(value: Any) -> dict[str, str | int | float]:
    """An object with its values made scalar; a list is keyed by index, anything else is empty."""
    if isinstance(value, list):
        value = {str(index): item for index, item in enumerate(value)}
    return {name: scalar(item) for name, item in value.items()} if isinstance(value, dict) else {}


def scalar(value: Any) -> str | int | float:
    """Text and numbers as they are, anything else (booleans, null) as JSON text."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    return json_text(value)

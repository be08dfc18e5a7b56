"""Single values of OTLP/JSON as protobuf wants them: one function per kind, each raising ValueError or TypeError for what it cannot read.

Rules: OTLP specification, "JSON Protobuf Encoding", which is protobuf's own JSON except that ids are hex and enums are numbers.
Beyond it we accept enum names, ids in base64 of the exact length, and the shapes JavaScript leaves behind when it prints a
Buffer or a Long, because clients send all of them.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

MAX_INT64, MIN_INT64, MAX_UINT64, MAX_UINT32 = 2**63 - 1, -(2**63), 2**64 - 1, 2**32 - 1

_BASE64_LENGTHS = {24: "==", 12: "="}
"""Length of a base64 id (16 and 8 bytes) -> its padding. Hex of these lengths ends in a digit, so the two cannot be confused."""

_DECIMAL = re.compile(r"-?\d+")


def text(value: Any) -> str:
    """A string."""
    if type(value) is not str:
        raise TypeError("is not a string")
    return value


def flag(value: Any) -> bool:
    """true or false."""
    if type(value) is not bool:
        raise TypeError("is not a boolean")
    return value


def id_bytes(value: Any) -> bytes:
    """Bytes of a trace or span id; whether there are as many as there should be is not asked here."""
    if type(value) is not str:
        return _bytes_of_list(value)
    padding = _BASE64_LENGTHS.get(len(value))
    if padding and value.endswith(padding):
        return octets(value)
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise ValueError("is not hex") from None


def _bytes_of_list(value: Any) -> bytes:
    """`[1, 2]` or what JSON.stringify makes of a Node Buffer, `{"type": "Buffer", "data": [1, 2]}`."""
    numbers = value.get("data") if isinstance(value, dict) else value
    if not isinstance(numbers, list):
        raise TypeError("is not hex")
    return bytes(numbers)


def octets(value: Any) -> bytes:
    """base64, of either alphabet, padded or not."""
    data = text(value).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
    except binascii.Error:
        raise ValueError("is not base64") from None


def whole(value: Any) -> int:
    """An integer of any size, written as a number, as text, or as the halves of a JavaScript Long."""
    if type(value) is int:
        return value
    if type(value) is str and _DECIMAL.fullmatch(value):
        return int(value)
    if type(value) is float and value.is_integer():
        return int(value)
    if isinstance(value, dict) and type(value.get("low")) is int and type(value.get("high")) is int:
        bits: int = (value["high"] & MAX_UINT32) << 32 | value["low"] & MAX_UINT32
        return bits if value.get("unsigned") or bits <= MAX_INT64 else bits - 2**64
    raise ValueError("is not a whole number")


def nanoseconds(value: Any) -> int:
    """A time; out of range means the nearest that can be written."""
    return min(max(whole(value), 0), MAX_UINT64)


def count(value: Any) -> int:
    """A 32-bit number without sign; out of range means the nearest."""
    return min(max(whole(value), 0), MAX_UINT32)


def double(value: Any) -> float:
    """A number, or text: digits, `NaN`, `Infinity`, `-Infinity`."""
    if type(value) is float:
        return value
    if type(value) not in (int, str):
        raise TypeError("is not a number")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except ValueError:
        raise ValueError("is not a number") from None


def enum(values: Iterable[tuple[str, int]], prefix: str) -> Callable[[Any], int]:
    """Reads the values of an enum: the number, the number as text, the name with or without its prefix."""
    known = dict(values)
    known |= {name.removeprefix(prefix): number for name, number in known.items()}

    def read(value: Any) -> int:
        if type(value) is int:
            return value
        number = known.get(value.upper()) if type(value) is str else None
        return whole(value) if number is None else number

    return read

"""JSON text and plain text that every store takes: compact, UTF-8, no lone surrogates, no NUL."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import msgspec

from openfuse_collector.events.depth import flattened, is_deep, may_be_deep

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def clean(text: str) -> str:
    """The text with NUL and lone surrogates replaced by U+FFFD: SQLite cuts at one, UTF-8 has no room for the other."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return _UNSTORABLE.sub("�", text)
    return text.replace("\0", "�") if "\0" in text else text


def cleaned(value: Any) -> Any:
    """A JSON value with every string and key in it clean."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {cleaned(key): cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(item) for item in value]
    return value


def json_text(value: Any) -> str:
    """Compact JSON, characters beyond ASCII as they are (full-text search reads them), clean."""
    try:
        encoded = _encode(value)
    except UnicodeEncodeError:
        encoded = _encode(cleaned(value))
    if b"\\u0000" in encoded:
        encoded = _encode(cleaned(value))
    return encoded.decode()


def plain_text(value: Any) -> str:
    """A string as it is, anything else as JSON: how Langfuse stores input, output and metadata values."""
    return value if type(value) is str else json_text(value)


def parse_json(text: str) -> Any:
    """The value of a JSON text, what is nested too deeply in it as text.

    Raises ValueError for anything JavaScript's parser would refuse.
    """
    try:
        value = decoded(text)
        if not (may_be_deep(text) and is_deep(value)):
            return value
    except RecursionError:
        pass
    return decoded(flattened(text))


def decoded(text: str) -> Any:
    """The value of a JSON text; numbers beyond what a double holds are infinite, integers only where they have more digits than
    Python converts.

    Raises ValueError for anything JavaScript's parser would refuse, RecursionError.
    """
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        # Lone surrogates, as JavaScript writes them, and numbers of any size are fine for the standard library only.
        return json.loads(text, parse_int=integer, parse_constant=_refuse)


def integer(digits: str) -> int | float:
    """The integer written so, as a double where it has more digits than Python converts (`sys.get_int_max_str_digits`)."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def parsed(value: Any) -> Any:
    """JSON text as the value it stands for; other text, and anything else, as it is."""
    if type(value) is not str:
        return value
    try:
        return parse_json(value)
    except ValueError:
        return value


def parsed_or_none(value: Any) -> Any:
    """JSON text as the value it stands for, other text as None; anything else as it is."""
    if type(value) is not str:
        return value
    try:
        return parse_json(value)
    except ValueError:
        return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")

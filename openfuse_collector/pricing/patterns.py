"""Postgres regular expressions (`~`) as Python ones: the dialect model patterns and usage patterns are written in.

Both engines agree on what price tables use. Translated is what means something else or nothing in Python: `$`, which would
also match before a final newline, the word edges `\\m \\M \\y \\Y`, and classes such as `[[:digit:]]`.
"""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\]|\$", re.DOTALL)
_CLASS = re.compile(r"\[:(\w+):\]")
_ESCAPES = {r"\m": r"\b(?=\w)", r"\M": r"\b(?<=\w)", r"\y": r"\b", r"\Y": r"\B"}
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "digit": r"\d",
    "space": r"\s",
    "word": r"\w",
    "lower": "a-z",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
}


@lru_cache(maxsize=4096)
def compiled(pattern: str, ignore_case: bool = False) -> re.Pattern[str]:
    """The pattern, to be searched for. Raises ValueError with a sentence when it is none.

    A dot takes newlines too, as in Postgres.
    """
    try:
        flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
        return re.compile(_TOKEN.sub(_translated, pattern), flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f'"{pattern}" is not a regular expression: {error}') from error


def _translated(token: re.Match[str]) -> str:
    text = token[0]
    if text == "$":
        return r"\Z"
    if text[0] == "[":
        return _CLASS.sub(_class, text)
    return _ESCAPES.get(text, text)


def _class(name: re.Match[str]) -> str:
    members = _CLASSES.get(name[1])
    if members is None:
        raise re.error(f"unknown character class {name[0]}")
    return members

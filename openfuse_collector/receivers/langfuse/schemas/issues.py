"""What is wrong with an event, in the words and the JSON shape of Langfuse's validator, so that SDKs and people recognise it.

An issue is a JSON object with at least `code`, `path` (keys and list indexes from the event down) and `message`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

Issue = dict[str, Any]
Path = tuple[str | int, ...]

SAFE_INTEGER = 2**53 - 1

ENOUGH = 20
"""Issues after which the rest of a list or map is not looked at: what is wrong takes far more room to say than to send."""

LONGEST_TEXT = 4096
"""Characters of the issues of one event, as `rendered` writes them."""

LONGEST_KEY = 100
"""Characters a path has of a key the client chose."""

_FEW = 2
"""Issues of one alternative of several: each tells by the first why it does not fit."""


class Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()
"""Stands for a key that is not there, which is not the same as null."""

_TYPES: dict[type, str] = {
    Missing: "undefined",
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def type_name(value: Any) -> str:
    """What JavaScript calls the type of a JSON value."""
    return _TYPES[type(value)]


def wrong_type(expected: str, value: Any, path: Path) -> Issue:
    """A value of another type than the schema wants."""
    message = f"Invalid input: expected {expected}, received {type_name(value)}"
    return {"expected": expected, "code": "invalid_type", "path": list(path), "message": message}


def too_long(limit: int, path: Path) -> Issue:
    """Text of more than `limit` UTF-16 units."""
    message = f"Too big: expected string to have <={limit} characters"
    return _length("too_big", "maximum", limit, path, message)


def too_short(limit: int, path: Path) -> Issue:
    """Text of fewer than `limit` UTF-16 units."""
    message = f"Too small: expected string to have >={limit} characters"
    return _length("too_small", "minimum", limit, path, message)


def fraction(value: float, path: Path) -> Issue:
    """A number that is not whole where only whole ones are good."""
    issue = wrong_type("int", value, path)
    return {"expected": issue.pop("expected"), "format": "safeint", **issue}


def unsafe_integer(value: float, path: Path) -> Issue:
    """A whole number JavaScript cannot hold exactly."""
    code, kind, limit = ("too_big", "maximum", SAFE_INTEGER) if value > 0 else ("too_small", "minimum", -SAFE_INTEGER)
    sentence = f"Too big: expected int to be <={limit}" if value > 0 else f"Too small: expected int to be >={limit}"
    return {
        "code": code,
        kind: limit,
        "note": "Integers must be within the safe integer range.",
        "origin": "int",
        "inclusive": True,
        "path": list(path),
        "message": sentence,
    }


def not_a_timestamp(pattern: str, path: Path) -> Issue:
    """Text that is no ISO-8601 date and time with a zone."""
    return {
        "origin": "string",
        "code": "invalid_format",
        "format": "datetime",
        "pattern": f"/{pattern}/",
        "path": list(path),
        "message": "Invalid ISO datetime",
    }


def not_an_option(options: Sequence[str], path: Path) -> Issue:
    """A value that is none of the names allowed."""
    named = "|".join(f'"{option}"' for option in options)
    message = f"Invalid option: expected one of {named}"
    return {"code": "invalid_value", "values": list(options), "path": list(path), "message": message}


def no_alternative(errors: Sequence[Sequence[Issue]], path: Path) -> Issue:
    """A value none of several schemas takes; `errors` says what each of them misses."""
    return {
        "code": "invalid_union",
        "errors": [[*issues[:_FEW], _MORE] if len(issues) > _FEW else list(issues) for issues in errors],
        "path": list(path),
        "message": "Invalid input",
    }


def unknown_discriminator(key: str, path: Path) -> Issue:
    """The key that says which schema applies names none."""
    return {
        "code": "invalid_union",
        "errors": [],
        "note": "No matching discriminator",
        "discriminator": key,
        "path": [*path, key],
        "message": "Invalid input",
    }


def broken_rule(message: str, path: Path) -> Issue:
    """A rule that is more than types."""
    return {"code": "custom", "path": list(path), "message": message}


_MORE = broken_rule("More may be wrong than is listed here", ())


def rendered(issues: Sequence[Issue]) -> str:
    """Issues as the text Langfuse puts into `error`; where it does not list all, the last one says so."""
    listed: list[Issue] = []
    room = LONGEST_TEXT
    for issue in issues:
        room -= len(_text(issue))
        if room < 0:
            break
        listed.append(issue)
    return _text(listed if len(listed) == len(issues) < ENOUGH else [*listed, _MORE])


def sentence(issue: Issue) -> str:
    """One issue in one line: where, and what."""
    where = ".".join(str(step) for step in issue["path"])
    return f"{where}: {issue['message']}" if where else str(issue["message"])


def _text(value: Issue | list[Issue]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _length(code: str, kind: str, limit: int, path: Path, message: str) -> Issue:
    return {"origin": "string", "code": code, kind: limit, "inclusive": True, "path": list(path), "message": message}

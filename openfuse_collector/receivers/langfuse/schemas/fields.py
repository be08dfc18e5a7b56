"""The kinds of fields event bodies have: which JSON values pass as they are, and what is made of the others.

A field lists the Python types it takes without a look (`plain`); for every other value its `parse` decides. So the common
case costs one dictionary look-up and one set membership per key.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from math import inf, isfinite
from typing import Any, Final, NamedTuple

from openfuse_collector.mapping.environment import DEFAULT, normal_environment
from openfuse_collector.receivers.langfuse.schemas.issues import (
    ENOUGH,
    LONGEST_KEY,
    MISSING,
    SAFE_INTEGER,
    Issue,
    Path,
    broken_rule,
    fraction,
    no_alternative,
    not_a_timestamp,
    not_an_option,
    too_long,
    too_short,
    unsafe_integer,
    wrong_type,
)

Parse = Callable[[Any, Path, list[Issue]], Any]
"""(value or MISSING, path, issues) -> the value to keep, or DROP. Appends an issue when the event is to be refused."""

DROP: Final[Any] = object()
"""Result of a parse that leaves the key out."""

Types = frozenset[type]
NULL: Types = frozenset((type(None),))
JSON: Types = frozenset((str, int, float, bool, type(None), dict, list))
TEXT: Types = frozenset((str,))

LONGEST_ID = 800
_LARGEST_DOUBLE = int(sys.float_info.max)


class Field(NamedTuple):
    """How one key of an object is read."""

    plain: Types
    """Types whose values are kept as they are."""
    parse: Parse
    """For values of every other type."""
    needed: bool = False
    """Whether `parse` is asked, with MISSING, when the key is not there."""


def utf16_length(text: str) -> int:
    """The length JavaScript gives a string: characters beyond U+FFFF count twice."""
    return len(text) if text.isascii() else len(text) + sum(character > "\uffff" for character in text)


def _never(value: Any, path: Path, issues: list[Issue]) -> Any:
    raise AssertionError("every JSON type is plain")


def wanted(expected: str) -> Parse:
    """A parse that takes nothing."""

    def parse(value: Any, path: Path, issues: list[Issue]) -> Any:
        issues.append(wrong_type(expected, value, path))
        return DROP

    return parse


def text(least: int = 0, most: int | None = None) -> Parse:
    """Text of so many UTF-16 units."""

    def parse(value: Any, path: Path, issues: list[Issue]) -> Any:
        if type(value) is not str:
            issues.append(wrong_type("string", value, path))
            return DROP
        if len(value) < least:
            issues.append(too_short(least, path))
        if most is not None and len(value) * 2 > most and utf16_length(value) > most:
            issues.append(too_long(most, path))
        return value

    return parse


_bounded_id = text(least=1, most=LONGEST_ID)


def identifier(value: Any, path: Path, issues: list[Issue]) -> Any:
    """An id: 1 to 800 UTF-16 units, no carriage return."""
    if type(value) is str and 0 < len(value) <= LONGEST_ID // 2 and "\r" not in value:
        return value
    kept = _bounded_id(value, path, issues)
    if type(value) is str and "\r" in value:
        issues.append(broken_rule("ID cannot contain carriage return characters", path))
    return kept


_DATE = (
    r"(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29"
    r"|\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|(?:02)-(?:0[1-9]|1\d|2[0-8])))"
)
_HOUR_MINUTE = r"(?:[01]\d|2[0-3]):[0-5]\d"
_PATTERN = rf"^{_DATE}T(?:{_HOUR_MINUTE}(?::[0-5]\d(?:\.\d+)?)?(?:Z|([+-]{_HOUR_MINUTE})))$"
"""As Langfuse's validator has it, who quotes it to the sender."""
_TIMESTAMP = re.compile(_PATTERN, re.ASCII)


def is_timestamp(value: str) -> bool:
    """Whether text is an ISO-8601 date and time with a zone, as Langfuse wants; seconds and their fraction may be left out."""
    return _TIMESTAMP.fullmatch(value) is not None


def timestamp(value: Any, path: Path, issues: list[Issue]) -> Any:
    """A timestamp, kept as written: every digit counts for the order of events."""
    if type(value) is not str:
        issues.append(wrong_type("string", value, path))
        return DROP
    if _TIMESTAMP.fullmatch(value) is None:
        issues.append(not_a_timestamp(_PATTERN, path))
    return value


def number(value: Any, path: Path, issues: list[Issue]) -> Any:
    """A finite number; an integer JavaScript cannot hold exactly becomes the nearest double, as it does there."""
    if type(value) is int and not -SAFE_INTEGER <= value <= SAFE_INTEGER:
        value = float(value) if -_LARGEST_DOUBLE <= value <= _LARGEST_DOUBLE else inf
    if type(value) is int or (type(value) is float and isfinite(value)):
        return value
    issues.append(wrong_type("number", value, path))
    return DROP


def integer(value: Any, path: Path, issues: list[Issue]) -> Any:
    """A whole number JavaScript holds exactly; `2.0` is one."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int:
        if -SAFE_INTEGER <= value <= SAFE_INTEGER:
            return value
        issues.append(unsafe_integer(value, path))
    else:
        issues.append(fraction(value, path) if type(value) is float else wrong_type("number", value, path))
    return DROP


def option(*names: str) -> Parse:
    """One of the names, in this spelling."""
    known = frozenset(names)

    def parse(value: Any, path: Path, issues: list[Issue]) -> Any:
        if type(value) is str and value in known:
            return value
        issues.append(not_an_option(names, path))
        return DROP

    return parse


def list_of_text(value: Any, path: Path, issues: list[Issue]) -> Any:
    """A list of strings."""
    if type(value) is not list:
        issues.append(wrong_type("array", value, path))
        return DROP
    for index, item in enumerate(value):
        if type(item) is not str:
            issues.append(wrong_type("string", item, (*path, index)))
            if len(issues) >= ENOUGH:
                break
    return value


def map_of_text(value: Any, path: Path, issues: list[Issue]) -> Any:
    """A map of strings."""
    if type(value) is not dict:
        issues.append(wrong_type("record", value, path))
        return DROP
    for key, item in value.items():
        if type(item) is not str:
            issues.append(wrong_type("string", item, (*path, key[:LONGEST_KEY])))
            if len(issues) >= ENOUGH:
                break
    return value


def boolean(value: Any, path: Path, issues: list[Issue]) -> Any:
    """True or false, nothing that could pass for it."""
    if type(value) is bool:
        return value
    issues.append(wrong_type("boolean", value, path))
    return DROP


def one_of(*alternatives: Parse) -> Parse:
    """What any of several schemas takes."""

    def parse(value: Any, path: Path, issues: list[Issue]) -> Any:
        errors: list[list[Issue]] = []
        for alternative in alternatives:
            found: list[Issue] = []
            kept = alternative(value, (), found)
            if not found:
                return kept
            errors.append(found)
        issues.append(no_alternative(errors, path))
        return DROP

    return parse


def map_of(plain: Types, parse: Parse) -> Parse:
    """A map whose values are of the types in `plain`, or taken by `parse`."""

    def parse_map(value: Any, path: Path, issues: list[Issue]) -> Any:
        if type(value) is not dict:
            issues.append(wrong_type("record", value, path))
            return DROP
        kept = {}
        for key, item in value.items():
            kept[key] = item if type(item) in plain else parse(item, (*path, key[:LONGEST_KEY]), issues)
            if len(issues) >= ENOUGH:
                break
        return kept

    return parse_map


def environment(value: Any, path: Path, issues: list[Issue]) -> Any:
    """The environment in Langfuse's normal form, `default` for whatever has none; never an issue."""
    return normal_environment(value) if type(value) is str else DEFAULT


def fallback(default: Any, parse: Parse) -> Parse:
    """`default` for a key that is not there."""
    return lambda value, path, issues: default if value is MISSING else parse(value, path, issues)


ANYTHING = Field(JSON, _never)
OPTIONAL_TEXT = Field(TEXT | NULL, wanted("string"))
OPTIONAL_ID = Field(NULL, identifier)
OPTIONAL_TIME = Field(NULL, timestamp)
OPTIONAL_NUMBER = Field(NULL, number)
OPTIONAL_INTEGER = Field(NULL, integer)
ENVIRONMENT = Field(frozenset(), environment, needed=True)

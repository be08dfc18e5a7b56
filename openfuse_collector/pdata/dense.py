"""Requests that become many times their size in memory: an empty span has two bytes, its message two hundred.

What is in a body is counted before it is decoded. Small bodies are passed over: whatever is in them, they stay small enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from openfuse_collector.config.types import MIB
from openfuse_collector.pdata.errors import TooManyError
from openfuse_collector.pdata.forms import Form
from openfuse_collector.pdata.wire import Shape, lengths, shape_of

SMALL = MIB
"""Bytes of a body that is decoded without a look at it."""
MODEST = 8 * MIB
"""Bytes of a body of which only spans or log records are counted, not what is in them: a look costs a microsecond a field."""
MOST_ITEMS = 100_000
"""Spans or log records. A body of 64 MiB, the most there is by default, has some 45,000 of ordinary size."""
MOST_GROUPS = 100_000
"""Resources and scopes, which are gone over one by one also where there is nothing in them."""
MOST_FIELDS = 5_000_000
"""Length-delimited fields of protobuf; an attribute takes four. They become about 60 bytes each."""
MOST_VALUES = 8_000_000
"""Values of JSON, about; they become about 36 bytes each,"""
MOST_CONTAINERS = 2_000_000
"""but objects and lists 80, be they empty, and everything that looks for garbage has to look at each of them."""

_DEEPEST = 100
"""Levels that are looked into: beyond, no parser takes the message."""
_LOW = bytes(range(32))
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def check_items(count: int, form: Form) -> None:
    """Raises TooManyError where a request has so many spans or log records."""
    if count > MOST_ITEMS:
        raise TooManyError(MOST_ITEMS, form.noun)


def check_groups(count: int) -> None:
    """Raises TooManyError where a request has so many resources and scopes."""
    if count > MOST_GROUPS:
        raise TooManyError(MOST_GROUPS, "resources and scopes")


def check_protobuf(body: bytes, form: Form) -> None:
    """Before an export is decoded. Raises TooManyError, and WireError for some of what is malformed."""
    if len(body) <= SMALL:
        return
    shape = shape_of(form.request.DESCRIPTOR)
    check_items(_count(body, shape, items=True), form)
    if len(body) > MODEST and _may_have(MOST_FIELDS, body):
        _count(body, shape, items=False)


def check_json(body: bytes) -> None:
    """Before it is parsed. Raises TooManyError."""
    if len(body) > SMALL:
        for count, most, what in (
            (_values, MOST_VALUES, "values"),
            (_containers, MOST_CONTAINERS, "objects and lists"),
        ):
            if count(body) > most and count(_STRING.sub(b'""', body)) > most:
                raise TooManyError(most, f"JSON {what}")


def _may_have(fields: int, body: bytes) -> bool:
    """Whether there can be so many, without a look at each.

    A field of less than 32 bytes has a byte below 32 as its length, and in OTLP one of two tags that nest is below 32. What has
    neither is long and beside others that are: it does not become many times its size.
    """
    pieces = (body[start : start + MIB] for start in range(0, len(body), MIB))
    return 3 * sum(len(piece) - len(piece.translate(None, _LOW)) for piece in pieces) > fields


def _count(body: bytes, shape: Shape, *, items: bool) -> int:
    """The number of spans or log records; those are not walked into with `items`. Ends at what is too many.

    Raises TooManyError for anything else there is too much of.
    """
    found = groups = 0
    for fields, nested in enumerate(_walk(body, shape, items=items)):
        if nested is not None:
            found += nested.is_item
            groups += nested.is_group
        if found > MOST_ITEMS or groups > MOST_GROUPS:
            break
        if fields >= MOST_FIELDS:
            raise TooManyError(MOST_FIELDS, "fields")
    check_groups(groups)
    return found


def _walk(body: bytes, shape: Shape, *, items: bool) -> Iterator[Shape | None]:
    """Every field, in the order of the bytes: the shape of those that are messages."""
    levels = [(lengths(body, 0, len(body)), shape)]
    while levels:
        fields, shape = levels[-1]
        for _, number, start, end in fields:
            nested = shape.messages.get(number)
            yield nested
            if nested is not None and len(levels) <= _DEEPEST and not (items and nested.is_item):
                levels.append((lengths(body, start, end), nested))
                break
        else:
            levels.pop()


def _values(text: bytes) -> int:
    """About how many there are: objects, lists, strings, and what commas divide."""
    return _containers(text) + text.count(b",") + text.count(b'"') // 2


def _containers(text: bytes) -> int:
    return text.count(b"{") + text.count(b"[")

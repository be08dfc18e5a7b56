"""Repair of protobuf bytes the parser refuses: invalid UTF-8 in strings becomes U+FFFD, items nested too deep are left out.

Works on the wire format, field by field, guided by tables made from the message descriptors. Only requests that failed to
parse come here, so this costs nothing in the normal case. Spans and log records are first given to the parser in groups: only
those of a group it refuses are walked. Everything else about the bytes stays as it was, unknown fields too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from openfuse_collector.pdata.wire import Field, Shape, WireError, framed, lengths, shape_of

MAX_DEPTH = 100
"""Message levels protobuf parsers accept, the request itself not counted."""

GROUP = 32
"""Fields of a scope that are given to the parser at a time."""


class Repaired(NamedTuple):
    """Bytes that parse, as far as strings and depth are concerned."""

    body: bytes
    strings: int
    """Strings in which something was replaced."""
    too_deep: int
    """Spans or log records left out because they nest deeper than any parser accepts."""


def repair(body: bytes, request: type[Any]) -> Repaired:
    """An export of this message type with its strings repaired. Raises WireError where the bytes are malformed or truncated."""
    walk = _Walk(body, request)
    fixed = walk.message(0, len(body), shape_of(request.DESCRIPTOR), MAX_DEPTH)
    return Repaired(body if fixed is None else fixed, walk.strings, walk.too_deep)


class _TooDeepError(WireError):
    """Ends at the span it is in, if it is in one."""


class _Walk:
    """One pass over a request."""

    def __init__(self, data: bytes, request: type[Any]) -> None:
        self._data = data
        self._request = request
        self.strings = 0
        self.too_deep = 0

    def message(self, start: int, end: int, shape: Shape, room: int) -> bytes | None:
        """The message in `data[start:end]` with its strings repaired, None when nothing had to be done."""
        if room < 0:
            raise _TooDeepError
        data, strings, messages = self._data, shape.strings, shape.messages
        pieces: list[bytes] = []
        kept = start  # everything before it is in `pieces`
        fields = lengths(self._data, start, end)
        for begin, number, content, stop in self._refused(list(fields), shape.path) if shape.path else fields:
            if number in strings:
                raw = data[content:stop]
                replaced = None if raw.isascii() else self._string(number, raw)
            elif number in messages:
                replaced = self._nested(number, content, stop, messages[number], room - 1)
            else:
                continue
            if replaced is not None:
                pieces += (data[kept:begin], replaced)
                kept = stop
        if not pieces:
            return None
        pieces.append(data[kept:end])
        return b"".join(pieces)

    def _nested(self, number: int, start: int, stop: int, shape: Shape, room: int) -> bytes | None:
        """A message field written anew, nothing when it is left out, None when it may stay."""
        strings = self.strings
        try:
            fixed = self.message(start, stop, shape, room)
        except _TooDeepError:
            if not shape.is_item:
                raise
            self.strings = strings
            self.too_deep += 1
            return b""
        return None if fixed is None else framed(number, fixed)

    def _string(self, number: int, raw: bytes) -> bytes | None:
        """A string field written anew, None when it may stay."""
        try:
            raw.decode()
        except UnicodeDecodeError:
            self.strings += 1
            return framed(number, raw.decode(errors="replace").encode())
        return None

    def _refused(self, fields: list[Field], path: tuple[int, ...]) -> Iterator[Field]:
        """Those fields of a message at `path` that are in groups the parser refuses."""
        for first in range(0, len(fields), GROUP):
            group = fields[first : first + GROUP]
            if not self._parses(self._data[group[0][0] : group[-1][3]], path):
                yield from group

    def _parses(self, fields: bytes, path: tuple[int, ...]) -> bool:
        """Whether whole fields of a message at `path` are nothing to repair, as deep as they are in the request."""
        for number in reversed(path):
            fields = framed(number, fields)
        try:
            self._request.FromString(fields)
        except DecodeError:
            return False
        return True

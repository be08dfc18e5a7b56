"""Repair of protobuf bytes the parser refuses: invalid UTF-8 in strings becomes U+FFFD, items nested too deep are left out.

Works on the wire format, field by field, guided by tables made from the message descriptors. Only requests that failed to
parse come here, so this costs nothing in the normal case. Spans and log records are first given to the parser in groups: only
those of a group it refuses are walked. Everything else about the bytes stays as it was, unknown fields too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

MAX_DEPTH = 100
"""Message levels protobuf parsers accept, the request itself not counted."""

GROUP = 32
"""Fields of a scope that are given to the parser at a time."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}


class WireError(ValueError):
    """The bytes are no protobuf message of this kind; repair is impossible."""


class Repaired(NamedTuple):
    """Bytes that parse, as far as strings and depth are concerned."""

    body: bytes
    strings: int
    """Strings in which something was replaced."""
    too_deep: int
    """Spans or log records left out because they nest deeper than any parser accepts."""


_ITEMS = frozenset((Span.DESCRIPTOR.full_name, LogRecord.DESCRIPTOR.full_name))


class Shape:
    """What has to be known of a message type: its string fields, and its message fields with their shapes."""

    def __init__(self, full_name: str) -> None:
        self.droppable = full_name in _ITEMS
        self.strings: set[int] = set()
        self.messages: dict[int, Shape] = {}
        self.path: tuple[int, ...] = ()
        """Field numbers from the request to here, where this holds spans or log records."""


def repair(body: bytes, request: type[Any]) -> Repaired:
    """An export of this message type with its strings repaired. Raises WireError where the bytes are malformed or truncated."""
    walk = _Walk(body, request)
    fixed = walk.message(0, len(body), _shape_of(request.DESCRIPTOR), MAX_DEPTH)
    return Repaired(body if fixed is None else fixed, walk.strings, walk.too_deep)


_Field = tuple[int, int, int, int]
"""Offset of the tag, field number, first content byte, end."""


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
        fields = self._lengths(start, end)
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
            if not shape.droppable:
                raise
            self.strings = strings
            self.too_deep += 1
            return b""
        return None if fixed is None else _framed(number, fixed)

    def _string(self, number: int, raw: bytes) -> bytes | None:
        """A string field written anew, None when it may stay."""
        try:
            raw.decode()
        except UnicodeDecodeError:
            self.strings += 1
            return _framed(number, raw.decode(errors="replace").encode())
        return None

    def _refused(self, fields: list[_Field], path: tuple[int, ...]) -> Iterator[_Field]:
        """Those fields of a message at `path` that are in groups the parser refuses."""
        for first in range(0, len(fields), GROUP):
            group = fields[first : first + GROUP]
            if not self._parses(self._data[group[0][0] : group[-1][3]], path):
                yield from group

    def _parses(self, fields: bytes, path: tuple[int, ...]) -> bool:
        """Whether whole fields of a message at `path` are nothing to repair, as deep as they are in the request."""
        for number in reversed(path):
            fields = _framed(number, fields)
        try:
            self._request.FromString(fields)
        except DecodeError:
            return False
        return True

    def _lengths(self, start: int, end: int) -> Iterator[_Field]:
        """Every length-delimited field. Tags and lengths of one byte, nearly all there are, are read in place."""
        data, position = self._data, start
        while position < end:
            begin = position
            tag = data[begin]
            position += 1
            if tag > 0x7F:
                tag, position = self._read_varint(begin, end)
            wire = tag & 7
            if wire == _LENGTH:
                size = data[position] if position < end else 0x80
                position += 1
                if size > 0x7F:
                    size, position = self._read_varint(position - 1, end)
                content, position = position, position + size
                if position <= end:
                    yield begin, tag >> 3, content, position
            elif wire == _VARINT:
                position = self._read_varint(position, end)[1]
            elif wire in _FIXED:
                position += _FIXED[wire]
            else:
                raise WireError(f"wire type {wire}")
            if position > end:
                raise WireError("a field is longer than what holds it")

    def _read_varint(self, position: int, end: int) -> tuple[int, int]:
        """A number of at most 64 bits, and the offset behind it."""
        value = 0
        for shift in range(0, 70, 7):
            if position >= end:
                raise WireError("truncated")
            byte = self._data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
        raise WireError("a number has more than ten bytes")


def _framed(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return b"".join((_varint(number << 3 | _LENGTH), _varint(len(content)), content))


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _shape(descriptor: Descriptor, made: dict[str, Shape]) -> Shape:
    """The shape of a message type; `made` ends the recursion of values within values."""
    shape = made.get(descriptor.full_name)
    if shape is None:
        shape = made[descriptor.full_name] = Shape(descriptor.full_name)
        for field in descriptor.fields:
            if field.type == FieldDescriptor.TYPE_STRING:
                shape.strings.add(field.number)
            elif field.message_type is not None:
                shape.messages[field.number] = _shape(field.message_type, made)
    return shape


@cache
def _shape_of(descriptor: Descriptor) -> Shape:
    root = _shape(descriptor, {})
    _mark(root, ())
    return root


def _mark(shape: Shape, path: tuple[int, ...]) -> None:
    """Find what holds spans or log records: two levels below an export."""
    if any(nested.droppable for nested in shape.messages.values()):
        shape.path = path
    elif len(path) < 2:
        for number, nested in shape.messages.items():
            _mark(nested, (*path, number))

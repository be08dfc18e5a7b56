"""Repair of protobuf bytes the parser refuses: invalid UTF-8 in strings becomes U+FFFD, items nested too deep are left out.

Works on the wire format, field by field, guided by tables made from the message descriptors. Only requests that failed to
parse come here, so this costs nothing in the normal case. Everything else about the bytes stays as it was, unknown fields too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

MAX_DEPTH = 100
"""Message levels protobuf parsers accept, the request itself not counted."""

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


def repair(body: bytes, request: type[Any]) -> Repaired:
    """An export of this message type with its strings repaired. Raises WireError where the bytes are malformed or truncated."""
    walk = _Walk(body)
    fixed = walk.message(0, len(body), _shape_of(request.DESCRIPTOR), MAX_DEPTH)
    return Repaired(body if fixed is None else fixed, walk.strings, walk.too_deep)


class _TooDeepError(WireError):
    """Ends at the span it is in, if it is in one."""


class _Walk:
    """One pass over a request."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.strings = 0
        self.too_deep = 0

    def message(self, start: int, end: int, shape: Shape, room: int) -> bytes | None:
        """The message in `data[start:end]` with its strings repaired, None when nothing had to be done."""
        if room < 0:
            raise _TooDeepError
        pieces: list[bytes] = []
        kept = start  # everything before it is in `pieces`
        for begin, number, content, stop in self._lengths(start, end):
            replaced = self._field(number, content, stop, shape, room)
            if replaced is not None:
                pieces += (self._data[kept:begin], replaced)
                kept = stop
        if not pieces:
            return None
        pieces.append(self._data[kept:end])
        return b"".join(pieces)

    def _field(self, number: int, content: int, stop: int, shape: Shape, room: int) -> bytes | None:
        """A length-delimited field written anew with its tag, nothing when it is left out, None when it may stay."""
        if number in shape.strings:
            fixed = self._string(content, stop)
        elif nested := shape.messages.get(number):
            strings = self.strings
            try:
                fixed = self.message(content, stop, nested, room - 1)
            except _TooDeepError:
                if not nested.droppable:
                    raise
                self.strings = strings
                self.too_deep += 1
                return b""
        else:
            return None
        return None if fixed is None else _varint(number << 3 | _LENGTH) + _varint(len(fixed)) + fixed

    def _string(self, start: int, stop: int) -> bytes | None:
        raw = self._data[start:stop]
        try:
            raw.decode()
        except UnicodeDecodeError:
            self.strings += 1
            return raw.decode(errors="replace").encode()
        return None

    def _lengths(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """(offset of the tag, field number, first content byte, end) of every length-delimited field."""
        position = start
        while position < end:
            begin = position
            tag, position = self._read_varint(position, end)
            wire = tag & 7
            if wire == _LENGTH:
                size, content = self._read_varint(position, end)
                position = content + size
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
    return _shape(descriptor, {})

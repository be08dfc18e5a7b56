"""The wire format of protobuf, read without making messages: fields of known message types, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_ITEMS = frozenset(kind.DESCRIPTOR.full_name for kind in (Span, LogRecord))
_GROUPS = frozenset(kind.DESCRIPTOR.full_name for kind in (ResourceSpans, ScopeSpans, ResourceLogs, ScopeLogs))

Field = tuple[int, int, int, int]
"""Offset of the tag, field number, first content byte, end."""


class WireError(ValueError):
    """The bytes are no protobuf message of this kind."""


class Shape:
    """What has to be known of a message type: its string fields, and its message fields with their shapes."""

    def __init__(self, full_name: str) -> None:
        self.is_item = full_name in _ITEMS
        """Whether it is a span or a log record."""
        self.is_group = full_name in _GROUPS
        """Whether it is what holds those of a resource or a scope."""
        self.strings: set[int] = set()
        self.messages: dict[int, Shape] = {}
        self.path: tuple[int, ...] = ()
        """Field numbers from the request to here, where this holds spans or log records."""


def lengths(data: bytes, start: int, end: int) -> Iterator[Field]:
    """Every length-delimited field of the message in `data[start:end]`. Raises WireError where it is malformed or truncated."""
    position = start
    while position < end:  # tags and lengths of one byte, nearly all there are, are read in place
        begin = position
        tag = data[begin]
        position += 1
        if tag > 0x7F:
            tag, position = _read_varint(data, begin, end)
        wire = tag & 7
        if wire == _LENGTH:
            size = data[position] if position < end else 0x80
            position += 1
            if size > 0x7F:
                size, position = _read_varint(data, position - 1, end)
            content, position = position, position + size
            if position <= end:
                yield begin, tag >> 3, content, position
        elif wire == _VARINT:
            position = _read_varint(data, position, end)[1]
        elif wire in _FIXED:
            position += _FIXED[wire]
        else:
            raise WireError(f"wire type {wire}")
        if position > end:
            raise WireError("a field is longer than what holds it")


def _read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A number of at most 64 bits, and the offset behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise WireError("truncated")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise WireError("a number has more than ten bytes")


def framed(number: int, content: bytes) -> bytes:
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
def shape_of(descriptor: Descriptor) -> Shape:
    """The shape of an export's message type, and of all below it."""
    root = _shape(descriptor, {})
    _mark(root, ())
    return root


def _mark(shape: Shape, path: tuple[int, ...]) -> None:
    """Find what holds spans or log records: two levels below an export."""
    if any(nested.is_item for nested in shape.messages.values()):
        shape.path = path
    elif len(path) < 2:
        for number, nested in shape.messages.items():
            _mark(nested, (*path, number))

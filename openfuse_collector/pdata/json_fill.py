"""Fills protobuf messages from decoded OTLP/JSON objects, guided by tables of fields; attributes have a fast way of their own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from openfuse_collector.pdata import json_values as read
from openfuse_collector.pdata.utf8 import MAX_DEPTH

ROOM = MAX_DEPTH - 10
"""Message levels left for the value of an attribute: what is nested deeper could be written but never be parsed again."""

Notes = Counter[str]
"""Sentence -> how often: what was left out or understood in another way than it was written."""

Part = Callable[[Notes, Any, Any], None]
"""Sets a part of a message that is more than one scalar from its JSON value."""


class UnreadableError(Exception):
    """Something that costs the span or log record, or all of those, it belongs to. The text says what and why."""


class Table:
    """How the keys of one JSON object become fields of its message."""

    def __init__(
        self,
        name: str,
        scalars: dict[str, tuple[str, Callable[[Any], Any]]],
        parts: dict[str, Part],
        optional: Iterable[str] = (),
        elsewhere: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.scalars = scalars
        """JSON key -> (field, reader of its value)."""
        self.parts = parts
        self.optional = frozenset(optional)
        """Keys whose value is left out when it cannot be read; any other costs the span."""
        self.keys = frozenset((*scalars, *parts, *elsewhere))
        """Every key OTLP has here, those that are read elsewhere included."""


def fill(notes: Notes, made: Any, source: Any, table: Table) -> None:
    """Set the fields of a message from an object. Raises UnreadableError with the key at fault."""
    if type(source) is not dict:
        raise UnreadableError(f"{table.name} is not an object")
    scalars, parts = table.scalars, table.parts
    for key, value in source.items():
        if value is None:
            continue
        try:
            if (scalar := scalars.get(key)) is not None:
                setattr(made, scalar[0], scalar[1](value))
            elif (part := parts.get(key)) is not None:
                part(notes, made, value)
            elif "_" in key:
                hint_at_case(notes, key, table.keys)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            if key not in table.optional:
                raise UnreadableError(f"{table.name} {key} {_reason(error)}") from None
            notes[f"{table.name} {key} {_reason(error)} and was left out"] += 1


def hint_at_case(notes: Notes, key: str, keys: Iterable[str]) -> None:
    """Note a key that would be one of `keys` in lowerCamelCase: OTLP has it ignored, and the data vanishes."""
    camel = re.sub("_([a-z])", lambda match: match[1].upper(), key)
    if camel != key and camel in keys:
        notes[f"{key} was ignored: OTLP/JSON writes {camel}"] += 1


def attributes(notes: Notes, made: Any, pairs: Any) -> None:
    """Append `[{key, value}]` to the attributes of a message. Text, the usual case, is dealt with on the spot."""
    if type(pairs) is not list:
        raise TypeError("is not a list")
    add = made.attributes.add
    for pair in pairs:
        if pair is None:
            continue
        entry = add()
        if (key := pair.get("key")) is not None:
            entry.key = key
        if (value := pair.get("value")) is None:
            continue
        content = value.get("stringValue")
        if content is not None and len(value) == 1:
            entry.value.string_value = content
        else:
            any_value(notes, entry.value, value, ROOM)


def any_value(notes: Notes, made: AnyValue, source: Any, room: int) -> None:
    """Set an AnyValue from its object. An empty object, or one with nulls only, is a value that is not set."""
    if room < 0:
        raise ValueError("is nested too deep")
    if source is None:
        return
    for key, value in source.items():
        if value is not None and (setter := VALUES.get(key)) is not None:
            setter(notes, made, value, room)


def one(field: str, table: Table) -> Part:
    """A message field."""

    def part(notes: Notes, made: Any, value: Any) -> None:
        nested = getattr(made, field)
        nested.SetInParent()  # an empty object is there all the same
        fill(notes, nested, value, table)

    return part


def many(field: str, table: Table) -> Part:
    """A repeated message field."""

    def part(notes: Notes, made: Any, value: Any) -> None:
        if type(value) is not list:
            raise TypeError("is not a list")
        add = getattr(made, field).add
        for element in value:
            if element is not None:
                fill(notes, add(), element, table)

    return part


def value(field: str) -> Part:
    """A field that is an AnyValue."""

    def part(notes: Notes, made: Any, source: Any) -> None:
        any_value(notes, getattr(made, field), source, ROOM)

    return part


def _string(notes: Notes, made: AnyValue, value: Any, room: int) -> None:
    made.string_value = read.text(value)


def _bool(notes: Notes, made: AnyValue, value: Any, room: int) -> None:
    made.bool_value = read.flag(value)


def _int(notes: Notes, made: AnyValue, value: Any, room: int) -> None:
    """What is no 64-bit integer stays as near to what was written as possible: a double, or text."""
    try:
        number = value if type(value) is float else read.whole(value)
    except ValueError:
        made.string_value = read.text(value)
        notes["an intValue that is no number was kept as text"] += 1
        return
    if read.MIN_INT64 <= number <= read.MAX_INT64 and number == int(number):
        made.int_value = int(number)
    else:
        made.double_value = read.double(number)


def _double(notes: Notes, made: AnyValue, value: Any, room: int) -> None:
    made.double_value = read.double(value)


def _bytes(notes: Notes, made: AnyValue, value: Any, room: int) -> None:
    made.bytes_value = read.octets(value)


def _array(notes: Notes, made: AnyValue, value: Any, room: int) -> None:
    made.array_value.SetInParent()
    add = made.array_value.values.add
    for element in value.get("values") or ():
        any_value(notes, add(), element, room - 2)


def _kvlist(notes: Notes, made: AnyValue, value: Any, room: int) -> None:
    made.kvlist_value.SetInParent()
    add = made.kvlist_value.values.add
    for pair in value.get("values") or ():
        if pair is not None:
            entry = add()
            entry.key = pair.get("key") or ""
            any_value(notes, entry.value, pair.get("value"), room - 3)


VALUES: dict[str, Callable[[Notes, AnyValue, Any, int], None]] = {
    "stringValue": _string,
    "boolValue": _bool,
    "intValue": _int,
    "doubleValue": _double,
    "arrayValue": _array,
    "kvlistValue": _kvlist,
    "bytesValue": _bytes,
}
"""Key of an AnyValue -> how it is set. `room` is the number of message levels left."""


def _reason(error: Exception) -> str:
    """Our own sentences begin with `is`; what Python and protobuf say names no more than a C function."""
    sentence = str(error)
    if sentence.startswith("is "):
        return sentence
    return "cannot be read" if isinstance(error, ValueError | OverflowError) else "is of the wrong type"

"""OTLP attribute lists as plain Python maps.

Better than Langfuse, which keeps key-value lists and bytes as OTLP JSON text and rounds 64-bit integers
(deviations 1 and 2 of the mapping): lists of pairs become maps, bytes base64 text, integers stay exact.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Attribute pairs as a map; of a repeated key the last value counts."""
    found: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        # Nearly every value is text or a count: asking for these is cheaper than asking what there is.
        found[pair.key] = value.string_value or value.int_value or plain(value)
    return found


def plain(value: AnyValue) -> Any:
    """The value as None, str, bool, int, float, list or dict; floats that JSON lacks become their names."""
    kind = value.WhichOneof("value")
    return None if kind is None else _READERS[kind](value)


def _float(value: AnyValue) -> float | int | str:
    number = value.double_value
    if math.isfinite(number):
        # One kind of number in JSON: 2.0 is written 2, as Langfuse does.
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


_READERS: dict[str, Callable[[AnyValue], Any]] = {
    "string_value": lambda value: value.string_value,
    "bool_value": lambda value: value.bool_value,
    "int_value": lambda value: value.int_value,
    "double_value": _float,
    "array_value": lambda value: [item.string_value or plain(item) for item in value.array_value.values],
    "kvlist_value": lambda value: attributes_of(value.kvlist_value.values),
    "bytes_value": lambda value: base64.b64encode(value.bytes_value).decode("ascii"),
}

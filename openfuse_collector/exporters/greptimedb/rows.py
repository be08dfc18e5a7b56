"""Rows as the ingester takes them: lists in the order of the table's columns, each value of exactly the type of its column.

The client (greptimedb-ingester) checks every value and refuses a whole call for one it does not like, so what could be of another
type is converted here. A number that its column cannot hold becomes NULL there: the JSON column beside it still has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Context, Decimal, InvalidOperation
from functools import cache
from math import isfinite
from operator import itemgetter
from typing import Any

from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.depth import flattened, may_be_deep
from openfuse_collector.events.text import clean, json_text
from openfuse_collector.exporters.greptimedb.schema import TABLES
from openfuse_collector.signals import Origin, RawSpan

Row = list[Any]

_COSTS = Context(prec=38)
_PICO = Decimal("1E-12")
_INT32, _INT64 = 1 << 31, 1 << 63
_LEVELS = 127
"""Maps and lists in each other that the client parses (serde_json)."""
_LONG_NUMBER = re.compile(r"\d{309}")
"""What no double holds has so many digits at least, in JSON as this project writes it."""


def decimal(value: Any) -> Decimal | None:
    """A cost in US dollars with twelve decimal places, None for what does not fit into DECIMAL(38, 12)."""
    try:
        exact = Decimal(repr(value) if type(value) is float else value).quantize(_PICO, context=_COSTS)
    except (InvalidOperation, TypeError, ValueError):
        return None
    return exact if exact.is_finite() else None


def double(value: Any) -> float | None:
    """A finite number."""
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if isfinite(number) else None


def _integer(bound: int) -> Callable[[Any], int | None]:
    def integer(value: Any) -> int | None:
        if type(value) is not int:
            if type(value) is not float or not isfinite(value):
                return None
            value = round(value)
        return value if -bound <= value < bound else None

    return integer


def any_json(text: str) -> str:
    """JSON as the client can parse it: what nests too deeply is text; null are numbers beyond a double, as JavaScript writes them."""
    if may_be_deep(text, _LEVELS):
        text = flattened(text, _LEVELS)
    return json_text(json.loads(text, parse_int=_within_double)) if _LONG_NUMBER.search(text) else text


def _within_double(digits: str) -> int | None:
    return int(digits) if isfinite(float(digits)) else None


_CONVERT: Mapping[str, Callable[[Any], Any]] = {
    "DECIMAL(38, 12)": decimal,
    "DOUBLE": double,
    "BIGINT": _integer(_INT64),
    "INT": _integer(_INT32),
    "BOOLEAN": bool,
}
"""Column type -> conversion of a value that is not None. Text and times are what they should be."""
_CONVERT_COLUMN: Mapping[str, Callable[[Any], Any]] = {"model_parameters": any_json}
"""The same for JSON that does not consist of texts, or of numbers receivers have bounded."""


@cache
def _plan(entity_type: str) -> tuple[Callable[[Mapping[str, Any]], tuple[Any, ...]], tuple[tuple[int, Any], ...]]:
    columns = TABLES[PROJECTIONS[entity_type]].columns
    converted = (
        (at, _CONVERT_COLUMN.get(column.name) or _CONVERT.get(column.type)) for at, column in enumerate(columns)
    )
    return itemgetter(*(column.name for column in columns)), tuple(pair for pair in converted if pair[1] is not None)


def projection_row(entity_type: str, values: Mapping[str, Any]) -> Row:
    """A row of the projector as a row of the projection."""
    get, conversions = _plan(entity_type)
    made = list(get(values))
    for at, convert in conversions:
        value = made[at]
        if value is not None:
            made[at] = convert(value)
    return made


def raw_span_row(origin: Origin, span: RawSpan) -> Row:
    """A kept span as a row of `openfuse_raw_spans`."""
    return [
        origin.received_at // 1_000_000,
        clean(origin.project_id),
        clean(span.trace_id),
        span.source,
        span.span_id,
        span.start_time,
        origin.received_at,
        origin.receiver,
        origin.public_key,
        clean(origin.sdk_name),
        clean(origin.sdk_version),
        span.payload,
    ]


def chunks(rows: Iterable[Sequence[Any]], max_rows: int, max_bytes: int) -> Iterable[list[Sequence[Any]]]:
    """Rows in calls of at most so many rows and bytes of text; a single row may be larger."""
    chunk: list[Sequence[Any]] = []
    size = 0
    for row in rows:
        weight = sum([len(value) for value in row if type(value) is str or type(value) is bytes])
        if chunk and (len(chunk) == max_rows or size + weight > max_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += weight
    if chunk:
        yield chunk

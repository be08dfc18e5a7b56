"""GreptimeDB's SQL functions as sqlite functions, over the values as the double keeps them (timestamps in milliseconds)."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tests.greptimedb_double import literals
from tests.greptimedb_double.datatypes import INTEGER_RANGES, of_declaration


def canonical_json(text: str) -> str:
    """JSON as the server gives it back: keys sorted, no blanks. Raises ValueError for what is no JSON."""
    return msgspec.json.encode(msgspec.json.decode(text), order="sorted").decode()


def cast(value: Any, declared: str) -> Any:
    """CAST(value AS type), the type given by its declaration. Raises ValueError where the server refuses the value."""
    kind = of_declaration(declared)
    if value is None or kind is None:
        return None
    if kind.unit is not None:
        return _timestamp(value, kind.unit)
    if kind.name in INTEGER_RANGES:
        return _integer(value, kind.name)
    if kind.name in ("Float32", "Float64"):
        return float(value)
    if kind.name == "Decimal":
        return _decimal(value, kind.scale)
    if kind.name == "Boolean":
        return int(value if not isinstance(value, str) else {"true": 1, "false": 0}[value.lower()])
    if kind.name == "Json":
        return canonical_json(value)
    return value if isinstance(value, str | bytes) and kind.name in ("String", "Binary") else str(value)


def _timestamp(value: Any, unit: int) -> int:
    found = literals.timestamp(value, unit) if isinstance(value, str) else int(value)
    if found is None:
        raise ValueError(f"{value!r} is no timestamp")
    return found


def _integer(value: Any, name: str) -> int:
    number = int(value)
    if number not in INTEGER_RANGES[name]:
        raise ValueError(f"{value!r} is out of range for {name}")
    return number


def _decimal(value: Any, scale: int) -> str:
    try:
        return f"{Decimal(str(value)):.{scale}f}"
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is no decimal") from error


def _json_get(value: str | None, path: str, accept: Callable[[Any], Any]) -> Any:
    if value is None:
        return None
    found: Any = json.loads(value)
    for step in re.findall(r"[^.\[\]$\"]+", path):
        if isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            return None
    return accept(found)


def _text(found: Any) -> str | None:
    return found if found is None or isinstance(found, str) else json.dumps(found, separators=(",", ":"))


def _number(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def accept(found: Any) -> Any:
        return convert(found) if isinstance(found, int | float) else None

    return accept


def matches_term(text: str | None, term: str) -> bool | None:
    """Whether the term occurs as a whole word, letters and digits being what words are made of."""
    if text is None:
        return None
    return re.search(rf"(?<![^\W_]){re.escape(term)}(?![^\W_])", text) is not None


def _date_bin(span: int, value: int | None, origin: int = 0) -> int | None:
    return None if value is None else origin + (value - origin) // span * span


_TRUNCATED = {
    "year": {"month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0},
    "month": {"day": 1, "hour": 0, "minute": 0, "second": 0},
    "week": {"hour": 0, "minute": 0, "second": 0},
    "day": {"hour": 0, "minute": 0, "second": 0},
    "hour": {"minute": 0, "second": 0},
    "minute": {"second": 0},
    "second": {},
}


def _date_trunc(part: str, value: int | None) -> int | None:
    if value is None:
        return None
    when = literals.moment(value).replace(microsecond=0, **_TRUNCATED[part.lower()])  # type: ignore[arg-type]
    if part.lower() == "week":
        when -= timedelta(days=when.weekday())
    return literals.milliseconds(when)


def _date_format(value: int | None, pattern: str) -> str | None:
    return None if value is None else literals.moment(value).strftime(pattern)


class _Percentile:
    """approx_percentile_cont(column, p), here exact, interpolating between neighbours."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.share = 0.5

    def step(self, value: float | None, share: float, *_: object) -> None:
        self.share = share
        if value is not None:
            self.values.append(value)

    def finalize(self) -> float | None:
        return quantile(self.values, self.share)


class _Sketch:
    """uddsketch_state(buckets, error, column): all values, as JSON text."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def step(self, _buckets: int, _error: float, value: float | None) -> None:
        if value is not None:
            self.values.append(value)

    def finalize(self) -> str:
        return json.dumps(self.values)


def quantile(values: list[float], share: float) -> float | None:
    """The value below which that share lies, None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low, high = ordered[math.floor(position)], ordered[math.ceil(position)]
    return low + (high - low) * (position - math.floor(position))


_SCALARS: dict[str, tuple[int, Callable[..., Any]]] = {
    "greptime_cast": (2, cast),
    "now": (0, lambda: time.time_ns() // 1_000_000),
    "version": (0, lambda: "8.4.2-greptimedb-1.1.4"),
    "json_to_string": (1, lambda value: value),
    "parse_json": (1, canonical_json),
    "json_get_string": (2, lambda value, path: _json_get(value, path, _text)),
    "json_get_int": (2, lambda value, path: _json_get(value, path, _number(int))),
    "json_get_float": (2, lambda value, path: _json_get(value, path, _number(float))),
    "json_get_bool": (2, lambda value, path: _json_get(value, path, lambda v: v if isinstance(v, bool) else None)),
    "json_path_exists": (2, lambda value, path: _json_get(value, path, lambda v: True) or False),
    "matches_term": (2, matches_term),
    "date_bin": (-1, _date_bin),
    "date_trunc": (2, _date_trunc),
    "date_format": (2, _date_format),
    "to_unixtime": (1, lambda value: None if value is None else value // 1000),
    "to_timestamp_millis": (1, lambda value: cast(value, "TimestampMillisecond_INTEGER")),
    "greatest": (-1, lambda *values: max((v for v in values if v is not None), default=None)),
    "least": (-1, lambda *values: min((v for v in values if v is not None), default=None)),
    "starts_with": (2, lambda text, prefix: None if text is None else text.startswith(prefix)),
    "uddsketch_calc": (2, lambda share, state: quantile(json.loads(state), share)),
}


def register(connection: sqlite3.Connection) -> None:
    """Makes them callable from SQL, and LIKE case-sensitive as it is on the server."""
    for name, (arguments, function) in _SCALARS.items():
        connection.create_function(name, arguments, function)
    connection.create_aggregate("approx_percentile_cont", -1, _Percentile)  # type: ignore[arg-type]
    connection.create_aggregate("uddsketch_state", 3, _Sketch)  # type: ignore[arg-type]
    connection.execute("PRAGMA case_sensitive_like = ON")

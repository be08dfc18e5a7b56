"""Points in time as ISO-8601 text: nanoseconds in, all nine fraction digits out."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openfuse_collector.mapping.span_view import SpanView

NANOSECONDS = 1_000_000_000
LATEST = 2**63 - 1
"""Epoch nanoseconds of the latest moment stores know, in 2262."""
_LATEST_MILLISECONDS = LATEST // 1_000_000
_PLAIN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


@lru_cache(maxsize=4096)
def _second(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso_nanoseconds(nanoseconds: int) -> str:
    """`2026-11-21T06:00:00.123456789Z` for epoch nanoseconds."""
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    return f"{_second(seconds)}.{fraction:09d}Z"


def iso_milliseconds(nanoseconds: int) -> str:
    """`2026-11-21T06:00:00.123Z`, cut off like Langfuse does."""
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    return f"{_second(seconds)}.{fraction // 1_000_000:03d}Z"


def time_of_event(span: SpanView, name: str) -> str | None:
    """When the first span event of a name happened, None when there is none or it does not say."""
    times = (event.time_unix_nano for event in span.source.events if event.name == name)
    return next((iso_milliseconds(time) for time in times if 0 < time <= LATEST), None)


def after(start: int, milliseconds: float) -> str | None:
    """The moment some milliseconds (rounded up, as Langfuse does) after a start; None when that is no moment."""
    if not 0 < milliseconds < 1e12:
        return None
    return iso_milliseconds(start + math.ceil(milliseconds) * 1_000_000)


def instant(value: Any) -> str | None:
    """ISO-8601 text with a zone, for text that is a date (UTC if it has no zone) or epoch milliseconds."""
    if isinstance(value, str):
        return _instant_of_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST_MILLISECONDS:
        return None
    return iso_milliseconds(int(value * 1_000_000))


def _instant_of_text(value: str) -> str | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if _PLAIN.fullmatch(value):
        return value
    zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return zoned.isoformat().replace("+00:00", "Z")

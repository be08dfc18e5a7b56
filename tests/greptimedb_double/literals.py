"""Times as SQL writes them: timestamp text, intervals, and conversions between units."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s*(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE
)
_INTERVAL = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([a-zA-Z]+)")
_SPANS = {
    "millisecond": 1,
    "milliseconds": 1,
    "ms": 1,
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
    "month": 2_592_000_000,
    "year": 31_557_600_000,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(text: str, unit: int) -> int | None:
    """Ticks of `unit` per second since the epoch; None where the text is no timestamp. Without a zone the text is UTC."""
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None:
        return None
    *parts, fraction, zone = match.groups()
    try:
        moment = datetime(*(int(part or 0) for part in parts), tzinfo=_zone(zone))  # type: ignore[misc,arg-type]
    except ValueError:
        return None
    nanoseconds = (moment - _EPOCH) // timedelta(seconds=1) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))
    return nanoseconds * unit // 1_000_000_000


def _zone(text: str | None) -> timezone:
    if text is None or text.upper() == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))


def interval(text: str) -> int | None:
    """Milliseconds of '1 day' or '2h30m'; months count 30 days. None where the text is no interval."""
    total, end = 0.0, 0
    while end < len(text.rstrip()):
        match = _INTERVAL.match(text, end)
        word = match[2].lower() if match else ""
        span = _SPANS.get(word) or _SPANS.get(word.rstrip("s"))
        if match is None or span is None:
            return None
        total += float(match[1]) * span
        end = match.end()
    return int(total)


def moment(milliseconds: int) -> datetime:
    """The UTC time of epoch milliseconds."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def milliseconds(when: datetime) -> int:
    """Epoch milliseconds of a UTC time."""
    return (when - _EPOCH) // timedelta(milliseconds=1)

"""The order of events within an entity, and ISO-8601 timestamps as text that sorts and as epoch milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from openfuse_collector.events.event import Event

OrderKey = tuple[str, int, int, str]
"""(instant, 0 for a create and 1 for anything else, arrival, event id)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d)?(?:[.,](\d+))?(?:Z|([+-]\d\d:?\d\d))", re.IGNORECASE)


def order_key(event: Event) -> OrderKey:
    """Where an event stands among the events of its entity. Total: event ids are unique after deduplication.

    Arrival counts for API events only, so span-derived events stand where they stand whenever they arrive.
    """
    return (
        instant(event.timestamp),
        0 if "create" in event.type else 1,
        0 if event.derived else event.ingested_at,
        event.id,
    )


def instant(timestamp: str) -> str:
    """A timestamp as UTC text without zone and trailing zeros, every written fraction digit kept: text order is time order.

    Text that is no timestamp stays as it is: the order remains total, the field that needs the time goes without.
    """
    if len(timestamp) > 19 and timestamp[-1] == "Z" and timestamp[19] in ".Z":
        return timestamp[:-1].rstrip("0").rstrip(".") if timestamp[19] == "." else timestamp[:19]
    match = _ISO.fullmatch(timestamp)
    if match is None:
        return timestamp
    minutes, seconds, fraction, offset = match.groups()
    whole = minutes.upper() + (seconds or ":00")
    if offset is not None:
        try:
            whole = datetime.fromisoformat(whole + offset).astimezone(UTC).isoformat()[:19]
        except (ValueError, OverflowError):
            return timestamp
    fraction = (fraction or "").rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def parse_millis(timestamp: str) -> int:
    """Epoch milliseconds of an ISO-8601 timestamp with zone; finer digits are cut off, also before 1970.

    Raises ValueError for anything else.
    """
    try:
        since = datetime.fromisoformat(timestamp) - _EPOCH
    except (TypeError, OverflowError) as error:
        raise ValueError(f"not a timestamp with zone: {timestamp!r}") from error
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def millis_or_none(value: object) -> int | None:
    """Epoch milliseconds of a body value, None when it is absent or no timestamp."""
    if type(value) is not str or not value:
        return None
    try:
        return parse_millis(value)
    except ValueError:
        return None

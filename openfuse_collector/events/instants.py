"""Epoch milliseconds as text. Other writers of a store may have any number for one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND


def millis_text(millis: int) -> str:
    """ISO-8601 in UTC with three digits of fraction; what is beyond the years 1 to 9999 is the first or last instant of them."""
    at = _EPOCH + min(max(millis, _FIRST), _LAST) * _MILLISECOND
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

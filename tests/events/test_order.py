"""Timestamps as sortable text and as milliseconds, and the order of events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.order import instant, millis_or_none, order_key, parse_millis

INSTANTS = [
    ("2026-01-15T12:00:00Z", "2026-01-15T12:00:00"),
    ("2026-01-15T12:00:00.000Z", "2026-01-15T12:00:00"),
    ("2026-01-15T12:00:00.1200Z", "2026-01-15T12:00:00.12"),
    ("2026-01-15T12:00:00.123456789012Z", "2026-01-15T12:00:00.123456789012"),
    ("2026-01-15T12:00Z", "2026-01-15T12:00:00"),
    ("2026-01-15T12:00:10Z", "2026-01-15T12:00:10"),
    ("2026-01-15T14:00:00.5+02:00", "2026-01-15T12:00:00.5"),
    ("2026-01-01T00:30:00.123456789+01:00", "2025-12-31T23:30:00.123456789"),
    ("2026-01-15T07:00:00-0500", "2026-01-15T12:00:00"),
    ("2026-01-15T12:00:00,5Z", "2026-01-15T12:00:00.5"),
    ("0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00+01:00"),
    ("yesterday", "yesterday"),
    ("", ""),
]


@pytest.mark.parametrize(("written", "expected"), INSTANTS)
def test_instants(written: str, expected: str) -> None:
    assert instant(written) == expected


MILLIS = [
    ("1970-01-01T00:00:00Z", 0),
    ("1970-01-01T00:00:00.0019Z", 1),
    ("1970-01-01T00:00:00.001999999999Z", 1),
    ("1969-12-31T23:59:59.9999Z", -1),
    ("1969-12-31T23:59:59.0001Z", -1000),
    ("2026-01-15T13:00:00.123456789+01:00", 1768478400123),
    ("2026-01-15T12:00Z", 1768478400000),
]


@pytest.mark.parametrize(("written", "expected"), MILLIS)
def test_millis(written: str, expected: int) -> None:
    assert parse_millis(written) == expected == millis_or_none(written)


@pytest.mark.parametrize("written", ["", "2026-01-15T12:00:00", "2026-13-15T12:00:00Z", "now", "2026-01-15T12:00:61Z"])
def test_what_is_no_timestamp(written: str) -> None:
    assert millis_or_none(written) is None
    with pytest.raises(ValueError, match=r"ime|Invalid|month|second"):
        parse_millis(written)


@pytest.mark.parametrize("value", [None, 5, True, [], {}])
def test_what_is_no_text(value: object) -> None:
    assert millis_or_none(value) is None


moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)).map(lambda at: at.replace(tzinfo=UTC))
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timedelta(minutes=minutes))


def written_with(moment: datetime, offset: timedelta) -> str:
    minutes = int(offset.total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    local = (moment + offset).replace(tzinfo=None).isoformat()
    return f"{local}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


@given(moments, moments, offsets, offsets)
def test_text_order_is_time_order_whatever_the_zone(a: datetime, b: datetime, x: timedelta, y: timedelta) -> None:
    first, second = instant(written_with(a, x)), instant(written_with(b, y))
    assert (first < second, first == second) == (a < b, a == b)
    assert parse_millis(written_with(a, x)) == parse_millis(first + "Z")


def event(id_: str, type_: str, timestamp: str, at: int, metadata: dict | None = None) -> Event:
    return Event(Entity("p", "observation", "o"), id_, type_, timestamp, {}, at, metadata)


def test_events_in_order() -> None:
    derived = {"source": "s", "mapping": 1}
    ordered: tuple[Event, ...] = (
        event("z", "span-update", "2026-01-15T11:59:59.999999999Z", 9),
        event("y", "span-create", "2026-01-15T12:00:00Z", 8, derived),
        event("x", "span-create", "2026-01-15T12:00:00.0Z", 1),
        event("a", "span-create", "2026-01-15T13:00:00+01:00", 2),
        event("b", "generation-create", "2026-01-15T12:00:00Z", 2),
        event("w", "span-update", "2026-01-15T12:00:00Z", 1),
        event("v", "span-create", "2026-01-15T12:00:00.000000001Z", 0),
    )
    backwards = list(ordered[::-1])
    assert tuple(sorted(backwards, key=order_key)) == ordered


def test_arrival_of_span_derived_events_does_not_count() -> None:
    derived = {"source": "s", "mapping": 1}
    one, other = (event("a", "span-create", "2026-01-15T12:00:00Z", at, derived) for at in (1, 2))
    assert order_key(one) == order_key(other)

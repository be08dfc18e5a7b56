"""Plain values: JavaScript's notions of truth and number, JSON, lists from flattened keys, times."""

from __future__ import annotations

from typing import Any

import pytest

from openfuse_collector.mapping.coercion import (
    BROKEN,
    meaningful,
    number,
    parse_json,
    spelled,
    text,
    truthy,
    whole_number,
)
from openfuse_collector.mapping.room import FEW_HOLES, SLOTS, Room
from openfuse_collector.mapping.timestamps import after, instant, iso_milliseconds, iso_nanoseconds
from openfuse_collector.mapping.unflatten import unflatten


@pytest.mark.parametrize(
    ("value", "is_truthy", "is_meaningful"),
    [
        (None, False, False),
        ("", False, False),
        (0, False, True),
        (0.0, False, True),
        (False, False, True),
        ([], True, False),
        ({}, True, False),
        ("0", True, True),
        ([0], True, True),
    ],
)
def test_truth(value: Any, is_truthy: bool, is_meaningful: bool) -> None:
    assert (truthy(value), meaningful(value)) == (is_truthy, is_meaningful)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        (2.0, 2),
        (2.5, 2.5),
        (True, 1),
        ("", 0),
        (" 12 ", 12),
        ("1e3", 1000),
        ("1_0", None),
        ("x", None),
        ([], None),
        (float("nan"), None),
        ("inf", None),
        (2**63 - 1, 2**63 - 1),
        pytest.param(10**300, 1e300, id="a double"),
        pytest.param(str(-(10**300)), -1e300, id="text of a double"),
        pytest.param(10**309, None, id="past every double"),
        pytest.param("9" * 5000, None, id="more digits than Python reads"),
    ],
)
def test_number(value: Any, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12 tokens", 12),
        ("-3", -3),
        ("+4.9", 4),
        (4.9, 4),
        ("x1", None),
        (True, None),
        (None, None),
        ("", None),
        pytest.param("9" * 400, None, id="past every double"),
    ],
)
def test_whole_number(value: Any, expected: int | None) -> None:
    assert whole_number(value) == expected


def test_text() -> None:
    assert [text(value) for value in ("a", 1, True, ["é", 1.5], {"a": None})] == [
        "a",
        "1",
        "true",
        '["é",1.5]',
        '{"a":null}',
    ]
    assert spelled(["a", 1, None, ["b", True]]) == "a,1,,b,true"


def test_json() -> None:
    assert parse_json("12345678901234567890123") == 12345678901234567890123
    assert parse_json("{") is BROKEN
    assert parse_json("[" * 100_000) is BROKEN
    assert parse_json("null") is None
    assert parse_json(5) == 5


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, None),
        ({"p": "whole", "p.0.a": 1}, "whole"),
        ({"p.a.b": 1, "p.a.c": 2}, {"a": {"b": 1, "c": 2}}),
        ({"p.10.a": 1, "p.2.a": 2}, [*[None] * 2, {"a": 2}, *[None] * 7, {"a": 1}]),
        ({"p.0.calls.1.name": "t"}, [{"calls": [None, {"name": "t"}]}]),
        ({"p.0": "x"}, {"0": "x"}),
        ({"p.0.a": 1, "p.word": 2}, [{"a": 1}]),
        ({"p.0.__proto__.x": 1, "p.0.a": 1}, [{"a": 1}]),
        ({"p.0.a": "x", "p.0.a.b": 1}, [{"a": {"b": 1}}]),
        ({"p_name": 1, "px.0.a": 1}, None),
        ({f"p.{SLOTS}.a": 1, "p.0.a": 2}, [{"a": 2}]),
        ({f"p.{SLOTS - 1}.a": 1}, [*[None] * (SLOTS - 1), {"a": 1}]),
        ({f"p.{number}.a": number for number in range(5000)}, [{"a": number} for number in range(5000)]),
        ({"p.99999999999999999999.a": 1}, None),
        ({"p" + ".a" * 5000: 1}, None),
    ],
)
def test_unflatten(attributes: dict[str, Any], expected: Any) -> None:
    assert unflatten(attributes, "p", Room()) == expected


def test_a_map_that_more_is_said_of_stays_what_the_span_said() -> None:
    attributes: dict[str, Any] = {"p.0.x": {"a": {"b": 1}}, "p.0.x.a.c": 2}
    assert unflatten(attributes, "p", Room()) == [{"x": {"a": {"b": 1, "c": 2}}}]
    assert attributes == {"p.0.x": {"a": {"b": 1}}, "p.0.x.a.c": 2}


def test_slots_are_counted_over_all_lists_of_a_prefix() -> None:
    half = SLOTS // 2
    attributes = {f"p.{half}.a": 1, f"p.0.b.{half - 1}.c": 2, f"p.0.d.{half}.e": 3}
    built = unflatten(attributes, "p", Room())
    assert len(built) == half + 1
    assert built[0].keys() == {"b"}


def test_holes_are_counted_over_all_prefixes_of_a_request() -> None:
    room = Room()
    most, few = {f"p.{SLOTS - 1}.a": 1}, {f"p.{FEW_HOLES}.a": 1}
    nested = {"p.60.calls.60.name": "t", "p.61.a": 1}
    assert len(unflatten(most, "p", room)) == SLOTS
    assert unflatten(most, "p", room) == [{"a": 1}]
    assert unflatten(nested, "p", room) == [{"calls": [{"name": "t"}]}, {"a": 1}]
    assert len(unflatten(few, "p", room)) == FEW_HOLES + 1, "few of them cost nothing"


def test_times() -> None:
    assert iso_nanoseconds(1_795_000_000_000_000_009) == "2026-11-18T11:06:40.000000009Z"
    assert iso_nanoseconds(2**64 - 1) == "2554-07-21T23:34:33.709551615Z"
    assert iso_milliseconds(1_795_000_000_999_999_999) == "2026-11-18T11:06:40.999Z"
    assert after(1_795_000_000_000_000_000, 0.2) == "2026-11-18T11:06:40.001Z"
    assert after(0, float("inf")) is None
    assert instant("2026-11-18") == "2026-11-18T00:00:00Z"
    assert instant("20261118T110640+0200") == "2026-11-18T11:06:40+02:00"
    assert instant("2026-11-18T11:06:40.123456789Z") == "2026-11-18T11:06:40.123456789Z"
    assert instant(-1) is None

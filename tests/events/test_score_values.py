"""Typing of score values, and scores through the fold."""

from __future__ import annotations

from typing import Any

import pytest

from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.score import typed_value

VALUES: list[tuple[dict[str, Any], tuple[Any, ...] | None]] = [
    ({"value": 0.85, "dataType": "NUMERIC"}, ("NUMERIC", 0.85, None, "")),
    ({"value": 1}, ("NUMERIC", 1, None, "")),
    ({"value": "good"}, ("CATEGORICAL", 0, "good", "")),
    ({"value": "", "dataType": "CATEGORICAL"}, ("CATEGORICAL", 0, "", "")),
    ({"value": 1, "dataType": "BOOLEAN"}, ("BOOLEAN", 1, "True", "")),
    ({"value": 0, "dataType": "BOOLEAN"}, ("BOOLEAN", 0, "False", "")),
    ({"value": "hello", "dataType": "TEXT"}, ("TEXT", 0, "hello", "")),
    ({"value": "fixed", "dataType": "CORRECTION"}, ("CORRECTION", 0, None, "fixed")),
    ({"value": 3, "dataType": "CATEGORICAL", "stringValue": "good"}, ("CATEGORICAL", 3, "good", "")),
    ({"value": 2, "dataType": "BOOLEAN"}, None),
    ({"value": True}, None),
    ({"value": float("nan")}, None),
    ({"value": "x", "dataType": "NUMERIC"}, None),
    ({"value": 1, "dataType": "TEXT"}, None),
    ({"value": 1, "dataType": ["NUMERIC"]}, None),
    ({}, None),
]


@pytest.mark.parametrize(("body", "expected"), VALUES)
def test_values(body: dict[str, Any], expected: tuple[Any, ...] | None) -> None:
    made = typed_value(body)
    columns = ("data_type", "value", "string_value", "long_string_value")
    assert (None if made is None else tuple(made[column] for column in columns)) == expected


def score(n: int, type_: str = "score-create", **body: Any) -> Event:
    at = f"2026-01-15T12:00:0{n}Z"
    return Event(Entity("p", "score", "s"), f"ev{n}", type_, at, {"id": "s", "name": "n", **body}, 1000 + n)


def test_the_value_of_one_event_never_meets_the_type_of_another() -> None:
    record = Accumulator.of([score(1, value=1, dataType="BOOLEAN"), score(2, value="good")]).record()
    assert record is not None
    assert (record["data_type"], record["value"], record["string_value"]) == ("CATEGORICAL", 0, "good")


def test_a_score_that_does_not_fit_is_passed_over() -> None:
    bad, good = score(2, value="x", dataType="NUMERIC", comment="bad"), score(1, value=1)
    assert Accumulator.of([bad]).record() is None
    record = Accumulator.of([bad, good]).record()
    assert record is not None and (record["value"], record["comment"], record["updated_at"]) == (1, None, 1002)


def test_snapshots_keep_their_own_times() -> None:
    first = score(
        1, "score-snapshot", value=0.1, createdAt="1970-01-01T00:00:00.005Z", timestamp="1970-01-01T00:00:01Z"
    )
    second = score(2, "score-snapshot", value=0.9, createdAt="1970-01-01T00:00:00.009Z", authorUserId="u")
    record = Accumulator.of([second, first]).record()
    assert record is not None
    assert (record["value"], record["created_at"], record["timestamp"]) == (0.9, 5, 1000)
    assert (record["author_user_id"], record["updated_at"]) == ("u", 1002)

"""Reading raw events whoever wrote them: what JavaScript writes is read, and what nobody can read says so instead of raising."""

from __future__ import annotations

import json

import pytest

from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.event import TOMBSTONE, UNREADABLE, Entity, decode_envelope, encode_envelope
from openfuse_collector.store.deletion import erased
from openfuse_collector.store.horizon import OPEN, is_alive
from tests.builders import RECEIVED_AT

TRACE = Entity("default", "trace", "t1")
NOW = RECEIVED_AT // 1_000_000
ENVELOPE = {"id": "x1", "timestamp": "2026-11-21T06:00:01.000Z", "type": "trace-create"}


def test_half_a_surrogate_pair_is_read_as_a_replacement_character() -> None:
    said = {
        **ENVELOPE,
        "body": {"id": "t1", "name": "cut \ud83d", "metadata": {"key \ude00": ["\ud83d!", "whole \U0001f600"]}},
    }
    event = decode_envelope(TRACE, json.dumps(said), NOW)
    assert event.body["name"] == "cut �"
    assert event.body["metadata"] == {"key �": ["�!", "whole \U0001f600"]}
    encode_envelope(event)  # UTF-8 has room for all of it
    record = Accumulator.of([event]).record()
    assert record is not None
    assert record["name"] == "cut �"


def test_a_body_nested_without_end_is_read() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    text = json.dumps({**ENVELOPE, "body": {"id": "t1", "name": "n", "input": 0}}).replace("0}}", deep + "}}")
    event = decode_envelope(TRACE, text, NOW)
    record = Accumulator.of([event]).record()
    assert record is not None
    assert record["name"] == "n"


def test_a_tombstone_of_openfuse_is_read() -> None:
    event = decode_envelope(TRACE, '{"id":"t1","deletedAt":"2026-11-21T06:00:00Z"}', NOW)
    assert (event.type, event.timestamp, event.id) == (TOMBSTONE, "2026-11-21T06:00:00Z", f"tombstone-t1-{NOW}")


UNREAD = {
    "nothing": ("", "malformed|Expecting value"),
    "cut": ('{"id":"x1","time', "Unterminated string"),
    "no map": ("[1]", "Expected `object`, got `array`"),
    "no event": ('{"id":"x1"}', "missing required field `type`"),
    "a body that is none": (json.dumps({**ENVELOPE, "body": "secret"}), r"Expected `object`, got `str` - at `\$.body`"),
    "a time that is none": (json.dumps({**ENVELOPE, "timestamp": 12345, "body": {}}), r"at `\$.timestamp`"),
    "no number": (json.dumps({**ENVELOPE, "body": {"value": float("nan")}}), "NaN is not JSON"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_nobody_can_read_costs_the_fold_of_its_entity_and_says_why(name: str) -> None:
    text, reason = UNREAD[name]
    event = decode_envelope(TRACE, text, NOW)
    assert (event.type, event.ingested_at) == (UNREADABLE, NOW)
    with pytest.raises(ValueError, match=f"raw event received at 20.*Z cannot be read: .*({reason})") as caught:
        Accumulator.of([decode_envelope(TRACE, json.dumps({**ENVELOPE, "body": {"id": "t1"}}), NOW), event])
    assert "secret" not in str(caught.value)


def test_whether_an_entity_is_there_to_be_deleted_is_told_by_what_can_be_read() -> None:
    readable = decode_envelope(TRACE, json.dumps({**ENVELOPE, "body": {"id": "t1"}}), NOW)
    gone = decode_envelope(TRACE, '{"id":"t1","deletedAt":"2026-11-21T06:00:00Z"}', NOW + 2)
    unreadable = decode_envelope(TRACE, "", NOW + 1)
    assert is_alive([readable, unreadable], OPEN)
    assert not is_alive([readable, unreadable, gone], OPEN)
    assert not is_alive([unreadable], OPEN)


def test_what_could_not_be_read_is_readable_once_it_is_erased() -> None:
    event = decode_envelope(TRACE, "", NOW)
    again = decode_envelope(TRACE, encode_envelope(erased(event)).decode(), NOW)
    assert again.type == "trace-update"
    assert Accumulator.of([again]).record() is not None

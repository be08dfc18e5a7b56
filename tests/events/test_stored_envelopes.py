"""Reading raw events whoever wrote them: what JavaScript writes is read, and what nobody can read says so instead of raising."""

from __future__ import annotations

import itertools
import json

import pytest

from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.event import TOMBSTONE, UNREADABLE, Entity, Event, decode_envelope, encode_envelope
from openfuse_collector.store.deletion import erased, tombstone
from openfuse_collector.store.horizon import OPEN, Horizon, is_alive, record_within
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
    said = decode_envelope(TRACE, json.dumps({**ENVELOPE, "body": {"id": "t1"}}), NOW)
    with pytest.raises(ValueError, match=f"raw event received at 20.*Z cannot be read: .*({reason})") as caught:
        Accumulator.of([said, event]).record()
    assert "secret" not in str(caught.value)


TIMES = {
    NOW + 1: "2026-11-18T11:06:40.001Z",
    -1: "1969-12-31T23:59:59.999Z",
    253_402_300_799_999: "9999-12-31T23:59:59.999Z",
    253_402_300_800_000: "9999-12-31T23:59:59.999Z",
    2**63 - 1: "9999-12-31T23:59:59.999Z",
    -62_135_596_800_000: "0001-01-01T00:00:00.000Z",
    -(2**63): "0001-01-01T00:00:00.000Z",
}


@pytest.mark.parametrize("ingested_at", TIMES)
def test_what_nobody_can_read_may_have_been_received_at_any_time(ingested_at: int) -> None:
    event = decode_envelope(TRACE, "", ingested_at)
    assert (event.type, event.timestamp, event.ingested_at) == (UNREADABLE, TIMES[ingested_at], ingested_at)
    buried = tombstone(TRACE, [event], ingested_at)
    assert (buried.ingested_at, buried.timestamp) == (ingested_at, TIMES[ingested_at])


def known(number: int, metadata: dict | None = None) -> Event:
    return decode_envelope(
        TRACE, json.dumps({**ENVELOPE, "id": f"x{number}", "body": {"id": "t1"}, "metadata": metadata}), NOW + number
    )


def gone(number: int) -> Event:
    return decode_envelope(TRACE, '{"id":"t1","deletedAt":"2026-11-21T06:00:00Z"}', NOW + number)


def unread(number: int) -> Event:
    return decode_envelope(TRACE, "", NOW + number)


DELETED = {
    "nothing else": ([unread(1), gone(1)], OPEN),
    "something else": ([known(0), unread(1), unread(0), gone(1)], OPEN),
    "sent once more": (
        [known(0, {"source": "s", "mapping": 1}), unread(1), gone(1), known(2, {"source": "s", "mapping": 2})],
        OPEN,
    ),
    "the project": ([known(2), unread(1)], Horizon(deleted=NOW + 2)),
    "the project, nothing else": ([unread(2)], Horizon(deleted=NOW + 2)),
    "expired": ([known(1), unread(2)], Horizon(expired=NOW + 2)),
    "expired, nothing else": ([unread(2)], Horizon(expired=NOW + 2)),
}
UNKNOWN = {
    "nothing else": ([unread(1)], OPEN),
    "newer than the tombstone": ([known(0), gone(1), unread(2)], OPEN),
    "something newer than the tombstone": ([unread(0), gone(1), known(2)], OPEN),
    "a remark newer than the tombstone": (
        [unread(0), gone(1), known(2, {"source": "s", "mapping": 1, "remark": True})],
        OPEN,
    ),
    "newer than the project": ([known(0), unread(3)], Horizon(deleted=NOW + 2)),
    "something newer than the project": ([known(3), unread(1)], Horizon(deleted=NOW + 2)),
    "not all of it expired": ([known(3), unread(1)], Horizon(expired=NOW + 2)),
    "not expired": ([known(1), unread(3)], Horizon(expired=NOW + 2)),
}


@pytest.mark.parametrize("name", DELETED)
def test_what_is_deleted_whatever_nobody_can_read_has_no_row(name: str) -> None:
    events, horizon = DELETED[name]
    for order in itertools.permutations(events):
        assert record_within(Accumulator.of(order), horizon) is None


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_may_be_there_or_not_cannot_be_folded(name: str) -> None:
    events, horizon = UNKNOWN[name]
    for order in itertools.permutations(events):
        with pytest.raises(ValueError, match="cannot be read"):
            record_within(Accumulator.of(order), horizon)


def test_whether_an_entity_is_there_to_be_deleted_is_told_by_what_can_be_read() -> None:
    assert is_alive([known(0), unread(1)], OPEN)
    assert not is_alive([known(0), unread(1), gone(2)], OPEN)
    assert not is_alive([unread(1)], OPEN)


def test_what_could_not_be_read_is_readable_once_it_is_erased() -> None:
    event = decode_envelope(TRACE, "", NOW)
    again = decode_envelope(TRACE, encode_envelope(erased(event)).decode(), NOW)
    assert again.type == "trace-update"
    assert Accumulator.of([again]).record() is not None

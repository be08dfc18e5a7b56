"""Values nested deeper than any stack: cut at one depth, kept as text, folded and written like any other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.enrich import enrich
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.depth import DEEPEST, flattened, is_deep
from openfuse_collector.events.event import Entity, Event, decode_envelope
from openfuse_collector.events.rows import raw_row, row
from openfuse_collector.events.text import json_text, parse_json, parsed
from openfuse_collector.mapping.coercion import BROKEN
from openfuse_collector.mapping.coercion import parse_json as parsed_by_mapping
from tests.mapping.span_requests import observation

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


def nested(depth: int, inner: str = "1") -> str:
    """Maps and lists in turn, with brackets and quotes in keys."""
    opened = "".join('{"[\\"{":' if level % 2 else "[0," for level in range(depth))
    return opened + inner + "".join("}" if level % 2 else "]" for level in reversed(range(depth)))


def depth_of(value: Any) -> int:
    """Levels of a value."""
    levels = 0
    while isinstance(value, dict | list):
        value, levels = (value[-1] if isinstance(value, list) else next(iter(value.values()))), levels + 1
    return levels


@given(JSON)
def test_ordinary_values_are_as_they_are(value: Any) -> None:
    text = json_text(value)
    assert flattened(text) == text
    assert not is_deep(value)


@pytest.mark.parametrize("depth", [DEEPEST, DEEPEST + 1, 950, 1001, 40_000])
@pytest.mark.parametrize("parse", [parse_json, parsed_by_mapping])
def test_the_depth_of_what_is_read_has_a_bound(parse: Any, depth: int) -> None:
    value = parse(f'{{"kept": 1, "deep": {nested(depth - 1)}}}')
    assert value["kept"] == 1
    assert 1 + depth_of(value["deep"]) == min(depth, DEEPEST)
    assert is_deep(value) is False


def test_nothing_of_the_deep_part_is_lost() -> None:
    value = parse_json(nested(DEEPEST + 3))
    for _ in range(DEEPEST):
        value = value[-1] if isinstance(value, list) else next(iter(value.values()))
    assert json.loads(value) == json.loads(nested(3))


@pytest.mark.parametrize("broken", ["[" * 5000, '{"a":' * 5000 + "1", "[" * 5000 + "]" * 4999, "]" * 900 + "[" * 900])
def test_broken_text_is_broken_however_deep(broken: str) -> None:
    assert parsed_by_mapping(broken) is BROKEN
    with pytest.raises(ValueError):
        parse_json(broken)


UNENDING = "[" * 1100 + '"' + '\\"' * 2_000_000
"""Too deep for any parser, then a string without an end and with quotes in it: looked through anew from each, hours of work."""


@pytest.mark.parametrize("start", [UNENDING, '{"a":' * 1100 + UNENDING, UNENDING + "\\", UNENDING + "]" * 1100])
def test_a_string_without_an_end_is_read_once(start: str) -> None:
    assert parsed_by_mapping(start) is BROKEN
    assert parsed(start) is start


def stored(events: list[Event]) -> dict[str, Any]:
    """The row of an observation, by way of its raw events."""
    rows = [raw_row(event) for event in events]
    again = [decode_envelope(event.entity, raw[7], raw[0]) for event, raw in zip(events, rows, strict=True)]
    accumulator = Accumulator.of(again)
    assert accumulator.size > 0
    record = accumulator.record()
    assert record is not None
    return dict(row("observation", enrich("observation", record)))


@pytest.mark.parametrize("depth", [300, 600, 950, 5000])
@pytest.mark.parametrize(
    "key",
    [
        "langfuse.observation.metadata",
        "langfuse.observation.metadata.k",
        "input.value",
        "gen_ai.input.messages",
        "gen_ai.tool.definitions",
        "langfuse.observation.usage_details",
        "langfuse.observation.model.parameters",
        "mlflow.spanInputs",
        "events",
    ],
)
def test_a_span_with_deep_json_is_stored(key: str, depth: int) -> None:
    deep = f'{{"plain": 1, "deep": {nested(depth)}}}'
    event = observation({key: deep, "gen_ai.system_instructions": "x", "gen_ai.request.model": "m"})
    update = Event(
        event.entity, "late", "span-update", event.timestamp, {"id": event.entity.id, "metadata": {"b": 1}}, 9
    )
    kept = stored([event, update])
    assert kept["provided_model_name"] == "m"
    assert json.loads(kept["metadata"])["b"] == "1"


def test_a_span_with_a_string_without_an_end_is_stored() -> None:
    kept = stored([observation({"langfuse.observation.metadata": UNENDING, "gen_ai.request.model": "m"})])
    assert kept["provided_model_name"] == "m"
    assert json.loads(kept["metadata"])["mapping_notes"] == '["langfuse.observation.metadata: not JSON"]'


def test_deep_metadata_keeps_what_lies_beside_it() -> None:
    event = observation({"langfuse.observation.metadata": f'{{"plain": "p", "deep": {nested(3000)}}}'})
    metadata = json.loads(stored([event])["metadata"])
    assert metadata["plain"] == "p"
    assert metadata["deep"].count("[0,") + metadata["deep"].count("{") >= 3000
    assert "mapping_notes" not in metadata


@pytest.mark.parametrize("depth", [150, DEEPEST - 10])
def test_an_api_event_as_deep_as_they_come_is_stored(depth: int) -> None:
    """What the receiver lets through never reaches the end of a stack, alone or merged with others."""
    entity = Entity("p", "observation", "o")
    body = {
        "id": "o",
        "traceId": "t",
        "metadata": {"deep": json.loads(nested(depth))},
        "input": json.loads(nested(depth)),
    }
    moment = "2026-11-21T06:00:00.000Z"
    events = [Event(entity, name, "span-create", moment, body, at) for at, name in enumerate(("a", "b"))]
    kept = stored(events)
    assert json.loads(kept["input"]) == body["input"]
    assert json.loads(json.loads(kept["metadata"])["deep"]) == body["metadata"]["deep"]

"""Metadata of observations, and tool definitions on their way from there into the input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openfuse_collector.enrich.tool_definitions import move_tools
from tests.mapping.span_requests import mapped, observation, span, trace

TOOL = {"name": "lookup", "description": "d"}
OPENAI = {"type": "function", "function": {"name": "lookup"}}


@pytest.mark.parametrize(
    ("attributes", "entries"),
    [
        ({"langfuse.observation.metadata": '{"a":1}'}, {"a": 1}),
        ({"langfuse.observation.metadata": '["x"]'}, {"0": "x"}),
        ({"langfuse.observation.metadata": '{"a":1}', "langfuse.observation.metadata.a": "dotted"}, {"a": "dotted"}),
        ({"langfuse.metadata": '{"a":1}', "langfuse.metadata.b.c": True}, {"a": 1, "b.c": True}),
        ({"langfuse.observation.metadata": '{"a":1}', "langfuse.metadata": '{"z":1}'}, {"a": 1}),
        ({"ai.telemetry.metadata.plan": "pro", "ai.telemetry.metadata.userId": "u"}, {"plan": "pro"}),
        ({"langfuse.observation.metadata": "5"}, {}),
    ],
)
def test_written_metadata(attributes: dict[str, Any], entries: dict[str, Any]) -> None:
    metadata = observation(attributes, scope="langfuse-sdk").body["metadata"]
    for key in ("resourceAttributes", "scope", "mapping_notes"):
        metadata.pop(key, None)
    assert metadata == entries


def test_metadata_that_is_no_map_is_noted_once() -> None:
    attributes = {"langfuse.metadata": "{broken", "langfuse.trace.metadata": "5"}
    assert sorted(observation(attributes).body["metadata"]["mapping_notes"]) == [
        "langfuse.metadata: not JSON",
        "langfuse.trace.metadata: not an object",
    ]


@pytest.mark.parametrize("item, is_read", [("[]", False), ("1", False), ('"a longer text"', True)])
def test_metadata_of_little_but_commas_is_read_while_there_is_room(
    monkeypatch: pytest.MonkeyPatch, item: str, is_read: bool
) -> None:
    """Fifteen megabytes of empty lists are five million lists, and as many keys."""
    key, text = "langfuse.observation.metadata", "[" + ",".join([item] * 100) + "]"
    monkeypatch.setattr("openfuse_collector.mapping.room.MOST_VALUES", sum(map(text.count, "[{,")))
    spans = (span({key: text}, span_id=f"{number:016x}") for number in (1, 2))
    events = mapped(*spans, scope="langfuse-sdk").events
    first, second = (one.body["metadata"] for one in events if one.entity.type == "observation")
    assert "99" in first
    if is_read:
        assert second == first
    else:
        assert "99" not in second
        assert second["mapping_notes"] == [f"{key}: not read, the request has too many values"]


def test_attributes_are_text_and_content_is_left_out() -> None:
    attributes = {
        "int": 9_007_199_254_740_993,
        "float": 2.0,
        "small": 1e-7,
        "bool": True,
        "list": ["a", 1, 2.5],
        "map": {"a": {"b": b"\x01\x02"}},
        "nan": float("nan"),
        "unset": None,
        "input.value": "content",
        "gen_ai.prompt.0.content": "content",
        "ai.telemetry.metadata.x": "metadata",
        "langfuse.metadata.y": "metadata",
    }
    assert observation(attributes).body["metadata"]["attributes"] == {
        "int": "9007199254740993",
        "float": "2",
        "small": "1e-7",
        "bool": "true",
        "list": '["a",1,2.5]',
        "map": '{"a":{"b":"AQI="}}',
        "nan": "NaN",
        "unset": "null",
        "langfuse.metadata.y": "metadata",
    }


def test_resource_and_scope_keep_their_types() -> None:
    metadata = observation(scope_version="1.0", resource={"n": 1, "l": [True]}).body["metadata"]
    assert metadata["resourceAttributes"] == {"n": 1, "l": [True]}
    assert metadata["scope"] == {"name": "test-scope", "version": "1.0", "attributes": {}}


@pytest.mark.parametrize(
    ("content", "merged"),
    [
        (None, {"tools": [TOOL]}),
        ([1], {"messages": [1], "tools": [TOOL]}),
        ('[{"role":"user"}]', {"messages": [{"role": "user"}], "tools": [TOOL]}),
        ({"a": 1}, {"a": 1, "tools": [TOOL]}),
        ({"tools": [{"name": "own"}]}, {"tools": [{"name": "own"}, TOOL]}),
        ({"tools": [OPENAI]}, {"tools": [OPENAI]}),
        ("plain", {"prompt": "plain", "tools": [TOOL]}),
        ("5", None),
        ({"tools": "none"}, None),
        ({"tools": [{"no": "name"}]}, None),
    ],
)
def test_tools_beside_the_input(content: Any, merged: Any) -> None:
    metadata = {"attributes": {"gen_ai.tool.definitions": json.dumps([TOOL]), "kept": "1"}}
    assert move_tools(metadata, content) == (None if merged is None else ({"attributes": {"kept": "1"}}, merged))


@pytest.mark.parametrize(
    ("metadata", "names", "left"),
    [
        ({"tools": [TOOL], "x": 1}, ["lookup"], {"x": 1}),
        ({"attributes": {"ai.prompt.tools": json.dumps([json.dumps(TOOL), {"type": "web"}])}}, ["lookup", None], {}),
        (
            {"attributes": {"model_request_parameters": json.dumps({"function_tools": [TOOL], "mode": "a"})}},
            ["lookup"],
            {"attributes": {"model_request_parameters": '{"mode":"a"}'}},
        ),
        (
            {"attributes": {f"llm.tools.{n}.tool.json_schema": json.dumps({"name": f"t{n}"}) for n in (10, 2)}},
            ["t2", "t10"],
            {},
        ),
    ],
)
def test_where_tools_are_found(metadata: dict[str, Any], names: list[str | None], left: dict[str, Any]) -> None:
    moved = move_tools(metadata, None)
    assert moved is not None
    assert [tool.get("name") for tool in moved.input["tools"]] == names
    assert moved.metadata == left


@pytest.mark.parametrize("tools", ["{", "[1]", '[{"name":5}]', '{"name":"x"}'])
def test_what_is_no_list_of_tools_stays(tools: str) -> None:
    metadata = {"attributes": {"gen_ai.tool.definitions": tools}}
    assert move_tools(metadata, "i") is None


def test_only_the_observation_gets_the_tools() -> None:
    attributes = {"gen_ai.tool.definitions": json.dumps([TOOL]), "input.value": "i"}
    assert observation(attributes).body["input"] == {"prompt": "i", "tools": [TOOL]}
    assert trace(attributes).body["input"] == "i"
    assert "gen_ai.tool.definitions" in trace(attributes).body["metadata"]["attributes"]

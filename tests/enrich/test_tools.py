"""Tools of observations: Langfuse's recorded cases, the GenAI conventions, and that ordinary records are not parsed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "events"))
from shared_cases import cases, needs_shared

from openfuse_collector.enrich import tools as tools_module
from openfuse_collector.enrich.tool_calls import calls_in
from openfuse_collector.enrich.tool_definitions import definitions_in
from openfuse_collector.enrich.tools import extract_tools
from openfuse_collector.events.text import parse_json, plain_text


def record(input_: Any = None, output: Any = None, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    """The columns of an observation record that tools reads and writes."""
    texts = {"input": input_, "output": output}
    columns = {side: None if value is None else plain_text(value) for side, value in texts.items()}
    return {**columns, "metadata": metadata or {}, "tool_definitions": {}, "tool_calls": [], "tool_call_names": []}


def parsed(text: str | None) -> Any:
    try:
        return None if text is None else parse_json(text)
    except ValueError:
        return text


@pytest.mark.shared
@needs_shared
def test_normalised_records_are_langfuses() -> None:
    chosen = [case for case in cases("tool_extraction") if case["fn"] == "normalizeToolsForObservation"]
    assert len(chosen) >= 15
    for case in chosen:
        found, expected = extract_tools(record(*case["args"])), case["expected"]
        assert parsed(found["input"]) == parsed(plain_or_none(expected.get("input"))), case["id"]
        assert parsed(found["output"]) == parsed(plain_or_none(expected.get("output"))), case["id"]
        assert found["metadata"] == expected["metadata"], case["id"]
        assert found["tool_definitions"] == expected["toolDefinitions"], case["id"]
        assert found["tool_calls"] == expected["toolCalls"], case["id"]
        assert found["tool_call_names"] == expected["toolCallNames"], case["id"]


def plain_or_none(value: Any) -> str | None:
    return None if value is None else plain_text(value)


@pytest.mark.shared
@needs_shared
def test_extraction_is_langfuses() -> None:
    chosen = [case for case in cases("tool_extraction") if case["fn"] == "extractToolsFromObservation"]
    assert len(chosen) >= 20
    for case in chosen:
        found, expected = extract_tools(record(*case["args"])), case["expected"]
        definitions = {
            d["name"]: {"description": d.get("description", ""), "parameters": d.get("parameters", "")}
            for d in expected["toolDefinitions"]
        }
        assert {name: json.loads(text) for name, text in found["tool_definitions"].items()} == definitions, case["id"]
        calls = [
            {"id": c["id"], "arguments": c["arguments"], "type": c.get("type", ""), "index": c.get("index", 0)}
            for c in expected["toolArguments"]
        ]
        assert [json.loads(text) for text in found["tool_calls"]] == calls, case["id"]
        assert found["tool_call_names"] == [c["name"] for c in expected["toolArguments"]], case["id"]


PART = {"type": "tool_call", "id": "c1", "name": "get_weather", "arguments": {"city": "Paris"}}
SEMCONV = [
    [{"role": "assistant", "parts": [{"type": "text", "content": "hm"}, PART], "finish_reason": "tool_call"}],
    {"role": "assistant", "parts": [PART]},
    [{"index": 0, "message": {"role": "assistant", "parts": [PART]}, "finish_reason": "tool_call"}],
]


@pytest.mark.parametrize("output", SEMCONV)
def test_calls_in_parts_of_the_genai_conventions(output: Any) -> None:
    found = extract_tools(record(None, output))
    assert found["tool_call_names"] == ["get_weather"]
    expected = {"id": "c1", "arguments": '{"city":"Paris"}', "type": "tool_call", "index": 0}
    assert [json.loads(text) for text in found["tool_calls"]] == [expected]


def test_a_call_met_twice_counts_once_by_id_else_by_name_and_arguments() -> None:
    call = {"name": "f", "arguments": "{}"}
    twice = {
        "tool_calls": [{**call, "id": "1"}, call],
        "additional_kwargs": {"tool_calls": [{**call, "id": "1"}, call]},
    }
    assert [found.name for found in calls_in(twice)] == ["f", "f"]


NOT_TOOLS: list[Any] = [
    *(
        None,
        5,
        "text",
        [],
        {},
        [None, 1, "x"],
        {"tool_calls": 5},
        {"tool_calls": "not json"},
        {"tool_calls": [7, None]},
    ),
    *({"choices": [None, {"message": 3}]}, {"content": [1, {"type": ["tool_use"]}]}, {"parts": {"type": "tool_call"}}),
    *({"function": "f", "arguments": 1}, {"type": {}, "name": "n", "arguments": "{}"}, {"name": {"a": 1}, "id": 1}),
]


@pytest.mark.parametrize("value", NOT_TOOLS)
def test_odd_shapes_hold_no_tools_and_do_no_harm(value: Any) -> None:
    assert calls_in(value) == []
    assert definitions_in(value) == {}
    assert definitions_in({"tools": value, "messages": value}) == {}
    found = extract_tools(record(value, value, {"tools": value, "attributes": {"ai.prompt.tools": value}}))
    assert found["tool_definitions"] == {}


def test_nothing_that_events_share_is_changed() -> None:
    definition = {"name": "f"}
    attributes = {"gen_ai.tool.definitions": [definition], "model_request_parameters": {"function_tools": []}, "a": 1}
    metadata = {"tools": [definition], "attributes": attributes}
    before = json.dumps(metadata)
    assert extract_tools(record("hi", None, metadata))["metadata"] == {"attributes": {"a": 1}}
    assert json.dumps(metadata) == before


def test_ordinary_records_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected(text: str) -> Any:
        raise AssertionError(f"parsed {text!r}")

    monkeypatch.setattr(tools_module, "parse_json", unexpected)
    messages = [{"role": "user", "parts": [{"type": "text", "content": "a tool to call"}]}]
    ordinary = record(messages, messages, {"attributes": {"gen_ai.request.model": "m", "tools.used": 1}})
    assert extract_tools(dict(ordinary)) == ordinary

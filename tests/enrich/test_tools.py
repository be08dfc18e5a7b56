"""Tools of observations: Langfuse's recorded cases, the GenAI conventions, and that ordinary records are not parsed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "events"))
from shared_cases import cases, needs_shared

from openfuse_collector.enrich import tool_calls
from openfuse_collector.enrich import tools as tools_module
from openfuse_collector.enrich.tool_calls import calls_in
from openfuse_collector.enrich.tool_definitions import definitions_in
from openfuse_collector.enrich.tools import extract_tools
from tests.conformance import enrichment_cases
from tests.conformance.enrichment_cases import tools_record as record


@pytest.mark.shared
@needs_shared
@pytest.mark.parametrize(
    ("function", "least"), [("normalizeToolsForObservation", 15), ("extractToolsFromObservation", 20)]
)
def test_tools_are_langfuses(function: str, least: int) -> None:
    chosen = [case for case in cases("tool_extraction") if case["fn"] == function]
    assert len(chosen) >= least
    assert [case["id"] for case in chosen if enrichment_cases.tools(case)] == []


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

    monkeypatch.setattr(tools_module, "parsed_or_none", unexpected)
    messages = [{"role": "user", "parts": [{"type": "text", "content": "a tool to call"}]}]
    ordinary = record(messages, messages, {"attributes": {"gen_ai.request.model": "m", "tools.used": 1}})
    assert extract_tools(dict(ordinary)) == ordinary


def test_no_shape_of_a_call_is_passed_over_by_the_first_look() -> None:
    for marker in tool_calls._MARKERS:
        assert tool_calls.may_hold_calls('{"x": ' + marker)
    assert not tool_calls.may_hold_calls('{"x": "an answer"}')

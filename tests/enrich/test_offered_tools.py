"""Definitions of tools that stay in the attributes of a generation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openfuse_collector.enrich import enrich
from openfuse_collector.events.reference import fold
from tests.mapping.span_requests import observation

SCHEMA = {"type": "object"}
WEATHER = {"description": "d", "parameters": json.dumps(SCHEMA, separators=(",", ":"))}
TOOL = {"name": "weather", "description": "d", "parameters": SCHEMA}


def definitions(attributes: dict[str, Any]) -> dict[str, Any]:
    """Name -> definition of an enriched generation with these attributes."""
    record = fold([observation({"gen_ai.request.model": "m", **attributes})])
    assert record is not None
    found = enrich("observation", record)["tool_definitions"]
    return {name: json.loads(text) for name, text in found.items()}


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "llm.request.functions.0.name": "weather",
            "llm.request.functions.0.description": "d",
            "llm.request.functions.0.parameters": json.dumps(SCHEMA),
        },
        {"llm.tools.0.name": "weather", "llm.tools.0.description": "d", "llm.tools.0.parameters": json.dumps(SCHEMA)},
        {"gen_ai.request.tools": json.dumps([json.dumps([{"type": "function", "function": TOOL}])])},
        {"gen_ai.request.tools": [json.dumps([TOOL])]},
        {
            "input.value": "plain",
            "llm.tools.0.tool.json_schema": json.dumps(
                {"toolSpec": {"name": "weather", "description": "d", "inputSchema": {"json": SCHEMA}}}
            ),
        },
        {"gen_ai.input.messages": '{"tools": 5}', "llm.tools.0.tool.json_schema": json.dumps(TOOL)},
    ],
    ids=["openllmetry", "litellm", "langtrace", "langtrace, a list", "bedrock", "an input that cannot carry them"],
)
def test_definitions_in_attributes(attributes: dict[str, Any]) -> None:
    assert definitions(attributes) == {"weather": WEATHER}


def test_they_are_in_the_order_of_their_numbers() -> None:
    flat = {f"llm.request.functions.{number}.name": f"t{number}" for number in (10, 9, 0)}
    assert list(definitions(flat)) == ["t0", "t9", "t10"]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"gen_ai.request.tools": "none"},
        {"gen_ai.request.tools": '[1, "x", ["y"]]'},
        {"llm.tools.0.tool.json_schema": "[]"},
        {"llm.request.functions.0.description": "nameless"},
        {"llm.tools.x.name": "n"},
        {f"llm.tools.{'9' * 5000}.name": "a place Python would not even read"},
        {f"llm.tools.{'9' * 5000}.tool.json_schema": json.dumps(TOOL)},
    ],
)
def test_what_is_no_definition(attributes: dict[str, Any]) -> None:
    assert definitions(attributes) == {}


def test_definitions_in_the_input_decide() -> None:
    attributes = {"gen_ai.tool.definitions": json.dumps([TOOL]), "llm.request.functions.0.name": "other"}
    assert list(definitions(attributes)) == ["weather"]

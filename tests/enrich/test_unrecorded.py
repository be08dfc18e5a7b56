"""Calls without recorded content: the error of a failed one is its output, the call a tool answers its input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openfuse_collector.enrich import enrich
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.reference import fold
from openfuse_collector.mapping.logs import map_logs
from tests.mapping.log_requests import LOGS_ORIGIN, logs_request, record
from tests.mapping.span_requests import mapped, span

BOOM = {"exception.type": "ValueError", "exception.message": "boom", "exception.stacktrace": "…"}


def stored(attributes: dict[str, Any], *, more: list[Event] | None = None, **of: Any) -> dict[str, Any]:
    """The enriched record of one span and further events of it."""
    events = [event for event in mapped(span(attributes, **of)).events if event.entity.type == "observation"]
    folded = fold(events + (more or []))
    assert folded is not None
    return enrich("observation", folded)


CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather", "gen_ai.tool.call.id": "call_1"}
DATA: list[tuple[str, dict[str, Any], dict[str, Any], Any]] = [
    (
        "exception event",
        CALL,
        {"events": [("exception", BOOM)]},
        {"error": {"type": "ValueError", "message": "boom"}},
    ),
    ("status message", CALL, {"error": "rate limit"}, {"error": {"message": "rate limit"}}),
    ("tool", TOOL, {"error": "no such city"}, {"error": {"message": "no such city"}}),
    (
        "agent",
        {"gen_ai.operation.name": "invoke_agent"},
        {"error": "stopped"},
        {"error": {"message": "stopped"}},
    ),
    (
        "empty placeholder",
        {"gen_ai.prompt.0.content": "hi", "gen_ai.request.model": "m"},
        {"error": "e"},
        {"error": {"message": "e"}},
    ),
    ("error type alone", {**CALL, "error.type": "timeout"}, {"error": ""}, {"error": {"message": "timeout"}}),
    ("failed without a word", CALL, {"error": ""}, None),
    ("recorded output stays", {**CALL, "output.value": "half an ans"}, {"error": "cut off"}, "half an ans"),
    ("success", CALL, {}, None),
    ("a plain span is no call", {"http.route": "/"}, {"error": "e"}, None),
]


@pytest.mark.parametrize(("attributes", "of", "output"), [case[1:] for case in DATA], ids=[case[0] for case in DATA])
def test_output_of_calls(attributes: dict[str, Any], of: dict[str, Any], output: Any) -> None:
    got = stored(attributes, **of)["output"]
    assert (json.loads(got) if isinstance(output, dict) else got) == output


@pytest.mark.parametrize(
    ("attributes", "asked"),
    [
        (TOOL, {"tool_call": {"id": "call_1", "name": "weather"}}),
        (
            {"ai.toolCall.id": "call_2", "ai.operationId": "ai.toolCall", "ai.toolCall.name": "w"},
            {"tool_call": {"id": "call_2", "name": "w"}},
        ),
        ({**TOOL, "gen_ai.tool.call.arguments": "{}"}, {}),
        ({**TOOL, "gen_ai.tool.call.arguments": '{"city":"Oslo"}'}, {"city": "Oslo"}),
    ],
    ids=["call id", "vercel", "explicitly no arguments", "arguments"],
)
def test_input_of_tools(attributes: dict[str, Any], asked: dict[str, Any]) -> None:
    assert json.loads(stored(attributes)["input"]) == asked


def test_a_tool_without_a_call_id_has_no_input() -> None:
    assert stored({"gen_ai.tool.name": "weather"})["input"] is None


def test_log_records_come_first() -> None:
    said = map_logs(logs_request(record("gen_ai.choice", {"message": {"content": "partial"}})), LOGS_ORIGIN).events
    assert json.loads(stored(CALL, more=said, error="cut off")["output"]) == {"message": {"content": "partial"}}


def test_api_clients_mean_what_they_say() -> None:
    body = {"id": "g", "traceId": "t", "name": "n", "level": "ERROR", "statusMessage": "boom"}
    moment = "2026-11-21T06:00:00.000Z"
    folded = fold([Event(Entity("p", "observation", "g"), "e", "generation-create", moment, body, 1)])
    assert folded is not None
    assert enrich("observation", folded)["output"] is None

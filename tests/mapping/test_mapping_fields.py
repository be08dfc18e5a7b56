"""The other fields of an observation: names, times, level, status, environment, version, prompt, metadata."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mapping.span_requests import CHILD, END, ORIGIN, ROOT, START, TRACE, mapped, observation, span

EXCEPTION = ("exception", {"exception.type": "ValueError", "exception.message": "no"})


def test_a_bare_span() -> None:
    event = observation(of={"span_id": CHILD, "parent": ROOT})
    assert event.body == {
        "id": CHILD,
        "traceId": TRACE,
        "parentObservationId": ROOT,
        "name": "work",
        "startTime": "2026-11-18T11:06:40.123456789Z",
        "endTime": "2026-11-18T11:06:41.987654321Z",
        "environment": "default",
        "level": "DEFAULT",
        "metadata": {"attributes": {}, "resourceAttributes": {}, "scope": {"name": "test-scope", "attributes": {}}},
    }
    assert event.timestamp == event.body["startTime"]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, END, (END, END)),
        (START, 0, (START, START)),
        (0, 0, (ORIGIN.received_at, ORIGIN.received_at)),
        (END, START, (END, START)),
        (2**64 - 1, END, (END, END)),
    ],
)
def test_a_missing_edge_is_the_other_one(start: int, end: int, expected: tuple[int, int]) -> None:
    from openfuse_collector.mapping.timestamps import iso_nanoseconds

    body = observation(of={"start": start, "end": end}).body
    assert (body["startTime"], body["endTime"]) == tuple(map(iso_nanoseconds, expected))


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"gen_ai.tool.name": "lookup", "logfire.msg": "m"}, "lookup"),
        ({"genkit:name": "", "logfire.msg": "m"}, ""),
        ({"logfire.msg": "m", "ai.toolCall.name": "t"}, "m"),
        ({"ai.toolCall.name": "t", "ai.operationId": "o"}, "t"),
        ({"ai.operationId": "o", "ai.telemetry.functionId": "f"}, "f:o"),
        ({"ai.operationId": "o"}, "o"),
        ({"gen_ai.tool.name": 5}, "5"),
        ({"gen_ai.tool.name": ""}, "work"),
    ],
)
def test_name(attributes: dict[str, Any], name: str) -> None:
    assert observation(attributes).body["name"] == name


@pytest.mark.parametrize(
    ("attributes", "of", "level", "message"),
    [
        ({}, {}, "DEFAULT", None),
        ({"langfuse.observation.level": " warn "}, {"error": "boom"}, "WARNING", "boom"),
        ({"langfuse.observation.level": "loud"}, {"error": ""}, "ERROR", None),
        ({"langfuse.observation.status_message": 5}, {"error": "boom"}, "ERROR", "5"),
        ({}, {"events": [EXCEPTION], "error": ""}, "ERROR", "ValueError: no"),
        ({}, {"events": [EXCEPTION], "error": "boom"}, "ERROR", "boom"),
        ({}, {"events": [EXCEPTION]}, "ERROR", "ValueError: no"),
        ({"error.type": "timeout"}, {"error": ""}, "ERROR", "timeout"),
        ({"error.type": "timeout"}, {}, "DEFAULT", None),
    ],
)
def test_level_and_status_message(
    attributes: dict[str, Any], of: dict[str, Any], level: str, message: str | None
) -> None:
    body = observation(attributes, of=of).body
    assert (body["level"], body.get("statusMessage")) == (level, message)


def test_livekit_machinery_is_debug_unless_it_failed() -> None:
    assert observation(of={"name": "tts_node"}, scope="livekit-agents").body["level"] == "DEBUG"
    assert observation(of={"name": "tts_node", "error": "x"}, scope="livekit-agents").body["level"] == "ERROR"


@pytest.mark.parametrize(
    ("attributes", "resource", "environment"),
    [
        ({"langfuse.environment": "Prod"}, {}, "prod"),
        ({"deployment.environment.name": "span"}, {"langfuse.environment": "resource"}, "resource"),
        ({"deployment.environment": "span"}, {"deployment.environment": "resource"}, "span"),
        ({}, {"deployment.environment.name": "staging"}, "staging"),
        ({"langfuse.environment": "langfuse-langfuse_qa"}, {}, "qa"),
        ({"langfuse.environment": "a b"}, {}, "default"),
        ({"langfuse.environment": "x" * 50}, {}, "x" * 40),
        ({"langfuse.environment": 5}, {}, "default"),
        ({"langfuse.environment": ""}, {"deployment.environment": "d"}, "d"),
    ],
)
def test_environment(attributes: dict[str, Any], resource: dict[str, Any], environment: str) -> None:
    assert observation(attributes, resource=resource).body["environment"] == environment


@pytest.mark.parametrize("source", ["openrouter", "other"])
def test_environment_of_a_failed_evaluator_request(source: str) -> None:
    completion = '{"completion":null,"rawRequest":{"trace":{"environment":"langfuse-llm-as-a-judge"}}}'
    body = observation(
        {"openrouter.source": source, "gen_ai.completion": completion}, resource={"service.name": "openrouter"}
    ).body
    assert body["environment"] == ("llm-as-a-judge" if source == "openrouter" else "default")


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-11-18T11:06:40.5Z", "2026-11-18T11:06:40.5Z"),
        ('"2026-11-18T11:06:40+02:00"', "2026-11-18T11:06:40+02:00"),
        ("2026-11-18T11:06:40", "2026-11-18T11:06:40Z"),
        (1_795_000_000_500, "2026-11-18T11:06:40.500Z"),
        ("soon", None),
        (True, None),
    ],
)
def test_completion_start(written: Any, moment: str | None) -> None:
    assert (
        observation({"langfuse.observation.completion_start_time": written}).body.get("completionStartTime") == moment
    )


@pytest.mark.parametrize(
    ("attributes", "moment"),
    [
        ({"ai.response.msToFirstChunk": 99.2}, "2026-11-18T11:06:40.223Z"),
        ({"gen_ai.response.time_to_first_chunk": 0.5}, "2026-11-18T11:06:40.623Z"),
        ({"gen_ai.response.time_to_first_chunk": 500}, "2026-11-18T11:06:40.623Z"),
        ({"gen_ai.server.time_to_first_token": "never"}, None),
        ({"mastra.completion_start_time": "2026-11-18T11:06:41Z"}, "2026-11-18T11:06:41Z"),
    ],
)
def test_first_token_in_other_words(attributes: dict[str, Any], moment: str | None) -> None:
    """Seconds by the conventions; what would lie past the end of the span can only be milliseconds."""
    assert observation(attributes).body.get("completionStartTime") == moment


@pytest.mark.parametrize(
    ("attributes", "prompt"),
    [
        ({"langfuse.observation.prompt.name": "p", "langfuse.observation.prompt.version": 3}, ("p", 3)),
        ({"langfuse.prompt.name": "p", "langfuse.prompt.version": "3"}, ("p", 3)),
        ({"ai.telemetry.metadata.langfusePrompt": '{"name":"p","version":2}'}, ("p", 2)),
        ({"langfuse.prompt.name": "p", "langfuse.prompt.version": "latest"}, ("p", None)),
    ],
)
def test_prompt_link(attributes: dict[str, Any], prompt: tuple[str, int | None]) -> None:
    body = observation({"langfuse.observation.type": "generation", **attributes}).body
    assert (body.get("promptName"), body.get("promptVersion")) == prompt
    of_agent = observation({"langfuse.observation.type": "agent", **attributes}).body
    assert (of_agent.get("promptName"), of_agent.get("promptVersion")) == prompt


def test_a_wrong_value_costs_its_field_and_is_noted() -> None:
    attributes = {
        "langfuse.observation.level": 5,
        "langfuse.observation.completion_start_time": "soon",
        "langfuse.observation.model.parameters": "5",
        "langfuse.observation.metadata": "[broken",
        "langfuse.observation.usage_details": '{"input":-1,"output":2}',
        "langfuse.observation.type": "generation",
        "langfuse.prompt.version": "latest",
        "langfuse.observation.input": "kept",
    }
    body = observation(attributes).body
    assert body["input"] == "kept"
    assert body["usageDetails"] == {"output": 2}
    assert {note.split(":")[0] for note in body["metadata"]["mapping_notes"]} == {
        "langfuse.observation.level",
        "langfuse.observation.completion_start_time",
        "langfuse.observation.model.parameters",
        "langfuse.observation.metadata",
        "usageDetails.input",
        "langfuse.observation.prompt.version",
    }


def test_numbers_for_text_become_text() -> None:
    body = observation({"langfuse.version": 3}, resource={"service.version": "1"}).body
    assert body["version"] == "3"


def test_bodies_have_no_nulls() -> None:
    events, _ = mapped(
        span({"langfuse.release": None, "user.id": None, "input.value": None, "langfuse.trace.name": None})
    )
    assert all(value is not None for event in events for value in event.body.values())

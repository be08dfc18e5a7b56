"""Spellings of single libraries for what Langfuse has no rule for: each fills a field that would stay empty."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openfuse_collector.mapping import map_traces
from tests.mapping.span_requests import ORIGIN, START, add_attributes, observation, request, span, trace

Attributes = dict[str, Any]
MODEL = {"gen_ai.request.model": "m"}
LLM = {"openinference.span.kind": "LLM"}


@pytest.mark.parametrize(
    ("scope", "attributes", "asked", "answered"),
    [
        ("@mastra/otel", {"gen_ai.tool.input": '{"a":1}', "gen_ai.tool.output": "o"}, '{"a":1}', "o"),
        ("openlit", {"gen_ai.tool.name": "t", "gen_ai.tool.args": '{"a":1}'}, '{"a":1}', None),
        ("langtrace", {"gen_ai.request.embedding_inputs": '["x"]'}, '["x"]', None),
        ("livekit-agents", {"lk.function_tool.arguments": "{}", "lk.function_tool.output": "o"}, "{}", "o"),
        ("livekit-agents", {"lk.chat_ctx": "[]", "lk.response.function_calls": "[1]"}, "[]", "[1]"),
        (
            "openinference.instrumentation.openai",
            {"llm.prompts.0.prompt.text": "Say hi", "llm.choices.0.completion.text": "hi"},
            [{"prompt": {"text": "Say hi"}}],
            [{"completion": {"text": "hi"}}],
        ),
        (
            "opentelemetry.instrumentation.openai",
            {"llm.prompts.0.content": "Say hi", "llm.completions.0.content": "hi"},
            [{"content": "Say hi"}],
            [{"content": "hi"}],
        ),
        ("langtrace", {"llm.prompts": "[1]", "llm.responses": "[2]"}, "[1]", "[2]"),
        ("@arizeai/openinference-instrumentation-beeai", {"thought": "I know."}, None, "I know."),
        ("strands-agents", {"tool.name": "t", "tool.parameters": "{}", "tool.result": "r"}, "{}", "r"),
    ],
)
def test_content(scope: str, attributes: Attributes, asked: Any, answered: Any) -> None:
    body = observation(attributes, scope=scope).body
    assert (body.get("input"), body.get("output")) == (asked, answered)


def test_a_message_between_agents() -> None:
    asked = {"message": '{"messages":[]}'}
    assert observation(asked, scope="autogen SingleThreadedAgentRuntime").body["input"] == '{"messages":[]}'
    assert "input" not in observation(asked).body


def test_results_of_a_vector_store() -> None:
    found = [("db.query.result", {"db.query.result.id": "a", "db.query.result.score": 0.5}), ("db.query.result", {})]
    assert observation(of={"events": found}).body["output"] == [{"id": "a", "score": 0.5}, {}]


@pytest.mark.parametrize(
    ("scope", "name", "attributes", "type_"),
    [
        ("strands-agents", "execute_event_loop_cycle", {"event_loop.cycle_id": "1"}, "chain"),
        ("strands-agents", "execute_agent_loop_cycle", {"agent_loop.cycle_id": "1"}, "chain"),
        ("strands-agents", "Cycle 5816ba72", {"event_loop.cycle_id": "1"}, "chain"),
        ("strands-agents", "Tool: get_weather", {"tool.name": "get_weather"}, "tool"),
        ("x", "Tool: get_weather", {"tool.name": "get_weather"}, "span"),
        ("pydantic-ai", "agent run", {"agent_name": "a"}, "agent"),
        ("pydantic-ai", "running 2 tools", {"tools": ["a", "b"]}, "chain"),
        ("x", "running 2 tools", {"tools": ["a", "b"]}, "span"),
        ("haystack", "haystack.pipeline.run", {"haystack.pipeline.input_data": "{}"}, "chain"),
        ("@mastra/otel-exporter", "parallel", {"mastra.span.type": "workflow_parallel"}, "chain"),
        ("@mastra/otel-exporter", "score", {"mastra.span.type": "scorer_run"}, "evaluator"),
        ("x", "rank", {"gen_ai.operation.name": "rerank"}, "retriever"),
        ("x", "judge", {"gen_ai.operation.name": "evaluate"}, "evaluator"),
        ("genkit-tracer", "generate", {"genkit:type": "util"}, "chain"),
        ("genkit-tracer", "prep", {"genkit:type": "flowStep"}, "chain"),
    ],
)
def test_types(scope: str, name: str, attributes: Attributes, type_: str) -> None:
    assert observation(attributes, of={"name": name}, scope=scope).type == f"{type_}-create"


@pytest.mark.parametrize(
    ("attributes", "cost"),
    [
        ({"operation.cost": 0.25}, {"total": 0.25}),
        ({"llm.response.cost": "0.25"}, {"total": 0.25}),
        (
            {"gen_ai.cost.input_cost": 0.1, "gen_ai.cost.output_cost": 0.2, "gen_ai.cost.total_cost": 0.3},
            {"input": 0.1, "output": 0.2, "total": 0.3},
        ),
        ({"gen_ai.usage.cost": 1, "operation.cost": 2}, {"total": 1}),
        ({"gen_ai.operation.name": "invoke_agent", "operation.cost": 2}, None),
    ],
)
def test_cost(attributes: Attributes, cost: Any) -> None:
    assert observation(attributes).body.get("costDetails") == cost


def test_mlflow_counts_what_came_from_a_cache_apart() -> None:
    counts = {"input_tokens": 38, "output_tokens": 27, "total_tokens": 65, "cache_read_input_tokens": 8}
    usage = observation({"mlflow.chat.tokenUsage": json.dumps(counts)}).body["usageDetails"]
    assert usage == {"input": 30, "output": 27, "total": 65, "input_cached_tokens": 8}


@pytest.mark.parametrize(
    ("attributes", "model"),
    [
        ({"mlflow.llm.model": '"gpt-4o-mini"'}, "gpt-4o-mini"),
        ({**LLM, "llm.invocation_parameters": '{"model": "m", "temperature": 1}'}, "m"),
        ({**LLM, "llm.invocation_parameters": '{"temperature": 1}'}, None),
        ({**LLM, "llm.model_name": "n", "llm.invocation_parameters": '{"model": "m"}'}, "n"),
        ({"openinference.span.kind": "EMBEDDING", "embedding.invocation_parameters": '{"model": "e"}'}, "e"),
        ({"genkit:metadata:subtype": "embedder", "genkit:name": "googleai/e"}, "googleai/e"),
        ({"genkit:metadata:subtype": "tool", "genkit:name": "t"}, None),
        ({"langsmith.span.kind": "llm", "langsmith.metadata.ls_model_name": "m"}, "m"),
    ],
)
def test_model(attributes: Attributes, model: str | None) -> None:
    assert observation(attributes).body.get("model") == model


@pytest.mark.parametrize(
    ("attributes", "parameters"),
    [
        ({"invocation_params": '{"temperature": 0.1, "stop": null}'}, {"temperature": 0.1, "stop": "null"}),
        ({"embedding.invocation_parameters": '{"encoding_format": "float"}'}, {"encoding_format": "float"}),
        ({"invocation_params": '{"a": 1}', "gen_ai.request.top_p": 1}, {"top_p": 1}),
    ],
)
def test_parameters(attributes: Attributes, parameters: Attributes) -> None:
    assert observation(attributes).body["modelParameters"] == parameters


@pytest.mark.parametrize(
    ("attributes", "session"),
    [
        ({"conversation.id": "c"}, "c"),
        ({"session.id": "s", "conversation.id": "c"}, "s"),
        ({**LLM, "metadata": '{"thread_id": "t", "x": 1}'}, "t"),
        ({**LLM, "metadata": '{"thread_id": 7}'}, "7"),
        ({**LLM, "metadata": '{"thread_id": "t"}', "session.id": "s"}, "s"),
        ({**LLM, "metadata": "thread_id"}, None),
        ({**LLM, "metadata": '{"thread_id": {"a": 1}}'}, None),
    ],
)
def test_session(attributes: Attributes, session: str | None) -> None:
    assert trace(attributes).body.get("sessionId") == session


def test_a_session_in_metadata_comes_before_that_of_the_resource() -> None:
    written = {**LLM, "metadata": '{"thread_id": "t"}'}
    assert trace(written, resource={"session.id": "r"}).body["sessionId"] == "t"
    assert trace({**LLM, "metadata": "{}"}, resource={"session.id": "r"}).body["sessionId"] == "r"


@pytest.mark.parametrize("key", ["enduser.id", "userId", "user_id", "llm.user", "langsmith.metadata.user_id"])
def test_user(key: str) -> None:
    assert trace({key: "u"}).body["userId"] == "u"
    assert "userId" not in trace({key: ""}).body


@pytest.mark.parametrize(
    ("attributes", "tags"),
    [
        ({"mastra.tags": '["a","b"]'}, ["a", "b"]),
        ({"langsmith.span.tags": "a, b"}, ["a", "b"]),
        ({"langsmith.span.tags": ""}, None),
        ({"lmnr.association.properties.tags": ["a"]}, ["a"]),
        ({"traceloop.association.properties.langfuse_tags": "a,b"}, ["a", "b"]),
        ({"tag.tags": ["x"], "mastra.tags": '["a"]'}, ["x"]),
    ],
)
def test_tags(attributes: Attributes, tags: Any) -> None:
    assert trace(attributes).body.get("tags") == tags


@pytest.mark.parametrize("key", ["gen_ai.client.operation.time_to_first_chunk", "metrics.ttfb"])
def test_seconds_to_the_first_token(key: str) -> None:
    assert observation({key: 0.5}).body["completionStartTime"] == "2026-11-18T11:06:40.623Z"


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("First Token Stream Event", LLM),
        ("gen_ai.content.completion.chunk", MODEL),
        ("llm.content.completion.chunk", {"llm.request.type": "chat"}),
    ],
)
def test_the_first_token_is_an_event(name: str, attributes: Attributes) -> None:
    made = span(attributes)
    for after in (300_000_000, 400_000_000):
        made.events.add(name="other", time_unix_nano=START)
        add_attributes(made.events.add(name=name, time_unix_nano=START + after), {})
    event = next(one for one in map_traces(request(made), ORIGIN).events if one.entity.type == "observation")
    assert event.body["completionStartTime"] == "2026-11-18T11:06:40.423Z"


@pytest.mark.parametrize("key", ["exception.message", "gen_ai.framework.error.message"])
def test_why_a_span_failed(key: str) -> None:
    body = observation({key: "boom", "error.type": "E"}, of={"error": ""}).body
    assert (body["level"], body["statusMessage"]) == ("ERROR", "boom")

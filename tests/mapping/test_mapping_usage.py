"""Tokens, cost, model and parameters."""

from __future__ import annotations

from typing import Any

import pytest

from openfuse_collector.mapping.usage import clean_cost, clean_usage
from tests.mapping.span_requests import observation

USAGE: list[tuple[str, str, dict[str, Any], dict[str, int] | None]] = [
    ("semconv", "x", {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 4}, {"input": 10, "output": 4}),
    (
        "old names",
        "x",
        {"gen_ai.usage.prompt_tokens": 10, "gen_ai.usage.completion_tokens": 4},
        {"input": 10, "output": 4},
    ),
    (
        "cached and created are part of input",
        "x",
        {
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.cache_read.input_tokens": 30,
            "gen_ai.usage.cache_creation_input_tokens": 20,
        },
        {"input": 50, "input_cached_tokens": 30, "input_cache_creation": 20},
    ),
    (
        "reasoning is part of output",
        "x",
        {"gen_ai.usage.output_tokens": 9, "gen_ai.usage.reasoning.output_tokens": 5},
        {"output": 4, "output_reasoning_tokens": 5},
    ),
    (
        "never below zero",
        "x",
        {"llm.token_count.prompt": 3, "llm.token_count.prompt_details.cache_read": 5},
        {"input": 0, "input_cached_tokens": 5},
    ),
    ("a part alone makes no whole", "x", {"gen_ai.usage.cache_read.input_tokens": 5}, {"input_cached_tokens": 5}),
    ("other counts pass", "x", {"gen_ai.usage.details.reasoning_tokens": 5}, {"reasoning_tokens": 5}),
    (
        "text and zero count",
        "x",
        {"gen_ai.usage.input_tokens": "7", "gen_ai.usage.output_tokens": 0},
        {"input": 7, "output": 0},
    ),
    ("no number", "x", {"gen_ai.usage.input_tokens": "many"}, None),
    ("cost is no usage", "x", {"gen_ai.usage.cost": 0.5}, None),
    (
        "explicit",
        "x",
        {"langfuse.observation.usage_details": '{"input":1,"x":2}', "gen_ai.usage.input_tokens": 9},
        {"input": 1, "x": 2},
    ),
    ("explicit but no map", "x", {"langfuse.observation.usage_details": "[1]", "gen_ai.usage.input_tokens": 9}, None),
    (
        "explicit but broken",
        "x",
        {"langfuse.observation.usage_details": "{", "gen_ai.usage.input_tokens": 9},
        {"input": 9},
    ),
    (
        "genkit",
        "genkit-tracer",
        {"genkit:output": '{"usage":{"inputTokens":5,"outputTokens":9,"thoughtsTokens":4}}'},
        {"input": 5, "output": 5, "output_reasoning": 4},
    ),
    ("vercel knows nothing", "ai", {"ai.operationId": "x"}, {"input": 0, "output": 0}),
    (
        "vercel with anthropic's counts",
        "ai",
        {
            "gen_ai.usage.input_tokens": 100,
            "ai.response.providerMetadata": '{"anthropic":{"usage":{"cache_read_input_tokens":40,'
            '"cache_creation_input_tokens":10,"cache_creation":{"ephemeral_5m_input_tokens":10}}}}',
        },
        {"input": 50, "output": 0, "input_cached_tokens": 40, "input_cache_creation": 0, "input_cache_creation_5m": 10},
    ),
    (
        "adk's cached tokens",
        "gcp.vertex.agent",
        {
            "gen_ai.usage.input_tokens": 10,
            "gcp.vertex.agent.llm_response": '{"usage_metadata":{"cached_content_token_count":4}}',
        },
        {"input": 6, "input_cached_tokens": 4},
    ),
    (
        "agents repeat what is below",
        "x",
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 9},
        None,
    ),
    (
        "mlflow",
        "x",
        {"mlflow.chat.tokenUsage": '{"input_tokens":3,"output_tokens":2,"total_tokens":5}'},
        {"input": 3, "output": 2, "total": 5},
    ),
    (
        "a part below zero is no part",
        "x",
        {
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.cache_read.input_tokens": -1,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.reasoning.output_tokens": -2,
        },
        {"input": 10, "output": 5},
    ),
    (
        "a part below zero gives nothing to another",
        "x",
        {
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.cache_creation.input_tokens": -3,
        },
        {"input": 6, "input_cached_tokens": 4},
    ),
    (
        "genkit's part below zero",
        "genkit-tracer",
        {"genkit:output": '{"usage":{"inputTokens":5,"outputTokens":9,"thoughtsTokens":-4}}'},
        {"input": 5, "output": 9},
    ),
    (
        "vercel's parts below zero",
        "ai",
        {
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 7,
            "ai.usage.cachedInputTokens": -40,
            "ai.usage.reasoningTokens": -3,
            "ai.response.providerMetadata": '{"anthropic":{"usage":{"cache_creation_input_tokens":10,'
            '"cache_creation":{"ephemeral_5m_input_tokens":-10}}}}',
        },
        {"input": 90, "output": 7, "input_cache_creation": 10},
    ),
    (
        "mlflow's part below zero",
        "x",
        {"mlflow.chat.tokenUsage": '{"input_tokens":3,"cache_read_input_tokens":-1}'},
        {"input": 3},
    ),
    ("a total alone", "x", {"llm.usage.total_tokens": 12}, {"total": 12}),
]


@pytest.mark.parametrize(("scope", "attributes", "usage"), [c[1:] for c in USAGE], ids=[c[0] for c in USAGE])
def test_usage(scope: str, attributes: dict[str, Any], usage: dict[str, int] | None) -> None:
    assert observation(attributes, scope=scope).body.get("usageDetails") == usage


ABSURD = "9" * 400
"""Digits of a number past every double."""
LARGE = "1" + "0" * 308
"""Those of one just below: two of them are past it."""


@pytest.mark.parametrize(
    ("scope", "attributes"),
    [
        ("ai", {"ai.operationId": "x", "gen_ai.usage.input_tokens": ABSURD, "ai.usage.cachedInputTokens": 0.5}),
        ("genkit-tracer", {"genkit:output": f'{{"usage":{{"outputTokens":{ABSURD},"thoughtsTokens":0.5}}}}'}),
        (
            "gcp.vertex.agent",
            {
                "gen_ai.usage.input_tokens": 0.5,
                "gcp.vertex.agent.llm_response": f'{{"usage_metadata":{{"cached_content_token_count":{ABSURD}}}}}',
            },
        ),
        (
            "x",
            {
                "gen_ai.usage.input_tokens": 0.5,
                "gen_ai.usage.cache_read_input_tokens": LARGE,
                "gen_ai.usage.cache_write_tokens": LARGE,
            },
        ),
        (
            "x",
            {
                "mlflow.chat.tokenUsage": f'{{"input_tokens":0.5,"cache_read_input_tokens":{LARGE},'
                f'"cache_creation_input_tokens":{LARGE}}}'
            },
        ),
        (
            "x",
            {
                "langfuse.observation.usage_details": f'{{"prompt_tokens":{ABSURD},"completion_tokens":{ABSURD},'
                f'"total_tokens":{ABSURD}}}'
            },
        ),
    ],
)
def test_an_absurd_count_costs_itself_alone(scope: str, attributes: dict[str, Any]) -> None:
    known = {"gen_ai.request.model": "m", "input.value": "i"}
    body = observation({**known, **attributes}, scope=scope).body
    assert body["model"] == "m"
    assert all(count == 0 for count in body.get("usageDetails", {}).values())


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "total_tokens": 14,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": None},
            },
            {"input": 5, "output": 5, "total": 14, "input_cached_tokens": 4},
        ),
        (
            {
                "input_tokens": 9,
                "output_tokens": 5,
                "total_tokens": 14,
                "output_tokens_details": {"reasoning_tokens": 2},
            },
            {"input": 9, "output": 3, "total": 14, "output_reasoning_tokens": 2},
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, "more": 1},
            {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, "more": 1},
        ),
        (
            {"a": 1.5, "b": -1, "c": True, "d": None, "e": {"f": 1}, "g": "7 tokens", "h": 3.0, "i": 2**63},
            {"g": 7, "h": 3},
        ),
        ({}, {}),
    ],
)
def test_usage_schema(given: dict[str, Any], clean: dict[str, int]) -> None:
    assert clean_usage(given) == clean


def test_cost_schema() -> None:
    given = {"a": 0, "b": 0.5, "c": "0.12", "d": -1, "e": True, "f": None, "g": "free", "h": float("inf")}
    assert clean_cost(given) == {"a": 0, "b": 0.5, "c": 0.12}


@pytest.mark.parametrize(
    ("attributes", "cost"),
    [
        ({"langfuse.observation.cost_details": '{"input":0.1}', "gen_ai.usage.cost": 9.0}, {"input": 0.1}),
        ({"gen_ai.usage.cost": 0.25, "llm.cost.total": 9.0}, {"total": 0.25}),
        ({"gen_ai.usage.cost": "", "llm.cost.total": 0.5}, {"total": 0.5}),
        ({"llm.cost.prompt": 0.1, "llm.cost.completion": 0.2}, {"input": 0.1, "output": 0.2}),
        ({"gen_ai.usage.input_tokens": 5}, None),
    ],
)
def test_cost(attributes: dict[str, Any], cost: dict[str, float] | None) -> None:
    assert observation(attributes).body.get("costDetails") == cost


@pytest.mark.parametrize(
    ("attributes", "model"),
    [
        ({"gen_ai.request.model": "asked", "gen_ai.response.model": "answered"}, "answered"),
        ({"genkit:name": "gemini", "genkit:metadata:subtype": "model"}, "gemini"),
        ({"embedding.model_name": "e"}, "e"),
        ({"model": 7}, "7"),
        ({"gen_ai.operation.name": "agent_step", "gen_ai.request.model": "m"}, None),
    ],
)
def test_model(attributes: dict[str, Any], model: str | None) -> None:
    assert observation(attributes).body.get("model") == model


@pytest.mark.parametrize(
    ("attributes", "parameters"),
    [
        (
            {"gen_ai.request.temperature": 0.2, "gen_ai.request.stop": ["x"], "gen_ai.request.model": "m"},
            {"temperature": 0.2, "stop": '["x"]'},
        ),
        ({"llm.invocation_parameters": '{"a":true,"b":null}', "gen_ai.request.top_p": 1}, {"a": "true", "b": "null"}),
        ({"langfuse.observation.model.parameters": "[1,2]"}, {"0": 1, "1": 2}),
        ({"langfuse.observation.model.parameters": "{oops", "gen_ai.request.top_k": 3}, {"top_k": 3}),
        ({"server.port": 443}, None),
    ],
)
def test_parameters(attributes: dict[str, Any], parameters: dict[str, Any] | None) -> None:
    assert observation(attributes).body.get("modelParameters") == parameters


def test_vercel_shows_all_its_parameters() -> None:
    parameters = observation(
        {"ai.settings.maxRetries": 2, "gen_ai.response.finish_reasons": ["stop", "x"]}, scope="ai"
    ).body["modelParameters"]
    assert (parameters["maxRetries"], parameters["finishReason"], parameters["mode"]) == ("2", "stop,x", None)
    assert len(parameters) == 9


def test_spans_of_every_type_keep_model_usage_and_cost() -> None:
    event = observation(
        {"langfuse.observation.type": "span", "model": "m", "gen_ai.usage.input_tokens": 1, "gen_ai.usage.cost": 2}
    )
    assert event.type == "span-create"
    assert (event.body["model"], event.body["usageDetails"], event.body["costDetails"]) == (
        "m",
        {"input": 1},
        {"total": 2},
    )

"""Which kind of observation a span becomes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mapping.span_requests import observation

CASES: list[tuple[str, dict[str, Any], str]] = [
    # Langfuse's own rules, in their order
    ("explicit", {"langfuse.observation.type": "retriever", "gen_ai.operation.name": "chat"}, "retriever"),
    ("explicit span is not refined", {"langfuse.observation.type": "span", "traceloop.span.kind": "tool"}, "span"),
    ("openinference", {"openinference.span.kind": "LLM"}, "generation"),
    ("openinference beats operation", {"openinference.span.kind": "CHAIN", "gen_ai.operation.name": "chat"}, "chain"),
    ("unknown kind asks on", {"openinference.span.kind": "UNKNOWN", "gen_ai.operation.name": "chat"}, "generation"),
    ("operation", {"gen_ai.operation.name": "embeddings"}, "embedding"),
    ("operation beats model", {"gen_ai.operation.name": "execute_tool", "gen_ai.request.model": "m"}, "tool"),
    ("genkit", {"genkit:metadata:subtype": "tool.v2"}, "tool"),
    ("vercel", {"ai.operationId": "ai.streamText.doStream", "ai.model.id": "m"}, "generation"),
    ("vercel by name", {"operation.name": "ai.embed.doEmbed my-fn", "ai.model.id": "m"}, "embedding"),
    ("vercel without model", {"ai.operationId": "ai.streamText.doStream"}, "span"),
    ("vercel tool", {"ai.operationId": "ai.toolCall"}, "tool"),
    ("tool call id", {"gen_ai.tool.call.id": "c1"}, "tool"),
    ("flue task", {"flue.task.agent": "a"}, "agent"),
    ("model means generation", {"llm.model_name": "m"}, "generation"),
    ("empty model means nothing", {"gen_ai.request.model": ""}, "span"),
    # later vocabularies, where Langfuse says SPAN
    ("explicit in another case", {"langfuse.observation.type": "GENERATION"}, "generation"),
    ("openinference in another case", {"openinference.span.kind": "llm"}, "generation"),
    ("openinference reranker", {"openinference.span.kind": "RERANKER"}, "retriever"),
    ("operation in another case", {"gen_ai.operation.name": "Chat"}, "generation"),
    ("retrieval", {"gen_ai.operation.name": "retrieval"}, "retriever"),
    ("traceloop", {"traceloop.span.kind": "workflow"}, "chain"),
    ("mlflow, JSON quoted", {"mlflow.spanType": '"RETRIEVER"'}, "retriever"),
    ("langsmith", {"langsmith.span.kind": "parser"}, "chain"),
    ("mastra", {"mastra.span.type": "agent_run"}, "agent"),
    ("laminar", {"lmnr.span.type": "LLM"}, "generation"),
    ("haystack", {"haystack.component.type": "OpenAIChatGenerator"}, "generation"),
    ("haystack component", {"haystack.component.type": "PromptBuilder"}, "chain"),
    # no GenAI key at all
    ("http", {"http.request.method": "POST", "url.full": "https://example.com"}, "span"),
    ("database", {"db.system": "sqlite", "db.statement": "select 1"}, "span"),
    # values of a type nobody expects
    ("number for text", {"gen_ai.operation.name": 5, "openinference.span.kind": [1]}, "span"),
]


@pytest.mark.parametrize(("attributes", "type_"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_type(attributes: dict[str, Any], type_: str) -> None:
    assert observation(attributes).type == f"{type_}-create"


@pytest.mark.parametrize(
    ("scope", "name", "type_"),
    [
        ("livekit-agents", "agent_turn", "agent"),
        ("livekit-agents", "function_tool", "tool"),
        ("other", "agent_turn", "span"),
    ],
)
def test_livekit_types_follow_from_span_names(scope: str, name: str, type_: str) -> None:
    assert observation(of={"name": name}, scope=scope).type == f"{type_}-create"


@pytest.mark.parametrize(
    ("version", "language", "type_"),
    [
        ("3.3.9", "python", "generation"),
        ("", "python", "generation"),
        ("3.4.0", "python", "span"),
        pytest.param("9" * 5000, "python", "span", id="a version of digits"),
        ("3.0.0", "js", "span"),
    ],
)
def test_generations_that_old_python_sdks_called_spans(version: str, language: str, type_: str) -> None:
    attributes = {"langfuse.observation.type": "span", "langfuse.observation.model.name": "m"}
    around: dict[str, Any] = {
        "scope": "langfuse-sdk",
        "scope_version": version,
        "resource": {"telemetry.sdk.language": language},
    }
    assert observation(attributes, **around).type == f"{type_}-create"

"""Input and output: where they are found, and what happens to them on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.mapping.span_requests import mapped, observation, span, trace

MESSAGES = '[{"role":"user","content":"hi"}]'
SYSTEM = '[{"type":"text","content":"Be brief."}]'

CASES: list[tuple[str, str, dict[str, Any], Any, Any]] = [
    (
        "langfuse",
        "x",
        {"langfuse.observation.input": "i", "langfuse.observation.output": "o", "input.value": "no"},
        "i",
        "o",
    ),
    ("genkit", "genkit-tracer", {"genkit:input": '{"messages":[1]}', "genkit:output": "plain"}, [1], "plain"),
    ("vercel prompt", "ai", {"ai.prompt": "p", "ai.response.text": "t"}, "p", "t"),
    ("vercel object", "ai", {"ai.prompt.messages": "m", "ai.response.object": "{}"}, "m", "{}"),
    ("vercel only in its scope", "x", {"ai.prompt": "p"}, None, None),
    ("vercel embedding", "ai", {"ai.values": ['"a"', '"b"'], "ai.embeddings": ["[1]", "[2]"]}, ["a", "b"], [[1], [2]]),
    ("flue", "@flue/opentelemetry", {"flue.turn.input": "[1]", "flue.turn.output": "text"}, [1], "text"),
    (
        "adk tool",
        "gcp.vertex.agent",
        {"gcp.vertex.agent.llm_request": "{}", "gcp.vertex.agent.tool_call_args": "args"},
        "args",
        None,
    ),
    ("livekit", "livekit-agents", {"lk.user_transcript": "hello", "lk.response.text": "hi"}, "hello", "hi"),
    (
        "logfire events",
        "x",
        {"events": '[{"event.name":"gen_ai.choice","i":1},{"u":1}]'},
        [{"u": 1}],
        {"event.name": "gen_ai.choice", "i": 1},
    ),
    ("mlflow", "x", {"mlflow.spanInputs": "i", "mlflow.spanOutputs": "o"}, "i", "o"),
    ("traceloop beats value", "x", {"traceloop.entity.input": "t", "input.value": "v"}, "t", None),
    ("value beats plain", "x", {"input.value": "v", "input": "p"}, "v", None),
    (
        "flattened prompt",
        "x",
        {"gen_ai.prompt.0.content": "hi", "gen_ai.completion": "whole"},
        [{"content": "hi"}],
        "whole",
    ),
    ("flattened messages", "x", {"llm.output_messages.1.message.role": "a"}, {}, [None, {"message": {"role": "a"}}]),
    # a missing side is empty, unless a rule below knows it or a rule above had the other side
    ("flattened prompt alone", "x", {"gen_ai.prompt.0.content": "hi"}, [{"content": "hi"}], {}),
    (
        "flattened prompt, answer elsewhere",
        "x",
        {"gen_ai.prompt.0.content": "hi", "gen_ai.output.messages": MESSAGES},
        [{"content": "hi"}],
        MESSAGES,
    ),
    ("value beats messages", "x", {"input.value": "v", "llm.input_messages.0.message.role": "user"}, "v", None),
    ("semconv", "x", {"gen_ai.input.messages": MESSAGES, "gen_ai.output.messages": "[]"}, MESSAGES, "[]"),
    ("semconv tool", "x", {"gen_ai.tool.call.arguments": "{}", "gen_ai.tool.call.result": "r"}, "{}", "r"),
    # one side from one rule, the other from a later one
    ("sides from two rules", "x", {"input.value": "i", "gen_ai.output.messages": "[1]"}, "i", "[1]"),
    ("langfuse input, foreign output", "x", {"langfuse.observation.input": "i", "output.value": "o"}, "i", "o"),
    # beyond Langfuse
    ("retrieval", "x", {"gen_ai.retrieval.query.text": "q", "gen_ai.retrieval.documents": "[]"}, "q", "[]"),
    (
        "documents",
        "x",
        {"input.value": "q", "retrieval.documents.0.document.content": "d"},
        "q",
        [{"document": {"content": "d"}}],
    ),
    (
        "embeddings",
        "x",
        {"embedding.embeddings.0.embedding.text": "a", "embedding.embeddings.0.embedding.vector": [0.5]},
        ["a"],
        [{"text": "a", "vector": [0.5]}],
    ),
    (
        "instructions alone",
        "x",
        {"gen_ai.system_instructions": SYSTEM},
        [{"role": "system", "content": "Be brief."}],
        None,
    ),
    ("mastra", "x", {"mastra.span.type": "tool_call", "mastra.tool_call.input": "i"}, "i", None),
    ("laminar", "x", {"lmnr.span.input": "i", "lmnr.span.output": "o"}, "i", "o"),
    ("key-value list", "x", {"input.value": {"a": [1, {"b": True}]}}, {"a": [1, {"b": True}]}, None),
    ("empty stays empty", "x", {"input": "", "output": "o"}, "", "o"),
]


@pytest.mark.parametrize(
    ("scope", "attributes", "asked", "answered"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_content(scope: str, attributes: dict[str, Any], asked: Any, answered: Any) -> None:
    body = observation(attributes, scope=scope).body
    assert (body.get("input"), body.get("output")) == (asked, answered)


def test_vercel_answers_with_text_and_tool_calls_become_one_message() -> None:
    body = observation({"ai.response.text": "", "ai.response.toolCalls": "[]"}, scope="ai").body
    assert json.loads(body["output"]) == {"role": "assistant", "content": "", "tool_calls": "[]"}


@pytest.mark.parametrize(
    ("messages", "roles"),
    [
        (MESSAGES, ["system", "user"]),
        ('[{"role":"system","content":"own"}]', ["system"]),
    ],
)
def test_system_instructions_come_first_once(messages: str, roles: list[str]) -> None:
    body = observation({"gen_ai.input.messages": messages, "gen_ai.system_instructions": SYSTEM}).body
    assert [message["role"] for message in json.loads(body["input"])] == roles


def test_messages_that_are_no_list_keep_their_text() -> None:
    body = observation({"gen_ai.input.messages": "{broken", "gen_ai.system_instructions": SYSTEM}).body
    assert body["input"] == "{broken"


def test_content_of_span_events() -> None:
    events = [
        ("gen_ai.system.message", {"content": "s"}),
        ("gen_ai.user.message", {"content": "u", "role": "human"}),
        ("gen_ai.choice", {"message": "m"}),
    ]
    body = observation(of={"events": events}).body
    assert body["input"] == [{"role": "system", "content": "s"}, {"role": "human", "content": "u"}]
    assert body["output"] == {"message": "m"}


def test_several_choices_are_a_list() -> None:
    body = observation(of={"events": [("gen_ai.choice", {"index": 0}), ("gen_ai.choice", {"index": 1})]}).body
    assert body["output"] == [{"index": 0}, {"index": 1}]


def test_operation_details_event() -> None:
    details = ("gen_ai.client.inference.operation.details", {"gen_ai.input.messages": MESSAGES})
    assert observation(of={"events": [("gen_ai.choice", {}), details]}).body["input"] == MESSAGES


def test_oldest_prompt_events() -> None:
    events = [("gen_ai.content.prompt", {"gen_ai.prompt": "p"}), ("gen_ai.content.completion", {"other": 1})]
    body = observation(of={"events": events}).body
    assert (body["input"], body["output"]) == ("p", {"other": 1})


def test_trace_content_of_its_own() -> None:
    attributes = {"langfuse.trace.input": "ti", "langfuse.observation.input": "oi", "langfuse.observation.output": "oo"}
    assert {"input": "ti", "output": "oo"}.items() <= trace(attributes).body.items()
    assert {"input": "oi", "output": "oo"}.items() <= observation(attributes).body.items()


def test_only_the_trace_has_content() -> None:
    events, _ = mapped(span({"langfuse.trace.input": "ti"}))
    bodies = {event.entity.type: event.body for event in events}
    assert bodies["trace"]["input"] == "ti"
    assert "input" not in bodies["observation"]

"""What this mapping makes of spans where Langfuse's loses something: one test per improvement listed in docs/mapping.md."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openfuse_collector.enrich import enrich
from openfuse_collector.events.reference import fold
from openfuse_collector.events.rows import row
from openfuse_collector.mapping.metadata import NOTES
from tests.mapping.span_requests import CHILD, ROOT, mapped, observation, span, trace

CALL = {"id": "c1", "name": "weather", "arguments": '{"city":"Oslo"}'}


def stored(attributes: dict[str, Any], **of: Any) -> dict[str, Any]:
    """The row of a root span's observation."""
    record = fold([observation(attributes, of=of)])
    assert record is not None
    return dict(row("observation", enrich("observation", record)))


def test_the_missing_side_comes_from_a_later_rule() -> None:
    body = observation({"traceloop.entity.input": "asked", "gen_ai.output.messages": "[1]"}).body
    assert (body["input"], body["output"]) == ("asked", "[1]")


def test_operation_details_in_several_events() -> None:
    named = "gen_ai.client.inference.operation.details"
    events = [
        (named, {"gen_ai.system_instructions": "[]"}),
        (named, {"gen_ai.input.messages": "[1]"}),
        (named, {"gen_ai.output.messages": "[2]"}),
    ]
    body = observation(of={"events": events}).body
    assert (body["input"], body["output"]) == ("[1]", "[2]")


@pytest.mark.parametrize("type_", ["span", "event", "tool", "chain"])
def test_every_type_keeps_what_it_spent(type_: str) -> None:
    attributes = {
        "langfuse.observation.type": type_,
        "model": "m",
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.cost": 2.5,
    }
    kept = stored(attributes)
    assert (kept["provided_model_name"], json.loads(kept["usage_details"]), kept["total_cost"]) == (
        "m",
        {"input": 1, "total": 1},
        2.5,
    )


@pytest.mark.parametrize("type_", ["generation", "span", "event", "agent", "tool", "chain", "embedding", "evaluator"])
def test_every_type_keeps_its_prompt(type_: str) -> None:
    """Langfuse keeps the link of generations only."""
    kept = stored(
        {
            "langfuse.observation.type": type_,
            "langfuse.observation.prompt.name": "p",
            "langfuse.observation.prompt.version": 1,
        }
    )
    assert (kept["type"], kept["prompt_name"], kept["prompt_version"]) == (type_.upper(), "p", 1)


def test_an_agent_keeps_its_prompt_and_leaves_usage_to_its_calls() -> None:
    kept = stored(
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.request.model": "m",
            "gen_ai.usage.input_tokens": 5,
            "langfuse.prompt.name": "p",
            "langfuse.prompt.version": "2",
        }
    )
    assert (kept["prompt_name"], kept["prompt_version"]) == ("p", 2)
    assert (kept["provided_model_name"], kept["usage_details"], kept["total_usage"]) == (None, "{}", None)


CALLS: list[tuple[str, dict[str, Any]]] = [
    (
        "parts",
        {
            "gen_ai.output.messages": json.dumps(
                [{"role": "assistant", "parts": [{"type": "tool_call", **CALL, "arguments": {"city": "Oslo"}}]}]
            )
        },
    ),
    ("openllmetry", {f"gen_ai.completion.0.tool_calls.0.{key}": value for key, value in CALL.items()}),
    (
        "openinference",
        {
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "weather",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"city":"Oslo"}',
        },
    ),
    (
        "openinference behind output.value",
        {
            "output.value": "assistant: ",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "weather",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"city":"Oslo"}',
        },
    ),
]


@pytest.mark.parametrize("attributes", [case[1] for case in CALLS], ids=[case[0] for case in CALLS])
def test_tool_calls_reach_the_row(attributes: dict[str, Any]) -> None:
    kept = stored(attributes)
    assert json.loads(kept["tool_call_names"]) == ["weather"]
    (call,) = (json.loads(text) for text in json.loads(kept["tool_calls"]))
    assert (call["id"], json.loads(call["arguments"])) == ("c1", {"city": "Oslo"})


@pytest.mark.parametrize("written", [5, True, 0.5, "text", {"a": 1}], ids=str)
def test_what_is_no_list_of_tool_calls_is_passed_over(written: Any) -> None:
    calls = "llm.output_messages.0.message.tool_calls"
    attributes = {"output.value": "said", f"{calls}.0.tool_call.id": "c1", calls: written}
    assert (stored(attributes)["output"], stored(attributes)["tool_calls"]) == ("said", "[]")


def test_key_value_lists_bytes_and_64_bit_integers() -> None:
    attributes = {"map": {"a": [1, {"b": None}]}, "bytes": b"\x00\xff", "large": 2**63 - 1, "odd": 2**53 + 1}
    shown = observation(attributes).body["metadata"]["attributes"]
    assert shown == {"map": '{"a":[1,{"b":null}]}', "bytes": "AP8=", "large": str(2**63 - 1), "odd": str(2**53 + 1)}


FAILED = ("exception", {"exception.type": "ValueError", "exception.message": "no", "exception.stacktrace": "at line 1"})


def test_exceptions_say_what_happened() -> None:
    body = observation(of={"events": [("exception", {"exception.message": "retried"}), FAILED]}).body
    assert (body["level"], body["statusMessage"]) == ("ERROR", "ValueError: no")
    assert body["metadata"]["exception"] == {"type": "ValueError", "message": "no", "stacktrace": "at line 1"}


def test_an_exception_of_a_span_that_says_it_went_well_is_no_failure() -> None:
    made = span(events=[FAILED])
    made.status.code = made.status.STATUS_CODE_OK
    (_, event), _ = mapped(made)
    assert event.body["level"] == "DEFAULT"
    assert event.body["metadata"]["exception"]["stacktrace"] == "at line 1"


@pytest.mark.parametrize(
    ("key", "value", "type_"),
    [
        ("traceloop.span.kind", "tool", "tool"),
        ("traceloop.span.kind", "AGENT", "agent"),
        ("mlflow.spanType", '"CHAT_MODEL"', "generation"),
        ("mlflow.spanType", "reranker", "retriever"),
        ("langsmith.span.kind", "LLM", "generation"),
        ("openinference.span.kind", "RERANKER", "retriever"),
        ("openinference.span.kind", "reranker", "retriever"),
        ("openinference.span.kind", "PROMPT", "chain"),
        ("openinference.span.kind", "Evaluator", "evaluator"),
        ("langfuse.observation.type", "GENERATION", "generation"),
    ],
)
def test_kinds_in_any_case(key: str, value: str, type_: str) -> None:
    assert observation({key: value}).type == f"{type_}-create"


def test_documents_and_embeddings_are_outputs() -> None:
    documents = {"openinference.span.kind": "RETRIEVER", "retrieval.documents.0.document.content": "d"}
    assert observation(documents).body["output"] == [{"document": {"content": "d"}}]
    embedded = {"embedding.embeddings.0.embedding.text": "a", "embedding.embeddings.0.embedding.vector": [0.5]}
    assert observation({"openinference.span.kind": "EMBEDDING", **embedded}).body["output"] == [
        {"text": "a", "vector": [0.5]}
    ]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"langfuse.observation.prompt.name": "p", "langfuse.observation.prompt.version": "latest"}, "promptVersion"),
    ({"gen_ai.usage.input_tokens": 1.5}, "usageDetails"),
    ({"gen_ai.usage.input_tokens": 10**18 * 9, "langfuse.observation.usage_details": "{"}, "never"),
    ({"langfuse.observation.completion_start_time": "soon"}, "completionStartTime"),
    ({"langfuse.observation.cost_details": '{"total":"free"}'}, "costDetails"),
    ({"langfuse.observation.level": "loud"}, "never"),
    ({"langfuse.observation.model.parameters": "hot"}, "modelParameters"),
]


@pytest.mark.parametrize(("attributes", "lost"), WRONG, ids=[next(iter(case[0])) for case in WRONG])
def test_a_wrong_value_costs_its_own_field_and_is_noted(attributes: dict[str, Any], lost: str) -> None:
    body = observation({"langfuse.observation.type": "generation", "input.value": "i", **attributes}).body
    assert lost not in body
    assert (body["input"], body["name"]) == ("i", "work")
    assert len(body["metadata"][NOTES]) == 1


def test_a_resource_speaks_for_its_traces() -> None:
    resource = {"session.id": "s", "user.id": "u", "langfuse.trace.tags": ["t"]}
    body = trace(resource=resource).body
    assert (body["sessionId"], body["userId"], body["tags"]) == ("s", "u", ["t"])
    assert trace({"session.id": "own"}, resource=resource).body["sessionId"] == "own"


def test_a_later_span_that_says_nothing_resets_nothing() -> None:
    events, _ = mapped(
        span({"langfuse.trace.public": True, "langfuse.release": "r"}),
        span({"session.id": "s"}, span_id=CHILD, parent=ROOT),
    )
    record = fold([event for event in events if event.entity.type == "trace"])
    assert record is not None
    assert (record["public"], record["release"], record["session_id"]) == (True, "r", "s")


def test_numbers_no_double_can_hold_are_no_numbers() -> None:
    """Found by the fuzzer: an integer of hundreds of digits cannot even be asked whether it is finite."""
    huge = "9" * 400
    body = observation(
        {
            "gen_ai.usage.input_tokens": huge,
            "gen_ai.usage.cost": huge,
            "gen_ai.response.time_to_first_chunk": huge,
            "langfuse.observation.cost_details": f'{{"input":{huge}}}',
            "langfuse.observation.usage_details": f'{{"input":{huge},"output":2}}',
            "langfuse.observation.completion_start_time": huge,
            "langfuse.observation.prompt.version": huge,
        }
    ).body
    assert "costDetails" not in body
    assert body["usageDetails"] == {"output": 2}

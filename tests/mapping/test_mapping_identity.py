"""Same span, same events; another span, other events; and nothing a neighbour does changes that."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from openfuse_collector.mapping import MAPPING_VERSION, map_traces
from tests.mapping.span_requests import CHILD, ORIGIN, ROOT, mapped, observation, request, singles, span, substance

KEYS = (
    "gen_ai.operation.name",
    "gen_ai.input.messages",
    "gen_ai.system_instructions",
    "gen_ai.prompt.0.content",
    "gen_ai.prompt.1.tool_calls.0.name",
    "gen_ai.tool.definitions",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.cost",
    "llm.input_messages.0.message.content",
    "openinference.span.kind",
    "langfuse.observation.type",
    "langfuse.observation.level",
    "langfuse.observation.usage_details",
    "langfuse.observation.cost_details",
    "langfuse.observation.model.parameters",
    "langfuse.observation.completion_start_time",
    "langfuse.observation.metadata",
    "langfuse.observation.prompt.version",
    "langfuse.trace.metadata.k",
    "langfuse.trace.tags",
    "langfuse.trace.public",
    "langfuse.environment",
    "langfuse.version",
    "user.id",
    "session.id",
    "ai.operationId",
    "ai.model.id",
    "ai.response.providerMetadata",
    "ai.prompt.tools",
    "ai.telemetry.metadata.langfusePrompt",
    "gcp.vertex.agent.llm_response",
    "model_request_parameters",
    "embedding.embeddings.0.embedding",
    "genkit:input",
    "genkit:output",
    "mastra.span.type",
    "mlflow.spanType",
    "mlflow.chat.tokenUsage",
    "events",
    "all_messages_events",
    "input",
    "model",
)
TEXTS = st.sampled_from(
    (
        "",
        "x",
        "{}",
        "[]",
        "null",
        "5",
        '{"a":',
        "a,b",
        "chat",
        "tool_call",
        "[[]]",
        '[{"role":[]},{"event.name":{}}]',
        '{"usage":5}',
        '{"usage":{"inputTokens":"5","outputTokens":1.5,"thoughtsTokens":true}}',
        '{"openai":{"reasoningTokens":"x","serviceTier":{}},"bedrock":{"usage":[]}}',
        '{"anthropic":{"usage":{"cache_creation":{"ephemeral_5m_input_tokens":[]}}}}',
        '{"usage_metadata":{"cached_content_token_count":"4"}}',
        '{"function_tools":[{"name":[]}],"config":[],"messages":null}',
        '{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"a":[]}}',
        '[{"name":"t"},{"function":{"name":{}}}]',
        '{"name":{},"version":[]}',
    )
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), TEXTS, st.binary(max_size=3)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
ATTRIBUTES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8)
SCOPES = st.sampled_from(
    ("x", "ai", "genkit-tracer", "langfuse-sdk", "pydantic-ai", "gcp.vertex.agent", "livekit-agents")
)
EVENT_NAMES = st.sampled_from(("exception", "gen_ai.choice", "gen_ai.user.message", "gen_ai.content.prompt"))
SPAN_EVENTS = st.lists(st.tuples(EVENT_NAMES, ATTRIBUTES), max_size=2)


@settings(max_examples=300, deadline=None)
@given(ATTRIBUTES, SCOPES, SPAN_EVENTS, ATTRIBUTES)
def test_any_values_are_mapped_and_can_be_stored(
    attributes: dict[str, Any], scope: str, events: list[tuple[str, dict[str, Any]]], resource: dict[str, Any]
) -> None:
    """No attribute, whatever its type, costs more than its field; every body is JSON without NaN."""
    result = mapped(span(attributes, events=events, span_id=CHILD, parent=ROOT), scope=scope, resource=resource)
    assert result.failures == []
    assert [event.entity.type for event in result.events].count("observation") == 1
    for event in result.events:
        assert msgspec.json.decode(msgspec.json.encode(event.body)) == event.body


@settings(max_examples=100, deadline=None)
@given(st.lists(ATTRIBUTES, min_size=1, max_size=4), st.booleans())
def test_how_spans_are_split_over_requests_does_not_matter(written: list[dict[str, Any]], with_root: bool) -> None:
    spans = [
        span(one, span_id=f"{n + 16:016x}", parent="" if with_root and n == 0 else ROOT)
        for n, one in enumerate(written)
    ]
    whole = request(*spans)
    apart = [event for one in singles(whole) for event in map_traces(one, ORIGIN).events]
    assert substance(apart) == substance(map_traces(whole, ORIGIN).events)


def test_ids_are_uuids_that_depend_on_content_only() -> None:
    later = msgspec.structs.replace(ORIGIN, received_at=ORIGIN.received_at + 10**12)
    made = request(span({"a": 1}), span({"a": 2}, span_id=CHILD, parent=ROOT))
    one, two = map_traces(made, ORIGIN).events, map_traces(made, later).events
    assert [event.id for event in one] == [event.id for event in two]
    assert len({event.id for event in one}) == 3
    assert {uuid.UUID(event.id).version for event in one} == {8}


def test_ids_tell_apart_what_differs() -> None:
    base = observation({"a": 1}).id
    others = [
        observation({"a": 2}).id,
        observation({"a": 1}, scope="other").id,
        observation({"a": 1}, scope_version="2").id,
        observation({"a": 1}, resource={"r": 1}).id,
        observation({"a": 1}, of={"name": "other"}).id,
        observation({"a": 1}, of={"end": 5}).id,
        observation({"a": 1}, of={"events": [("e", {})]}).id,
        map_traces(request(span({"a": 1})), msgspec.structs.replace(ORIGIN, project_id="p2")).events[1].id,
    ]
    assert len({base, *others}) == len(others) + 1


def test_the_source_of_an_event_is_named_with_the_mapping_version() -> None:
    of_trace, of_observation = mapped(span()).events
    assert of_trace.metadata == of_observation.metadata
    assert of_observation.metadata is not None
    assert of_observation.metadata["mapping"] == MAPPING_VERSION
    assert len(of_observation.metadata["source"]) == 32


def test_events_of_one_entity_are_numbered() -> None:
    received = ORIGIN.received_at // 1_000_000
    events = mapped(span(), span({"user.id": "u"}, span_id=CHILD, parent=ROOT)).events
    assert [(event.entity.type, event.ingested_at - received) for event in events] == [
        ("trace", 0),
        ("observation", 0),
        ("trace", 1),
        ("observation", 0),
    ]


def test_a_span_without_ids_leaves_its_neighbours_alone() -> None:
    result = mapped(span(span_id=""), span({"a": 1}), span(trace_id=""))
    assert [failure.path[-8:] for failure in result.failures] == ["spans[0]", "spans[2]"]
    assert "needs a trace id" in result.failures[0].reason
    assert substance(result.events) == substance(mapped(span({"a": 1})).events)

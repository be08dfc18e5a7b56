"""What spans say about their traces: full events from roots, updates, shallow ones, and the fields in them."""

from __future__ import annotations

from typing import Any

import pytest

from openfuse_collector.events.columns import OTHERWISE
from openfuse_collector.events.reference import fold
from tests.mapping.span_requests import CHILD, END, ROOT, START, TRACE, mapped, request, span, trace

OTHER = "1" * 16


def traces(*spans: Any, **around: Any) -> list[Any]:
    """The trace events of spans."""
    return [event for event in mapped(*spans, **around).events if event.entity.type == "trace"]


def child(attributes: dict[str, Any] | None = None, span_id: str = CHILD, **more: Any) -> Any:
    """A span below the root."""
    return span(attributes, span_id=span_id, parent=ROOT, **more)


def test_a_root_tells_everything() -> None:
    attributes = {
        "user.id": "u",
        "session.id": "s",
        "langfuse.trace.tags": ["a", "b"],
        "langfuse.trace.public": True,
        "langfuse.release": "r",
        "input.value": "i",
        "output.value": "o",
        "langfuse.trace.metadata.k": 1,
    }
    event = trace(attributes, resource={"service.version": "v"})
    assert event.body.pop("metadata") == {
        "k": 1,
        "attributes": {
            "user.id": "u",
            "session.id": "s",
            "langfuse.trace.tags": '["a","b"]',
            "langfuse.trace.public": "true",
            "langfuse.release": "r",
        },
        "resourceAttributes": {"service.version": "v"},
        "scope": {"name": "test-scope", "attributes": {}},
    }
    assert event.body == {
        "id": TRACE,
        "timestamp": event.timestamp,
        "name": "work",
        "environment": "default",
        "version": "v",
        "release": "r",
        "userId": "u",
        "sessionId": "s",
        "tags": ["a", "b"],
        "public": True,
        "input": "i",
        "output": "o",
    }


def test_a_span_with_trace_attributes_tells_only_those() -> None:
    (event,) = traces(child({"user.id": "u", "input.value": "i", "gen_ai.request.model": "m"}))
    assert event.body["userId"] == "u"
    assert event.body["metadata"].keys() == {"resourceAttributes", "scope"}
    assert event.body.keys() == {"id", "timestamp", "environment", "userId", "metadata"}


@pytest.mark.parametrize(
    ("attributes", "tells"),
    [
        ({"langfuse.trace.name": "n"}, True),
        ({"langfuse.trace.metadatax": ""}, True),
        ({"langfuse.trace.public": "false"}, True),
        ({"tag.tags": ["a"]}, True),
        ({"langfuse.trace.public": False}, False),
        ({"langfuse.trace.name": ""}, False),
        ({"gen_ai.conversation.id": "c"}, False),
        ({"langfuse.tags": ["a"]}, False),
        ({"langfuse.internal.is_app_root": True}, False),
    ],
)
def test_what_makes_a_span_speak_for_its_trace(attributes: dict[str, Any], tells: bool) -> None:
    (event,) = traces(child(attributes))
    assert event.shallow is not tells


@pytest.mark.parametrize(
    ("written", "is_root"), [(True, True), ("true", True), ("TRUE", False), (False, False), (1, False)]
)
def test_declared_roots(written: Any, is_root: bool) -> None:
    (event,) = traces(child({"langfuse.internal.as_root": written}))
    assert ("name" in event.body) is is_root


def test_one_shallow_event_per_trace_from_the_earliest_span() -> None:
    late, early = child(start=END), child(span_id=OTHER, start=START)
    (event,) = traces(late, early)
    (again,) = traces(early, late)
    assert event == again
    assert event.metadata == {"shallow": True}
    assert event.body == {"id": TRACE, "timestamp": event.timestamp, "environment": "default"}


def test_no_shallow_event_beside_a_full_one() -> None:
    assert [event.shallow for event in traces(child(), span(), child(span_id=OTHER))] == [False]
    assert [event.shallow for event in traces(child(), child({"user.id": "u"}, span_id=OTHER))] == [False]


def test_shallow_events_of_other_environments_are_other_events() -> None:
    (one,), (two,) = (traces(child({"langfuse.environment": name})) for name in ("a", "b"))
    assert one.id != two.id


def test_trace_event_comes_before_the_observation_and_shallow_ones_last() -> None:
    kinds = [event.entity.type for event in mapped(span(), child(trace_id="2" * 32)).events]
    assert kinds == ["trace", "observation", "observation", "trace"]


@pytest.mark.parametrize(
    ("written", "tags"),
    [
        (["a", 1, True], ["a", "1", "true"]),
        ('["a", 2]', ["a", "2"]),
        ("a, b,,c", ["a", "b", "", "c"]),
        ('["a", ', ['["a"', ""]),
        ("one", ["one"]),
        (5, None),
        (True, None),
        ("", None),
    ],
)
def test_tags(written: Any, tags: list[str] | None) -> None:
    assert trace({"langfuse.trace.tags": written}).body.get("tags") == tags


@pytest.mark.parametrize(
    ("attributes", "public"),
    [
        ({"langfuse.trace.public": "true"}, True),
        ({"langfuse.trace.public": "TRUE"}, False),
        ({"langfuse.trace.public": 1}, False),
        ({"langfuse.public": True}, True),
        ({"langfuse.trace.public": False, "langfuse.public": True}, False),
        ({}, None),
    ],
)
def test_public(attributes: dict[str, Any], public: bool | None) -> None:
    assert trace(attributes).body.get("public") is public


@pytest.mark.parametrize(
    ("attributes", "resource", "session"),
    [
        ({"gen_ai.conversation.id": "c", "session.id": "s"}, {}, "s"),
        ({"session.id": "", "gen_ai.conversation.id": 42}, {}, "42"),
        ({"langsmith.metadata.session_id": "l"}, {}, "l"),
        ({"traceloop.association.properties.session_id": "t"}, {"session.id": "r"}, "t"),
        ({}, {"session.id": "r"}, "r"),
    ],
)
def test_session(attributes: dict[str, Any], resource: dict[str, Any], session: str) -> None:
    assert trace(attributes, resource=resource).body["sessionId"] == session


def test_user_and_tags_of_the_resource_are_the_last_resort() -> None:
    body = trace(resource={"user.id": "u", "langfuse.trace.tags": "a,b"}).body
    assert (body["userId"], body["tags"]) == ("u", ["a", "b"])
    assert trace({"user.id": "own"}, resource={"user.id": "u"}).body["userId"] == "own"


OWN = {"langfuse.user.id": "alice", "session.id": "chat-9", "langfuse.trace.tags": ["own"]}


@pytest.mark.parametrize(
    "below",
    [
        {"session.id": "chat-9"},
        {"session.id": "chat-9", "gen_ai.request.user": "hash-123", "enduser.id": "e"},
        {"user.id": "alice", "langsmith.metadata.session_id": "run-1", "conversation.id": "c"},
        {"user.id": "alice", "metadata": '{"thread_id": "t"}'},
        {"langfuse.trace.name": "n", "traceloop.association.properties.tags": ["theirs"]},
    ],
)
@pytest.mark.parametrize(
    "resource", [{}, {"user.id": "svc-account", "session.id": "process-7", "langfuse.trace.tags": ["service"]}]
)
def test_what_identifies_less_than_the_root_does_not_replace_what_it_said(
    below: dict[str, Any], resource: dict[str, Any]
) -> None:
    """Whoever calls a model below the root knows of a call, a run or a process; the root said whose trace it is."""
    record = fold(traces(span(OWN), child(below, start=START + 1), resource=resource))
    assert record is not None
    assert (record["user_id"], record["session_id"], record["tags"]) == ("alice", "chat-9", ["own"])


@pytest.mark.parametrize(
    ("below", "resource", "identity"),
    [
        ({"session.id": "s", "user_id": "user-7"}, {}, ("user-7", "s", [])),
        (
            {"user.id": "u", "conversation.id": "c", "traceloop.association.properties.tags": ["t"]},
            {},
            ("u", "c", ["t"]),
        ),
        ({"user.id": "u"}, {"session.id": "r", "langfuse.trace.tags": "t"}, ("u", "r", ["t"])),
        ({"session.id": "s", "user_id": "user-7"}, {"user.id": "svc-account"}, ("user-7", "s", [])),
    ],
)
@pytest.mark.parametrize("known", [(), (span(),)], ids=["no root", "a root that says nothing"])
def test_below_the_root_anything_fills_what_nobody_says(
    known: tuple[Any, ...], below: dict[str, Any], resource: dict[str, Any], identity: tuple[Any, ...]
) -> None:
    told = traces(child(below, start=START + 1), resource=resource)
    record = fold([*traces(*known), *told])
    assert record is not None
    assert (record["user_id"], record["session_id"], record["tags"]) == identity
    assert record.keys().isdisjoint(OTHERWISE.values())


def test_what_is_meant_for_the_trace_counts_below_the_root_as_langfuse_has_it() -> None:
    told = {"user.id": "bob", "gen_ai.conversation.id": "chat-10", "langfuse.trace.tags": ["more"]}
    record = fold(traces(span(OWN), child(told, start=START + 1)))
    assert record is not None
    assert (record["user_id"], record["session_id"], record["tags"]) == ("bob", "chat-10", ["more", "own"])


def test_the_name_of_a_trace_is_bounded() -> None:
    body = trace(of={"name": "n" * 2000}).body
    assert len(body["name"]) == 1000


def test_resource_metadata_is_the_traces() -> None:
    body = trace(
        {"langfuse.trace.metadata": '{"a":1}'}, resource={"langfuse.trace.metadata.b": 2, "langfuse.metadata.a": 0}
    ).body
    assert {"a": 1, "b": 2}.items() <= body["metadata"].items()


def test_langfuse_sdk_spans_do_not_repeat_their_attributes() -> None:
    assert "attributes" not in trace({"x": 1}, scope="langfuse-sdk").body["metadata"]


def test_requests_are_not_changed() -> None:
    made = request(span({"input.value": "i", "gen_ai.tool.definitions": '[{"name":"t"}]'}))
    before = made.SerializeToString(deterministic=True)
    from openfuse_collector.mapping import map_traces
    from tests.mapping.span_requests import ORIGIN

    map_traces(made, ORIGIN)
    assert made.SerializeToString(deterministic=True) == before

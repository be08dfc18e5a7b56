"""A batch: the 207 body, the events that come of it, sampling, attribution. Langfuse's recorded cases and our own."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from langfuse_harness import NOW, cases, envelope, needs_shared

from openfuse_collector.auth import Scope
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.receivers.langfuse.ingestion import accept, client_metadata
from openfuse_collector.receivers.langfuse.records import decode_events, encode_events
from tests.conformance import api_cases

RECEIVED = 1_795_000_000_123_456_789
MILLIS = 1_795_000_000_123

BATCHES = [case for case in cases("process_batch") if "expected_response" in case]


@pytest.mark.shared
@needs_shared
@pytest.mark.parametrize("case", BATCHES, ids=lambda case: case["id"])
def test_recorded_batches(case: dict[str, Any]) -> None:
    assert api_cases.process_batch(case) == []


@pytest.mark.shared
@needs_shared
@pytest.mark.parametrize("case", cases("sampling"), ids=lambda case: case["id"])
def test_recorded_sampling(case: dict[str, Any]) -> None:
    assert api_cases.sampling(case) == []


@pytest.mark.shared
@needs_shared
@pytest.mark.parametrize(
    "case", [case for case in cases("sdk_attribution") if "headers" in case], ids=lambda case: case["id"]
)
def test_recorded_attribution(case: dict[str, Any]) -> None:
    assert api_cases.sdk_attribution(case) == []


def accepted_events(*batch: Any) -> list[Event]:
    return accept(list(batch), "p", RECEIVED).events


def test_one_bad_event_takes_nobody_along() -> None:
    batch = [envelope("trace-create", {"id": "a"}, "e1"), 5, envelope("trace-create", {"id": 5}, "e2"), None]
    accepted = accept([*batch, envelope("trace-create", {"id": "b"}, "e3")], "p", RECEIVED)
    assert [success["id"] for success in accepted.response["successes"]] == ["e1", "e3"]
    assert [(error["id"], error["status"]) for error in accepted.response["errors"]] == [
        ("unknown", 400), ("e2", 400), ("unknown", 400),
    ]  # fmt: skip
    assert json.loads(accepted.response["errors"][1]["error"])[0]["path"] == ["body", "id"]
    assert [event.entity for event in accepted.events] == [Entity("p", "trace", "a"), Entity("p", "trace", "b")]


UNFIT_PARAMETERS = {"id": "g", "modelParameters": {str(n): [0] * 20 for n in range(20)}}
"""Twenty values, of each of which twenty things are wrong in five ways."""


def encoded_size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def test_what_is_wrong_with_one_event_has_a_bound() -> None:
    batch = [envelope("generation-create", UNFIT_PARAMETERS, f"e{n}") for n in range(30)]
    response = accept(batch, "p", RECEIVED).response
    assert len(response["errors"]) == 30 and encoded_size(response) < 6 * encoded_size(batch)
    issues = json.loads(response["errors"][29]["error"])
    assert issues[0]["path"] == ["body", "modelParameters", "0"] and issues[0]["code"] == "invalid_union"
    assert [len(alternative) for alternative in issues[0]["errors"]] == [1, 1, 1, 3, 1]
    assert issues[-1]["message"] == issues[0]["errors"][3][-1]["message"] == "More may be wrong than is listed here"


def test_what_is_wrong_with_a_whole_batch_has_a_bound() -> None:
    """Every event that was refused is named all the same."""
    good = envelope("trace-create", {"id": "t"}, "good")
    batch = [envelope("generation-create", UNFIT_PARAMETERS, f"e{n}") for n in range(800)]
    for refused in (batch, [5] * 9999):
        response = accept([*refused, good], "p", RECEIVED).response
        assert encoded_size(response) < encoded_size(refused) + 2 * 1024 * 1024
        assert [error["id"] for error in response["errors"]] == [
            event["id"] if isinstance(event, dict) else "unknown" for event in refused
        ]
        assert json.loads(response["errors"][0]["error"])
        assert response["errors"][-1]["error"] == "Not listed: the answer is long enough without it"
        assert response["successes"] == [{"id": "good", "status": 201}]


def test_a_key_the_client_chose_is_not_repeated_at_length() -> None:
    body = {"id": "g", "modelParameters": {"k" * 100_000: {"l" * 100_000: 1}}}
    [error] = accept([envelope("generation-create", body)], "p", RECEIVED).response["errors"]
    [issue] = json.loads(error["error"])
    assert issue["path"] == ["body", "modelParameters", "k" * 100] and len(error["error"]) < 4096


def test_updates_come_last_and_the_others_by_time() -> None:
    events = accepted_events(
        envelope("span-update", {"id": "s"}, "u2", "2026-01-15T12:00:03Z"),
        envelope("span-update", {"id": "s"}, "u1", "2026-01-15T12:00:02.5Z"),
        envelope("span-create", {"id": "s"}, "c2", "2026-01-15T14:00:00.000001+02:00"),
        envelope("span-create", {"id": "s"}, "c1", "2026-01-15T12:00:00Z"),
    )
    assert [event.id for event in events] == ["c1", "c2", "u1", "u2"]
    assert [event.ingested_at for event in events] == [MILLIS, MILLIS + 1, MILLIS + 2, MILLIS + 3]


def test_arrival_counts_up_per_entity() -> None:
    events = accepted_events(
        envelope("trace-create", {"id": "x"}, "e1"),
        envelope("span-create", {"id": "x"}, "e2"),
        envelope("trace-create", {"id": "x"}, "e3"),
    )
    assert [(event.id, event.ingested_at - MILLIS) for event in events] == [("e1", 0), ("e2", 0), ("e3", 1)]


def test_what_langfuse_loses_gets_an_id_that_every_copy_has() -> None:
    trace, score = envelope("trace-create", {"name": "n"}, "e1"), envelope("score-create", {}, "e1")
    score["body"] = {"name": "n", "traceId": "t", "value": 1, "id": None}
    first, again = accepted_events(trace, score), accepted_events(score, trace)
    by_type = {event.type: event for event in first}
    assert {event.type: event.entity for event in again} == {event.type: event.entity for event in first}
    assert by_type["trace-create"].entity.id != by_type["score-create"].entity.id
    assert all(event.body["id"] == event.entity.id and len(event.entity.id) == 36 for event in first)
    elsewhere = accept([trace], "q", RECEIVED).events[0]
    assert elsewhere.entity.id != by_type["trace-create"].entity.id


def test_logs_of_sdks_appear_nowhere() -> None:
    accepted = accept([envelope("sdk-log", {"log": {"a": 1}})], "p", RECEIVED)
    assert accepted == ([], {"successes": [], "errors": []}, 0)


def test_a_key_for_scores_adds_scores_only() -> None:
    batch = [
        5,
        envelope("trace-create", {"id": "t"}, "e1"),
        envelope("score-create", {"id": "s", "name": "n", "traceId": "t", "value": 1}, "e2"),
        envelope("sdk-log", {"log": 1}, "e3"),
    ]
    accepted = accept(batch, "p", RECEIVED, Scope.SCORES)
    assert accepted.response["successes"] == [{"id": "e2", "status": 201}]
    invalid, denied = accepted.response["errors"]
    assert invalid["status"] == 400
    assert denied == {"id": "e1", "status": 401, "message": "Authentication error", "error": "Access Scope Denied"}
    assert [event.type for event in accepted.events] == ["score-create"]


def test_sampling_answers_for_what_it_leaves_out() -> None:
    batch = [envelope("trace-create", {"id": f"t{n}"}, f"e{n}") for n in range(200)]
    batch += [envelope("span-create", {"id": f"s{n}", "traceId": f"t{n}"}, f"f{n}") for n in range(200)]
    batch.append(envelope("span-create", {"id": "free"}, "g"))
    batch.append(envelope("score-create", {"id": "sc", "name": "n", "sessionId": "s", "traceId": "", "value": 1}, "h"))
    accepted = accept(batch, "p", RECEIVED, rate=0.5)
    assert len(accepted.response["successes"]) == 402
    traces = {event.entity.id for event in accepted.events if event.type == "trace-create"}
    assert {event.body.get("traceId") for event in accepted.events if event.type == "span-create"} == {*traces, None}
    assert accepted.sampled_out == 2 * (200 - len(traces)) and 60 < len(traces) < 140
    assert {event.entity.id for event in accept(batch, "p", RECEIVED, rate=0.0).events} == {"free", "sc"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"sdk": 1}, {"sdk": 1}),
        ({}, {}),
        ("text", {"client": "text"}),
        ([1], {"client": [1]}),
        (False, {"client": False}),
        ({"source": "mine", "mapping": 99}, {"client": {"source": "mine", "mapping": 99}}),
        ({"shallow": True}, {"client": {"shallow": True}}),
        ({"erased": True}, {"client": {"erased": True}}),
    ],
)
def test_envelope_metadata_cannot_pass_for_the_collectors(given: Any, kept: dict[str, Any]) -> None:
    assert client_metadata(given) == kept
    [event] = accepted_events({**envelope("trace-create", {"id": "t"}), "metadata": given})
    assert event.metadata == kept and not event.derived and not event.shallow


@pytest.mark.parametrize("more", [{}, {"metadata": None}])
def test_no_envelope_metadata(more: dict[str, Any]) -> None:
    [event] = accepted_events({**envelope("trace-create", {"id": "t"}), **more})
    assert event.metadata is None


def test_a_resend_has_the_same_events() -> None:
    batch = [envelope("trace-create", {"id": "t", "input": {"a": [1, 2.5, None, "é"]}}, f"e{n}") for n in range(5)]
    shuffled = random.Random(1).sample(batch, len(batch))

    def identities(given: list[Any]) -> set[tuple[Entity, str, str]]:
        return {(event.entity, event.id, json.dumps(event.body)) for event in accept(given, "p", RECEIVED).events}

    assert identities(batch) == identities(shuffled)


def test_events_survive_the_journal() -> None:
    body = {"id": "t", "input": {"big": 10**30, "text": "\u0000 é 😀", "float": 1.0}, "metadata": [None, True]}
    events = accepted_events({**envelope("trace-create", body), "metadata": {"k": 1}}, envelope("sdk-log", {"log": 1}))
    assert decode_events(encode_events(events)) == events
    assert type(decode_events(encode_events(events))[0].body["input"]["float"]) is float


def test_every_event_type_is_accepted_and_names_its_entity() -> None:
    observation_types = ["event-create", "span-create", "span-update", "generation-create", "generation-update"]
    observation_types += [f"{kind}-create" for kind in ("agent", "tool", "chain", "retriever", "evaluator")]
    observation_types += ["embedding-create", "guardrail-create", "observation-create", "observation-update"]
    batch = [envelope(type_, {"id": type_, "type": "SPAN"}, type_) for type_ in observation_types]
    accepted = accept(batch, "p", RECEIVED)
    assert accepted.response["errors"] == []
    assert {event.entity.id: event.entity.type for event in accepted.events} == dict.fromkeys(
        observation_types, "observation"
    )
    assert all(event.timestamp == NOW for event in accepted.events)

"""Scores by their own endpoint, and the endpoints before the ingestion API."""

from __future__ import annotations

from typing import Any

import pytest
from langfuse_harness import Running

from openfuse_collector.receivers.langfuse.calls import iso
from openfuse_collector.receivers.langfuse.schemas.fields import is_timestamp

API = "/api/public"
SCORE = {"id": "s", "name": "n", "traceId": "t", "value": 1}


async def test_a_score(running: Running) -> None:
    answer = await running.call("POST", f"{API}/scores", {**SCORE, "environment": "Prod", "surplus": 1})
    assert (answer.status, answer.body) == (200, {"id": "s"})
    [event] = running.intake.events
    assert event.type == "score-create" and event.entity == ("default", "score", "s")
    assert event.body == {**SCORE, "environment": "prod", "source": "API"}
    assert event.timestamp == iso(running.intake.kept[0].origin.received_at)


@pytest.mark.parametrize("id", [{}, {"id": ""}, {"id": None}])
async def test_a_score_without_id_gets_one(running: Running, id: dict[str, Any]) -> None:
    body = {name: value for name, value in SCORE.items() if name != "id"} | id
    answer = await running.call("POST", f"{API}/scores", body)
    [event] = running.intake.events
    assert answer.body == {"id": event.entity.id} and len(event.entity.id) == 36


async def test_a_score_keeps_its_own_time(running: Running) -> None:
    await running.call("POST", f"{API}/scores", [{**SCORE, "timestamp": "2026-01-15T12:00:00.123456Z"}])
    await running.call("POST", f"{API}/scores", [{**SCORE, "timestamp": "yesterday"}])
    stated, other = running.intake.events
    assert stated.timestamp == "2026-01-15T12:00:00.123456Z"
    assert is_timestamp(other.timestamp) and stated.id != other.id


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"value": None}, ["value"]),
        ({"source": "EVAL"}, ["source"]),
        ({"source": "ANNOTATION"}, ["configId"]),
        ({"name": ""}, ["name"]),
        ({"sessionId": "s"}, ["traceId", "sessionId", "datasetRunId", "observationId"]),
    ],
)
async def test_a_score_that_is_no_good(running: Running, change: dict[str, Any], where: list[str]) -> None:
    answer = await running.call("POST", f"{API}/scores", SCORE | change)
    assert answer.status == 400 and answer.body["message"] == "Invalid request data"
    assert [issue["path"] for issue in answer.body["error"]] == [where]
    assert running.intake.kept == [] and running.metric("openfuse_receiver_rejected_events") == 1


async def test_annotations_that_are_good(running: Running) -> None:
    annotation = SCORE | {"source": "ANNOTATION"}
    correction = annotation | {"value": "right", "dataType": "CORRECTION"}
    for body in (annotation | {"configId": "c"}, correction):
        assert (await running.call("POST", f"{API}/scores", body)).status == 200


async def test_an_array_of_scores(running: Running) -> None:
    scores = [{**SCORE, "id": f"s{n}"} for n in range(3)]
    answer = await running.call("POST", f"{API}/scores", scores)
    assert (answer.status, answer.body) == (202, {"message": "Accepted"})
    assert [event.entity.id for event in running.intake.events] == ["s0", "s1", "s2"]


async def test_an_array_with_a_bad_score(running: Running) -> None:
    answer = await running.call("POST", f"{API}/scores", [SCORE, 5, SCORE | {"value": True}])
    assert answer.status == 207
    assert answer.body == {
        "accepted": 1,
        "rejected": 2,
        "errors": [
            {"message": "Score 1: Invalid input: expected object, received number"},
            {"message": "Score 2: value: Invalid input"},
        ],
    }
    assert len(running.intake.events) == 1 and running.metric("openfuse_receiver_rejected_events") == 2


async def test_an_array_of_bad_scores_has_a_short_answer(running: Running) -> None:
    answer = await running.call("POST", f"{API}/scores", [{}] * 10_000)
    assert (answer.status, answer.body["rejected"], len(answer.body["errors"])) == (207, 10_000, 10_000)
    assert answer.body["errors"][0]["message"].startswith("Score 0: name: Invalid input")
    assert answer.body["errors"][9999]["message"] == "Score 9999: Not listed: the answer is long enough without it"
    assert int(answer.headers["Content-Length"]) < 2 * 1024 * 1024


OLD_CALLS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "POST traces": ("trace-create", {"id": "x", "name": "n"}, "trace", {"id": "x", "name": "n"}),
    "POST spans": ("span-create", {"id": "x", "traceId": "t"}, "observation", {"id": "x", "traceId": "t"}),
    "PATCH spans": ("span-update", {"spanId": "x", "output": 1}, "observation", {"id": "x", "output": 1}),
    "POST generations": (
        "generation-create",
        {"id": "x", "prompt": "p", "completion": "c", "output": "newer name", "environment": "Dev"},
        "observation",
        {"id": "x", "input": "p", "output": "newer name", "environment": "dev", "usage": None},
    ),
    "PATCH generations": (
        "generation-update",
        {"generationId": "x", "completion": "c", "usage": {"promptTokens": 2}},
        "observation",
        {"id": "x", "output": "c", "usage": {"input": 2, "unit": "TOKENS"}},
    ),
    "POST events": ("event-create", {"id": "x", "level": "ERROR"}, "observation", {"id": "x", "level": "ERROR"}),
}


@pytest.mark.parametrize("call", OLD_CALLS)
async def test_old_endpoints(running: Running, call: str) -> None:
    type_, body, entity_type, kept = OLD_CALLS[call]
    method, resource = call.split()
    answer = await running.call(method, f"{API}/{resource}", body)
    assert (answer.status, answer.body) == (200, {"id": "x"})
    [event] = running.intake.events
    assert (event.type, event.entity) == (type_, ("default", entity_type, "x"))
    assert event.body == {"environment": "default", **kept}


@pytest.mark.parametrize("resource", ["traces", "spans", "generations", "events"])
async def test_old_endpoints_make_ids(running: Running, resource: str) -> None:
    answer = await running.call("POST", f"{API}/{resource}", {"name": "n"})
    [event] = running.intake.events
    assert answer.body == {"id": event.entity.id} == {"id": event.body["id"]}


@pytest.mark.parametrize("resource", ["spans", "generations"])
async def test_old_updates_need_an_id(running: Running, resource: str) -> None:
    answer = await running.call("PATCH", f"{API}/{resource}", {"name": "n"})
    assert answer.status == 400 and answer.body["error"][0]["path"] == [f"{resource[:-1]}Id"]


async def test_old_endpoints_validate(running: Running) -> None:
    answer = await running.call("POST", f"{API}/spans", {"startTime": "now"})
    assert answer.status == 400 and answer.body["message"] == "Invalid request data"
    assert "Invalid ISO datetime" in answer.body["error"]
    assert (await running.call("POST", f"{API}/spans", [])).status == 400
    assert running.intake.kept == []

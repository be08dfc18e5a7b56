"""Calls without ids that are refused when the journal may still keep them: their repetition is the same call, an equal one is another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langfuse.api.client import LangfuseAPI
from langfuse.api.scores import CreateScoreRequest
from langfuse_harness import Answer, Running

from openfuse_collector.errors import OverloadError
from openfuse_collector.events.reference import fold
from openfuse_collector.receivers.langfuse.repeats import CallIds, RefusedCalls

API = "/api/public"
SCORE = {"name": "thumb", "traceId": "t", "value": 1}
CALLS: dict[str, Any] = {
    "scores": SCORE,
    "traces": {"name": "n"},
    "spans": {"name": "n", "traceId": "t"},
    "generations": {"name": "n"},
    "events": {"name": "n"},
}


async def post(running: Running, path: str, body: Any) -> Answer:
    return await running.call("POST", f"{API}/{path}", body)


async def refused_late(running: Running, path: str, body: Any, times: int = 1) -> None:
    """Calls that are answered before the journal has said anything. It keeps them as soon as its gate is open."""
    api = running.receiver._api
    running.intake.gate = running.intake.gate or asyncio.Event()
    patience, api.patience = api.patience, 0.0
    for _ in range(times):
        answer = await post(running, path, body)
        assert answer.status == 429 and "did not answer" in answer.body["message"]
    api.patience = patience


async def accepted(running: Running, path: str, body: Any) -> str:
    """The id of an object whose call is answered with success, now that the journal keeps whatever came."""
    assert running.intake.gate is not None
    running.intake.gate.set()
    answer = await post(running, path, body)
    assert answer.status == 200
    await running.receiver._api.appends.drain(60)
    return str(answer.body["id"])


def objects(running: Running) -> list[str]:
    return [event.entity.id for event in running.intake.events]


@pytest.mark.parametrize(("path", "body"), CALLS.items(), ids=CALLS)
async def test_what_was_kept_after_it_was_refused_is_not_doubled(running: Running, path: str, body: Any) -> None:
    await refused_late(running, path, body, times=2)
    id = await accepted(running, path, body)
    first, *copies = sorted(running.intake.events, key=lambda event: event.ingested_at)
    assert objects(running) == [id] * 3 and {copy.id for copy in copies} == {first.id}
    record = fold(running.intake.events)
    assert record is not None and record == fold([first])


@pytest.mark.parametrize(("path", "body"), CALLS.items(), ids=CALLS)
async def test_equal_calls_that_were_taken_are_objects_of_their_own(running: Running, path: str, body: Any) -> None:
    answers = [await post(running, path, body) for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3 and len(set(objects(running))) == 3


async def test_ids_are_left_to_one_call_alone(running: Running) -> None:
    await refused_late(running, "scores", SCORE)
    repeated = await accepted(running, "scores", SCORE)
    other = await accepted(running, "scores", SCORE)
    assert objects(running) == [repeated, repeated, other] and repeated != other


async def test_an_array_of_scores(running: Running) -> None:
    scores = [SCORE, SCORE, {**SCORE, "id": "stated"}]
    await refused_late(running, "scores", scores)
    assert running.intake.gate is not None
    running.intake.gate.set()
    assert (await post(running, "scores", scores)).status == 202
    await running.receiver._api.appends.drain(60)
    first, again = objects(running)[:3], objects(running)[3:]
    assert first == again and len(set(first)) == 3 and first[2] == "stated"


async def test_another_refusal_in_between_changes_nothing(running: Running) -> None:
    await refused_late(running, "scores", SCORE)

    def full() -> None:
        raise OverloadError("the journal is full", after=1.0)

    running.intake.before = full
    assert (await post(running, "scores", SCORE)).status == 429
    running.intake.before = lambda: None
    id = await accepted(running, "scores", SCORE)
    assert objects(running) == [id, id]


async def test_another_path_or_body_is_another_call(running: Running) -> None:
    await refused_late(running, "traces", {"name": "n"})
    await accepted(running, "generations", {"name": "n"})
    await accepted(running, "traces", {"name": "m"})
    id = await accepted(running, "traces", {"name": "n"})
    assert objects(running).count(id) == 2 and len(set(objects(running))) == 3


async def test_an_object_with_an_id_has_a_new_event_each_time(running: Running) -> None:
    """Between two equal states there may have been another: the later one has to stay the later one."""
    await refused_late(running, "scores", {**SCORE, "id": "s"})
    assert await accepted(running, "scores", {**SCORE, "id": "s"}) == "s"
    assert len({event.id for event in running.intake.events}) == 2 == len(running.intake.events)


def ids(refused: RefusedCalls, project: str = "p", body: bytes = b"{}") -> CallIds:
    return CallIds(refused, project, "/api/public/scores", body)


def refuse(refused: RefusedCalls, project: str = "p", body: bytes = b"{}") -> str:
    """The id of an object whose call is refused."""
    call = ids(refused, project, body)
    id = str(call(None).entity)
    call.leave()
    return id


def test_two_equal_calls_that_are_refused_at_the_same_time_stay_two() -> None:
    refused = RefusedCalls()
    calls = [ids(refused), ids(refused)]
    given = [call(None).entity for call in calls]
    for call in calls:
        call.leave()
    repeated = [ids(refused)(None).entity for _ in range(3)]
    assert repeated[:2] == given and len(set(repeated)) == 3


def test_projects_have_nothing_to_do_with_each_other() -> None:
    refused = RefusedCalls()
    id = refuse(refused, "p")
    assert ids(refused, "q")(None).entity != id == ids(refused, "p")(None).entity


def test_no_more_than_so_many_are_remembered() -> None:
    refused = RefusedCalls(most=3)
    given = [refuse(refused, body=b"%d" % number) for number in range(4)]
    assert [ids(refused, body=b"%d" % n)(None).entity == given[n] for n in range(4)] == [False, True, True, True]


def test_nobody_is_remembered_for_ever() -> None:
    now = 0.0
    refused = RefusedCalls(seconds=10, clock=lambda: now)
    first = refuse(refused, body=b"1")
    now = 6.0
    second = refuse(refused, body=b"2")
    now = 11.0
    assert ids(refused, body=b"1")(None).entity != first and ids(refused, body=b"2")(None).entity == second


def test_a_call_that_states_its_ids_leaves_nothing() -> None:
    refused = RefusedCalls()
    call = ids(refused)
    assert call("stated").entity == "stated"
    call.leave()
    assert not refused._calls


async def test_an_sdk_that_obeys_our_refusal_has_one_score(running: Running) -> None:
    """The client of Langfuse's Python SDK sends again by itself. The first call is kept only when the second is there."""
    api, intake, gate = running.receiver._api, running.intake, asyncio.Event()
    patience, api.patience = api.patience, 0.0
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        api.patience = patience
        if calls == 2:
            gate.set()

    intake.before, intake.gate = call, gate
    scores = LangfuseAPI(base_url=running.url, username="pk", password="sk").scores
    request = [CreateScoreRequest(name="thumb", value=1, trace_id="t")]
    await asyncio.to_thread(scores.create, request=request)
    await api.appends.drain(60)
    assert calls == 2 == len(intake.events) and len({(event.entity, event.id) for event in intake.events}) == 1

"""Calls recorded from unmodified SDKs, replayed: each gets the kind of answer it got then, and its events are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langfuse_harness import SHARED, Running, Start, needs_shared

from openfuse_collector.receivers.langfuse.media.announcement import media_id_of

SDK_HEADERS = ("x-langfuse", "x_langfuse")
CORPUS = SHARED / "corpus"
OURS = ("/api/public/ingestion", "/api/public/scores", "/api/public/projects", "/api/public/media")


def recorded(*paths: str) -> list[Any]:
    """The recorded calls to these paths, as parameters named by their files; [] where there is no data."""
    files = sorted(CORPUS.glob("*/*/*.langfuse.json")) if CORPUS.is_dir() else []
    calls = [(file, json.loads(file.read_bytes())) for file in files]
    return [
        pytest.param(call, id=str(file.relative_to(CORPUS)).removesuffix(".langfuse.json"))
        for file, call in calls
        if any(call["path"].partition("?")[0] == path for path in paths)
    ]


async def replay(running: Running, call: dict[str, Any]) -> Any:
    headers = {name: value for name, value in call["headers"].items() if name.lower()[:10] in SDK_HEADERS}
    return await running.call(call["method"], call["path"], call["body"], **headers)


pytestmark = [pytest.mark.shared, needs_shared]


@pytest.mark.parametrize("call", recorded("/api/public/ingestion"))
async def test_ingestion(running: Running, call: dict[str, Any]) -> None:
    answer = await replay(running, call)
    sent = [event["id"] for event in call["body"]["batch"] if event["type"] != "sdk-log"]
    assert answer.status == call.get("reply_status", 207) and answer.body["errors"] == []
    assert sorted(success["id"] for success in answer.body["successes"]) == sorted(sent)
    if "reply" in call:
        assert answer.body.keys() == call["reply"].keys()
    assert sorted(event.id for event in running.intake.events) == sorted(sent)
    stated = {event["id"]: event["body"] for event in call["body"]["batch"]}
    for event in running.intake.events:
        assert event.entity.id == stated[event.id]["id"]
        for key in ("input", "output", "metadata", "name", "value", "traceId"):
            assert event.body.get(key) == stated[event.id].get(key)
    [kept] = running.intake.kept
    headers = {name.lower().replace("_", "-"): value for name, value in call["headers"].items()}
    assert kept.origin.sdk_version == headers["x-langfuse-sdk-version"]


@pytest.mark.parametrize("call", recorded("/api/public/scores"))
async def test_scores(running: Running, call: dict[str, Any]) -> None:
    """202 where every score was taken: the SDK takes a 207 for a failure, whatever its counts say."""
    answer = await replay(running, call)
    assert answer.status == 202 and answer.body == {"message": "Accepted"}
    assert call["reply"]["accepted"] == len(running.intake.events)
    scores = {score["id"]: score for score in call["body"]}
    for event in running.intake.events:
        assert event.timestamp == scores[event.entity.id]["timestamp"]
        assert event.body["value"] == scores[event.entity.id]["value"]
        assert event.body["environment"] == scores[event.entity.id].get("environment", "default")


@pytest.mark.parametrize("call", recorded("/api/public/projects"))
async def test_auth_check(running: Running, call: dict[str, Any]) -> None:
    answer = await replay(running, call)
    assert answer.status == call["reply_status"]
    assert answer.body["data"][0].keys() == call["reply"]["data"][0].keys() - {"retentionDays"}


@pytest.mark.parametrize("call", recorded("/api/public/media"))
async def test_media(start: Start, tmp_path: Path, call: dict[str, Any]) -> None:
    from openfuse_collector.receivers.langfuse.config import MediaConfig

    running = await start(media=MediaConfig(tmp_path))
    answer = await replay(running, call)
    assert answer.status == 201
    assert answer.body["uploadUrl"].startswith(running.url)
    assert len(answer.body["mediaId"]) == 22 == len(media_id_of(b"x" * 32))
    recorded_id = (call.get("reply") or answer.body)["mediaId"]
    assert recorded_id in (answer.body["mediaId"], "media-0")  # the recorder made up some ids


def test_there_is_something_to_replay() -> None:
    assert len(recorded(*OURS)) > 20


@pytest.mark.parametrize(
    "call", recorded("/api/public/v2/prompts", "/api/public/v2/datasets", "/api/public/dataset-items")
)
async def test_what_is_not_served_is_answered_for_good(running: Running, call: dict[str, Any]) -> None:
    assert (await replay(running, call)).status == 404

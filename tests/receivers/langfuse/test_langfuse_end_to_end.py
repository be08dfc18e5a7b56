"""Calls through a real journal into the fold: what is answered is on disk, and replay gives the same rows as arrival."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application
from langfuse_harness import envelope

from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.record import Record
from openfuse_collector.events.reference import fold
from openfuse_collector.journal import Journal, JournalConfig
from openfuse_collector.pipeline.intake import JournalIntake
from openfuse_collector.receivers.langfuse.config import LangfuseConfig
from openfuse_collector.receivers.langfuse.receiver import LangfuseReceiver
from openfuse_collector.receivers.langfuse.records import decode_events
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import settings

BATCH = [
    envelope("span-update", {"id": "s", "output": "out", "metadata": {"b": 2}}, "u", "2026-01-15T12:00:02Z"),
    envelope(
        "span-create", {"id": "s", "traceId": "t", "name": "n", "metadata": {"a": 1}}, "c", "2026-01-15T12:00:01Z"
    ),
    {**envelope("trace-create", {"id": "t", "userId": "u"}, "t1"), "metadata": {"source": "not ours"}},
    envelope("trace-create", {"id": "t", "sessionId": "s", "tags": ["x"]}, "t2"),
    envelope("trace-create", {"name": "no id"}, "t3"),
    envelope("generation-create", {"id": "g", "usage": {"promptTokens": 2}, "environment": "Dev"}, "g1"),
    envelope("score-create", {"id": "sc", "traceId": "t", "name": "n", "value": 0.5}, "sc1"),
]


@contextmanager
def journal_in(directory: Path) -> Iterator[Journal]:
    config = JournalConfig(directory=str(directory), min_free_disk=0)
    log = structlog.get_logger()
    journal = Journal.open(config, Metrics(), log, decode=lambda origin, payload: decode_events(payload))
    try:
        yield journal
    finally:
        journal.close()


def events_in(journal: Journal, name: str) -> list[Event]:
    """Everything in a journal, decoded from disk or still in memory."""
    reader = journal.reader(name, start=0, wants=lambda origin: origin.receiver == "langfuse")
    events: list[Event] = []
    while True:
        items, _ = reader.take(1000, 1 << 30, 0, 0, lambda item: 1)
        if not items:
            reader.close()
            return events
        events += [event for item in items for event in item.data]


def rows(events: list[Event]) -> dict[Entity, Record | None]:
    """The rows the fold makes of events."""
    by_entity: dict[Entity, list[Event]] = {}
    for event in events:
        by_entity.setdefault(event.entity, []).append(event)
    return {entity: fold(of_entity) for entity, of_entity in by_entity.items()}


async def send(journal: Journal, *batches: list[Any]) -> None:
    receiver = LangfuseReceiver(settings("langfuse"), LangfuseConfig(), JournalIntake(journal))
    app = Application()
    app.add_routes(receiver.routes())
    async with TestClient(TestServer(app)) as client:
        for batch in batches:
            answer = await client.post("/api/public/ingestion", json={"batch": batch})
            assert answer.status == 207 and (await answer.json())["errors"] == []
    await receiver.shutdown()


async def test_what_is_answered_is_on_disk_and_makes_the_same_rows(tmp_path: Path) -> None:
    with journal_in(tmp_path) as journal:
        await send(journal, BATCH)
        arrived = events_in(journal, "arrival")
    with journal_in(tmp_path) as journal:
        replayed = events_in(journal, "replay")
    assert replayed == arrived and len(arrived) == len(BATCH)
    assert rows(replayed) == rows(arrived)
    made = {(entity.type, entity.id): row for entity, row in rows(arrived).items()}
    span, trace = made["observation", "s"], made["trace", "t"]
    assert span is not None and trace is not None
    assert (span["name"], span["output"], span["metadata"]) == ("n", "out", {"a": 1, "b": 2})
    assert (trace["user_id"], trace["session_id"], trace["tags"]) == ("u", "s", ["x"])
    generation = made["observation", "g"]
    assert generation is not None and generation["provided_usage_details"]["input"] == 2
    assert generation["environment"] == "dev"
    assert len([row for (type_, _), row in made.items() if type_ == "trace"]) == 2


async def test_resends_and_splits_double_nothing(tmp_path: Path) -> None:
    """The same events once, three times over, and one by one: the same rows but for the times of arrival."""
    sent: list[list[list[Any]]] = [[BATCH], [BATCH, BATCH[::-1], BATCH], [[event] for event in BATCH]]
    found = []
    for number, batches in enumerate(sent):
        with journal_in(tmp_path / str(number)) as journal:
            await send(journal, *batches)
            found.append(rows(events_in(journal, "all")))
    times = dict.fromkeys(("created_at", "updated_at"))
    stripped = [{entity: (row or {}) | times for entity, row in made.items()} for made in found]
    assert stripped[0] == stripped[1] == stripped[2] and len(stripped[0]) == 5

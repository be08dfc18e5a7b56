"""The fold's one owner: the result depends neither on what is cached nor on when the store can be asked."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from openfuse_collector.config.types import Size
from openfuse_collector.enrich import enrich
from openfuse_collector.errors import RetryableError
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.exporters.sqlite import statements
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.store import Store
from openfuse_collector.store.projector import FEW, Projector
from tests.builders import event


def trace(id: str, at: str, **body: Any) -> Event:
    made = event("a", "trace", id=id, **body)
    made.timestamp = f"2026-11-21T06:00:{at}Z"
    return made


@pytest.mark.parametrize("cache", [0, 3000, 1 << 20])
def test_an_entity_evicted_by_its_own_batch_keeps_its_history(tmp_path: Path, cache: int) -> None:
    store = Store(SqliteConfig(path=str(tmp_path / "a.db"), fold_cache_size=Size(cache)))
    first, second = trace("a1", "01", name="first", userId="ada"), trace("a2", "02", sessionId="s")
    store.write([first])
    changes = store.write([event("b", "trace", input="x" * 5000), second])
    store.close()
    row = next(row for row in changes.rows["trace"] if row["id"] == "a")
    assert (row["name"], row["user_id"], row["session_id"]) == ("first", "ada", "s")
    assert [one.id for one in changes.raw if one.entity.id == "a"] == ["a2"]


def test_an_entity_larger_than_the_cache_is_not_read_again_with_every_batch() -> None:
    """Everything of a sender may have one trace id, and others come in the same batches."""
    asked: list[Entity] = []

    def history(entities: Sequence[Entity]) -> dict[Entity, list[Event]]:
        asked.extend(entities)
        return {}

    projector = Projector(history, enrich, 50_000)
    for number in range(5):
        several = [event("endless", "trace") for _ in range(200)]
        projector.apply([*several, *(event(f"t{number}-{one}", "trace") for one in range(100))])
    assert len(asked) == len(set(asked))


def test_an_observation_that_goes_on_and_on_is_not_read_again_with_every_batch() -> None:
    """Log records join it, and spans below it remark on it, one after the other."""
    stored: dict[Entity, list[Event]] = defaultdict(list)
    asked: list[Entity] = []

    def history(entities: Sequence[Entity]) -> dict[Entity, list[Event]]:
        asked.extend(entities)
        return {entity: list(stored[entity]) for entity in entities if entity in stored}

    projector = Projector(history, enrich, 1 << 20)
    for number in range(50):
        changes = projector.apply([event("o", metadata={f"k{number}": number})])
        for one in changes.raw:
            stored[one.entity].append(one)
    ((entity, events),) = stored.items()
    assert len(asked) <= FEW + 2
    assert changes.rows["observation"] == [projector.expected(entity, events)]


def test_a_store_that_does_not_answer_is_not_the_fault_of_the_data() -> None:
    """A copy received earlier makes the entity be read again; the store being away then is a reason to retry, not to refuse."""
    asked = 0

    def history(entities: Sequence[Entity]) -> dict[Entity, list[Event]]:
        nonlocal asked
        asked += bool(entities)
        if asked > 1:
            raise RetryableError("the store is restarting")
        return {}

    projector = Projector(history, enrich, 1 << 20)
    projector.apply([trace("x", "01"), trace("y", "02")])
    earlier = trace("x", "01")
    earlier.ingested_at -= 100
    with pytest.raises(RetryableError, match="restarting"):
        projector.apply([earlier])


def test_a_store_that_breaks_off_between_two_events_is_not_the_fault_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SqliteConfig(path=str(tmp_path / "a.db"), fold_cache_size=Size(0))
    with closing(Store(config)) as store:
        store.write([event("a", "trace"), event("b", "trace")])

        def events_of(connection: sqlite3.Connection, entity: Entity, key: int) -> Iterator[Event]:
            yield event(entity.id, "trace")
            if entity.id == "b":
                raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(statements, "events_of", events_of)
        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            store.write([event("a", "trace"), event("b", "trace")])


@pytest.mark.parametrize(("entities", "updates"), [(20, 10), (1, 200)])
def test_histories_are_folded_as_they_are_read(tmp_path: Path, entities: int, updates: int) -> None:
    """A sender decides how much there is of each entity, and may speak of many in one request."""
    config, size = SqliteConfig(path=str(tmp_path / "a.db"), fold_cache_size=Size(0)), 100_000
    with closing(Store(config)) as store:
        for number in range(updates):
            store.write([event(f"t{one}", "trace", input=f"{number % 10}" * size) for one in range(entities)])
    with closing(Store(config)) as store:
        tracemalloc.start()
        try:
            store.write([event(f"t{one}", "trace", name="n") for one in range(entities)])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < entities * updates * size / 3


def mapped(mapping: int, at: int) -> Event:
    """What a span became with some version of the mapping."""
    made = event("o", id=f"m{mapping}", name=f"by mapping {mapping}")
    made.ingested_at, made.metadata = at, {"source": "span", "mapping": mapping}
    return made


@pytest.mark.parametrize("times", [(20, 30), (30, 20)])
def test_copies_of_what_a_newer_mapping_says_are_one_event(tmp_path: Path, times: tuple[int, int]) -> None:
    """A sender's two attempts in one batch, after an upgrade: the store has what the older mapping made of the span."""
    path = tmp_path / "a.db"
    store = Store(SqliteConfig(path=str(path)))
    store.write([mapped(1, 10)])
    store.write([mapped(2, at) for at in times])
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT event_id, ingested_at FROM raw_events ORDER BY event_id").fetchall()
        names = connection.execute("SELECT name FROM observations").fetchall()
    assert found == [("m1", 10), ("m2", 20)]
    assert names == [("by mapping 2",)]

"""What is read back from the store is what was put there, and a difference anywhere is seen."""

from __future__ import annotations

from typing import Any

import pytest
from greptimedb_kit import Server, export, exporter

from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.rows import row
from openfuse_collector.exporters.greptimedb import compared, stored
from openfuse_collector.store.enrichment import configured_enrichment
from tests.builders import event, settings

ENRICH = configured_enrichment(settings())
EVENTS: dict[str, Event] = {
    "trace": event("e'1", "trace", name="n", tags=["b", "a"], metadata={"k": {"deep": [1.5]}}, input={"q": "ü"}),
    "observation": event(
        "o1",
        model="gpt-4o",
        modelParameters={"temperature": 0.1, "large": 2**70},
        usageDetails={"input": 3, "cached": 2**53 + 1},
        costDetails={"input": 0.1, "extra": 1e-7},
        output={"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    ),
    "score": event("s1", "score", name="q", value=0.1, metadata={"by": "x"}),
}


def expected(one: Event) -> dict[str, Any]:
    record = Accumulator.of([one]).record()
    assert record is not None
    return row(one.entity.type, ENRICH(one.entity.type, record))


def is_right(server: Server, entity: Entity, wanted: dict[str, Any] | None) -> bool:
    rows, sides = stored.rows_of(server.ask, [entity]), compared.side_rows_of(server.ask, [entity])
    return compared.is_right(entity, wanted, rows.get(entity, ()), sides.get(entity, {}))


@pytest.fixture
def filled(server: Server) -> Server:
    with exporter(server) as made:
        export(made, list(EVENTS.values()))
    return server


@pytest.mark.parametrize("kind", EVENTS)
def test_what_was_written_is_right(filled: Server, kind: str) -> None:
    one, nobody = EVENTS[kind], Entity("default", kind, "nobody")
    assert is_right(filled, one.entity, expected(one))
    assert not is_right(filled, one.entity, None)
    assert not is_right(filled, nobody, expected(one))
    assert is_right(filled, nobody, None)


@pytest.mark.parametrize("kind", EVENTS)
def test_a_difference_in_any_column_is_seen(filled: Server, kind: str) -> None:
    """Each column in turn is set to something else in what is expected."""
    one = EVENTS[kind]
    wanted = expected(one)
    other = {str: '{"x":"y"}', int: 7, float: 7.5, bool: True, type(None): None}
    for column, value in wanted.items():
        changed = {**wanted, column: other[type(value)]}
        if column not in ("eav_generation", "bookmarked", "public", "is_deleted") and changed != wanted:
            assert not is_right(filled, one.entity, changed), column


def test_side_rows_lost_left_behind_and_hidden(filled: Server) -> None:
    one = EVENTS["trace"]

    def right() -> bool:
        return is_right(filled, one.entity, expected(one))

    key = "'default', 'e''1', 'z', false"
    into = "INSERT INTO traces_tags (`timestamp`, project_id, entity_id, tag, is_deleted, generation) VALUES"
    (time,) = {tag["timestamp"] for tag in filled.table("traces_tags")}
    (generation,) = {tag["generation"] for tag in filled.table("traces_tags")}
    filled.sql.run(f"{into} ({time}, {key}, {generation - 1})")
    assert right()
    filled.sql.run(f"{into} ({time}, {key}, {generation})")
    assert not right()
    filled.sql.run("DELETE FROM traces_tags WHERE tag = 'z'")
    assert right()
    filled.sql.run(f"{into} ({time + 5}, {key}, {generation - 1})")
    assert not right()
    filled.sql.run("DELETE FROM traces_tags WHERE tag = 'z'")
    filled.sql.run(
        "INSERT INTO traces_metadata (`timestamp`, project_id, entity_id, `key`, `value`, is_deleted, generation) "
        f"VALUES ({time}, 'default', 'e''1', 'k', 'older', false, {generation})"
    )
    assert not right()
    filled.sql.run("DELETE FROM traces_metadata")
    assert not right()


@pytest.mark.parametrize("kind", EVENTS)
def test_extents_count_each_event_once_at_its_first_copy(filled: Server, kind: str) -> None:
    one = EVENTS[kind]
    later = Event(one.entity, "other", one.type, one.timestamp, one.body, one.ingested_at + 5, None)
    with exporter(filled) as made:
        export(made, [later])
    filled.sql.run(
        "INSERT INTO raw_events SELECT `ingested_at` + 3, project_id, entity_type, entity_id, event_id, event_type, event_ts, body "
        "FROM raw_events"
    )
    assert stored.extents(filled.ask, [one.entity]) == {one.entity: Accumulator.of([one, later]).extent}
    place = stored.places(filled.ask, [one.entity, Entity("default", kind, "nobody")])
    rows = filled.table(PROJECTIONS[kind], f"`id` = '{one.entity.id.replace(chr(39), chr(39) * 2)}'")
    assert place[one.entity].generation == rows[0]["eav_generation"]
    assert len(place) == len(place[one.entity].times) == 1

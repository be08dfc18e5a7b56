"""What is in the store after events have come in any order, twice, and across restarts: the rows SQLite has, once each."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from greptimedb_kit import Server, comparable, export, exporter, store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openfuse_collector.config.types import Size
from openfuse_collector.enrich import enrich
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.columns import PROJECTIONS, TIME_COLUMN
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.rows import row
from openfuse_collector.exporters.greptimedb.side_tables import SIDE_TABLES
from openfuse_collector.signals import RawSpan
from tests.builders import RECEIVED_AT, batch, event, item
from tests.greptimedb_double import Double

sys.path.insert(0, str(Path(__file__).parents[2] / "events"))
from event_sets import histories

NOW = RECEIVED_AT // 1_000_000
KINDS = ("trace", "observation", "score")
CREATES = {"trace": "trace-create", "observation": "generation-create", "score": "score-create"}


def said(kind: str, at: int, *, second: int = 0, id: str = "e1", **body: Any) -> Event:
    """An event of a client, received `at` milliseconds, at a second of the minute. Its second is the time of traces and observations."""
    written = f"2026-11-21T06:00:{second:02}.000Z"
    times = {"trace": {"timestamp": written}, "observation": {"startTime": written, "traceId": "t1"}}.get(
        kind, {"name": "quality", "value": 1}
    )
    body = {"id": id, **times, **body}
    return Event(Entity("default", kind, id), f"{kind}-{id}-{at}", CREATES[kind], written, body, NOW + at)


def tombstone(kind: str, at: int, id: str = "e1") -> Event:
    """What deletes an entity."""
    body = {"id": id, "deletedAt": "2026-11-21T06:00:00.000Z"}
    entity = Entity("default", kind, id)
    return Event(entity, f"gone-{at}", "langfuse-tombstone", "2026-11-21T06:00:00.000Z", body, NOW + at)


def seconds(server: Server, kind: str) -> list[int]:
    """At which seconds the projection has rows."""
    times = (found[TIME_COLUMN[kind]] for found in server.table(PROJECTIONS[kind]))
    return [time // 1000 % 60 for time in times]


def test_a_batch_is_in_raw_events_side_tables_and_projections(server: Server) -> None:
    trace = said(
        "trace", 1, name="chat", tags=["b", "a"], metadata={"tier": "gold", "deep": {"x": [1]}}, input={"q": 1}
    )
    usage = {"input": 3, "output": 4, "total": 7, "cached": 2}
    observation = said("observation", 2, model="gpt-4o", usageDetails=usage, costDetails={"total": 0.1, "extra": 0.02})
    score = said("score", 3, name="quality", value=0.5, dataType="NUMERIC", traceId="e1", metadata={"by": "alice"})
    store(server, [trace, observation, score])
    assert [(found["entity_type"], found["event_id"]) for found in server.table("raw_events")] == [
        ("observation", "observation-e1-2"),
        ("score", "score-e1-3"),
        ("trace", "trace-e1-1"),
    ]
    assert [(found["key"], found["value"]) for found in server.visible("traces_metadata", "traces")] == [
        ("deep", '{"x":[1]}'),
        ("tier", "gold"),
    ]
    assert [found["tag"] for found in server.visible("traces_tags", "traces")] == ["a", "b"]
    assert [(found["kind"], found["key"], found["value"]) for found in server.table("observations_usage_cost")] == [
        ("cost", "extra", 0.02),
        ("usage", "cached", 2.0),
    ]
    assert [found["key"] for found in server.visible("scores_metadata", "scores")] == ["by"]
    (stored,) = server.table("observations")
    assert (float(stored["total_cost"]), stored["input_usage"], stored["total_usage"]) == (0.1, 3, 7)
    assert json.loads(stored["usage_details"]) == usage
    assert (stored["is_deleted"], stored["level"], stored["type"]) == (False, "DEFAULT", "GENERATION")


def test_what_readers_need_is_never_null(server: Server) -> None:
    store(server, [said(kind, 1) for kind in KINDS])
    needed = ("environment", "created_at", "updated_at", "is_deleted", "eav_generation", "metadata")
    for kind in KINDS:
        (stored,) = server.table(PROJECTIONS[kind])
        assert all(stored[column] is not None for column in needed), stored


def test_a_resend_is_stored_once_and_counted(server: Server) -> None:
    events = [event("o1", id="a", name="n"), event("t", "trace", id="b")]
    store(server, events, events, events)
    assert server.counts() == {"traces": 1, "observations": 1, "scores": 0, "dataset_run_items": 0, "raw_events": 2}


def test_an_earlier_copy_is_appended_and_counts(server: Server) -> None:
    first, earlier = said("trace", 5, name="n"), said("trace", 5, name="n")
    earlier.ingested_at = NOW + 1
    store(server, [first], [earlier], [said("trace", 9, name="m")])
    assert [found["ingested_at"] - NOW for found in server.table("raw_events")] == [1, 5, 9]
    (stored,) = server.table("traces")
    assert (stored["created_at"] - NOW, stored["name"]) == (1, "m")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("restart", [False, True], ids=["in memory", "after a restart"])
def test_a_row_whose_time_moves_is_there_once(server: Server, kind: str, restart: bool) -> None:
    late = said(kind, 1, second=30, metadata={"late": "1"}, name="n", **({"tags": ["x"]} if kind == "trace" else {}))
    early = said(kind, 2, second=10, metadata={"early": "1"})
    if restart:
        store(server, [late], [early])
    else:
        with exporter(server) as made:
            export(made, [late])
            export(made, [early])
    assert seconds(server, kind) == [10]
    for side in SIDE_TABLES[kind]:
        assert {found["timestamp"] // 1000 % 60 for found in server.table(side.name)} <= {10}
    keys = [found["key"] for found in server.visible(SIDE_TABLES[kind][0].name, PROJECTIONS[kind])]
    assert keys == ["early", "late"]


def test_children_hours_before_their_root_leave_one_trace(server: Server) -> None:
    """Shallow trace events of two collectors' spans, then the root that began first."""

    def shallow(second: int) -> Event:
        made = said("trace", second, second=second, id="t1")
        made.metadata = {"shallow": True}
        return made

    store(server, [shallow(40)], [shallow(20)], [shallow(30)], [said("trace", 1, second=5, id="t1", name="root")])
    assert seconds(server, "trace") == [5]
    assert server.table("traces")[0]["name"] == "root"


@pytest.mark.parametrize("kind", KINDS)
def test_two_collectors_with_halves_of_the_same_entities(server: Server, kind: str) -> None:
    """In turn, the times going up and down; neither remembers anything."""
    halves = [
        said(kind, 10 + at, second=second, metadata={str(at): "v"})
        for at, second in enumerate((30, 40, 20, 25, 10, 35))
    ]
    with exporter(server, fold_cache_size=Size(0)) as one, exporter(server, fold_cache_size=Size(0)) as other:
        for number, half in enumerate(halves):
            export(other if number % 2 else one, [half, said(kind, 50 + number, id=f"only-{number}")])
    (stored,) = server.table(PROJECTIONS[kind], "`id` = 'e1'")
    assert stored[TIME_COLUMN[kind]] // 1000 % 60 == 10
    assert set(json.loads(stored["metadata"])) == set("012345")
    keys = {found["key"] for found in server.visible(SIDE_TABLES[kind][0].name, PROJECTIONS[kind])}
    assert keys == set("012345")


def test_rows_somebody_left_behind_are_removed_with_the_next_write(server: Server) -> None:
    """What Openfuse does itself when a late root moves the time."""
    store(server, [said("trace", 1, second=30, name="n")])
    server.sql.run(
        "INSERT INTO traces (`timestamp`, project_id, `id`, environment, is_deleted) "
        f"VALUES ({NOW}, 'default', 'e1', 'default', false)"
    )
    assert len(server.table("traces")) == 2
    store(server, [said("trace", 2, second=31, userId="u")])
    assert seconds(server, "trace") == [30]


def test_a_dropped_key_is_hidden_by_its_generation(server: Server) -> None:
    store(server, [said("observation", 1, usageDetails={"cached": 1, "read": 2})])
    store(server, [said("observation", 2, usageDetails={"read": 3})])
    visible = server.visible("observations_usage_cost", "observations")
    assert [(found["key"], found["value"]) for found in visible] == [("read", 3.0)]
    assert {found["key"] for found in server.table("observations_usage_cost")} == {"cached", "read"}


@pytest.mark.parametrize("restart", [False, True], ids=["in memory", "after a restart"])
def test_null_clears_what_was_there(server: Server, restart: bool) -> None:
    """A column that is last-wins, set to null by a later event: under last_non_null writing NULL alone would leave it."""
    events = [said("trace", 1, userId="u", sessionId="s")], [said("trace", 2, second=1, userId=None)]
    if restart:
        store(server, *events)
    else:
        with exporter(server) as made:
            for one in events:
                export(made, one)
    (stored,) = server.table("traces")
    assert (stored["user_id"], stored["session_id"]) == (None, "s")


def test_generations_only_grow(server: Server) -> None:
    """The second event was received before the first by another collector: Openfuse's formula alone would stand still."""
    found = []
    for at in (9, 4, 2):
        store(server, [said("trace", at, tags=[str(at)])])
        (stored,) = server.table("traces")
        found.append(stored["eav_generation"])
        assert [side["tag"] for side in server.visible("traces_tags", "traces")] == json.loads(stored["tags"])
    assert found == [(NOW + 9) * 4096 + 1, (NOW + 9) * 4096 + 2, (NOW + 9) * 4096 + 3]


@pytest.mark.parametrize("kind", KINDS)
def test_a_deleted_entity_is_gone_until_it_is_written_again(server: Server, kind: str) -> None:
    store(server, [said(kind, 1, metadata={"k": "v"}), said(kind, 1, id="other")], [tombstone(kind, 5)])
    assert [found["id"] for found in server.table(PROJECTIONS[kind])] == ["other"]
    assert server.table(SIDE_TABLES[kind][0].name) == []
    store(server, [said(kind, 9, metadata={"new": "v"})])
    assert [found["id"] for found in server.table(PROJECTIONS[kind])] == ["e1", "other"]
    assert [found["key"] for found in server.visible(SIDE_TABLES[kind][0].name, PROJECTIONS[kind])] == ["k", "new"]


def test_kept_spans_are_stored_beside_the_events(server: Server) -> None:
    span = RawSpan("digest", "t1", "s1", NOW, b"\x00payload")
    one = item([event("o1", id="a")])
    with exporter(server) as made:
        made.export(batch(type(one)(one.origin, one.position, one.data, one.size, (span,))))
    columns = "trace_id, source, span_id, start_time, receiver"
    assert server.sql.rows(f"SELECT {columns} FROM openfuse_raw_spans") == [["t1", "digest", "s1", NOW, "otlp"]]


def test_ids_and_texts_nobody_expects(server: Server) -> None:
    names = ["o'clock", "back\\slash", "`tick`", 'quo"te', "semi;colon --", "ünï\U0001f600", "nul\0", "\ud800", "%_"]
    store(server, [event(name, "trace", id=f"{number}", input=name) for number, name in enumerate(names)])
    store(server, [event(name, "trace", id=f"again-{number}", name="n") for number, name in enumerate(names)])
    found = {stored["id"]: stored for stored in server.table("traces")}
    assert set(found) == {name.replace("\0", "�").replace("\ud800", "�") for name in names}
    assert all(stored["input"] == id and stored["name"] == "n" for id, stored in found.items())


@pytest.fixture(scope="module")
def shared_server() -> Any:
    with Double() as double:
        made = Server(double.grpc, double.http, double)
        yield made
        made.sql.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_order_any_split_any_restart_gives_the_row_of_the_whole_set(
    shared_server: Server, data: st.DataObject
) -> None:
    history = data.draw(histories())
    project = uuid4().hex
    events = [_in_project(one, project) for one in history]
    cuts = data.draw(st.lists(st.integers(0, len(events)), max_size=4).map(sorted))
    parts = [events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    restarts = data.draw(st.booleans())
    if restarts:
        store(shared_server, *parts)
    else:
        with exporter(shared_server) as made:
            for part in parts:
                export(made, part)
    _check(shared_server, project, events)


def _in_project(one: Event, project: str) -> Event:
    entity = one.entity._replace(project_id=project)
    return Event(entity, one.id, one.type, one.timestamp, one.body, one.ingested_at, one.metadata)


def _check(server: Server, project: str, events: Sequence[Event]) -> None:
    """One row, that of the fold of all events; side rows of its generation as the row has them; raw events by id."""
    if not events:
        return
    entity = events[0].entity
    stored = server.table(PROJECTIONS[entity.type], f"project_id = '{project}'")
    accumulator = Accumulator.of(events)
    record = accumulator.record()
    if record is None or record["is_deleted"]:
        assert stored == []
        return
    expected = row(entity.type, enrich(entity.type, record))
    assert [comparable(entity.type, found) for found in stored] == [comparable(entity.type, expected)]
    raw = server.table("raw_events", f"project_id = '{project}'")
    assert {found["event_id"] for found in raw} == {one.id for one in events}
    for side in SIDE_TABLES[entity.type]:
        made = [
            found for found in server.visible(side.name, PROJECTIONS[entity.type]) if found["project_id"] == project
        ]
        assert len(made) == len(list(side.keys(expected))), side.name

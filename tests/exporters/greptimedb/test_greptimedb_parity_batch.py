"""Openfuse's cases from end to end: the rows the batch of its parity test must give, replays, and what its pages find of a seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from greptimedb_kit import Server, export, exporter, store

from openfuse_collector.enrich import enrichment
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.pricing import Catalogue
from openfuse_collector.pricing.entry import ModelEntry
from openfuse_collector.receivers.langfuse.schemas.bodies import ENTITY_OF
from tests.builders import RECEIVED_AT, event
from tests.events.shared_cases import needs_shared, openfuse_cases

NOW = RECEIVED_AT // 1_000_000
MINUTE = "2026-11-21T06:00:"

PARITY_SCORES: tuple[tuple[str, Any, str], ...] = (
    ("quality", 0.85, "NUMERIC"),
    ("sentiment", "positive", "CATEGORICAL"),
    ("passed", 1, "BOOLEAN"),
)

Run = Callable[[Server, dict[str, Any]], None]


def said(second: int, type_: str, event_id: str, **body: Any) -> Iterator[Event]:
    """One event as the ingestion API hands it on."""
    stamp = f"{MINUTE}{second:02d}.000Z"
    yield Event(Entity("default", ENTITY_OF[type_], body["id"]), event_id, type_, stamp, body, NOW + second)


def at(second: int) -> str:
    return f"{MINUTE}{second:02d}.000Z"


def parity_batch() -> Iterator[Event]:
    """The events the case describes."""
    first: dict[str, Any] = {
        "id": "T1",
        "timestamp": at(0),
        "name": "checkout-flow",
        "userId": "A",
        "sessionId": "A",
        "environment": "p",
    }
    first |= {
        "release": "1.0.0",
        "version": "v1",
        "metadata": {"tier": "gold", "region": "eu"},
        "input": {"q": "place order"},
    }
    yield from said(1, "trace-create", "1", **first, tags=["alpha", "beta"], output={"a": "ok"})
    yield from said(
        2, "trace-create", "2", id="T1", tags=["alpha", "beta", "updated"], output={"a": "ok", "revised": True}
    )
    yield from said(
        *(3, "trace-create", "3"),
        id="T2",
        timestamp=at(3),
        name="support-chat",
        userId="B",
        environment="s",
        tags=["beta"],
        metadata={"tier": "silver"},
    )
    generation = {"id": "G1", "traceId": "T1", "startTime": at(4), "name": "answer", "metadata": {"stage": "answer"}}
    usage = {"input": 120, "output": 80, "total": 200}
    cost = {"input": 0.0012, "output": 0.0016, "total": 0.0028}
    parameters = {"temperature": 0.2, "max_tokens": 256}
    yield from said(
        4, "generation-create", "4", **generation, usageDetails=usage, costDetails=cost, modelParameters=parameters
    )
    yield from said(
        5, "generation-update", "5", id="G1", traceId="T1", name="updated name", endTime=at(11), output="revised"
    )
    yield from said(6, "span-create", "6", id="S1", traceId="T1", startTime=at(6))
    yield from said(7, "span-update", "7", id="S1", traceId="T1", endTime=at(11), statusMessage="done")
    yield from said(8, "event-create", "8", id="E1", traceId="T1", startTime=at(8), name="e")
    yield from said(9, "agent-create", "9", id="A1", traceId="T1", startTime=at(9), name="agent")
    tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("search", "calculator")]
    asked = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        for n, name in enumerate(("search", "search", "calculator"))
    ]
    yield from said(
        *(10, "generation-create", "10"),
        id="G2",
        traceId="T2",
        startTime=at(10),
        model="priced",
        level="WARNING",
        input={"messages": [{"role": "user", "content": "?"}], "tools": tools},
        output={"role": "assistant", "tool_calls": asked},
        usageDetails=usage,
    )
    for name, value, kind in PARITY_SCORES:
        yield from said(12, "score-create", name, id=name, traceId="T1", name=name, value=value, dataType=kind)
    yield from said(
        *(12, "score-create", "of G1"),
        id="of G1",
        traceId="T1",
        observationId="G1",
        name="quality",
        value=0.5,
        dataType="NUMERIC",
    )


def rows_of_the_parity_batch(server: Server, case: dict[str, Any]) -> None:
    expected = case["expect"]
    entry = ModelEntry("priced", "^priced$", {"input": "0.00001", "output": "0.00002"}, per="unit")
    with exporter(server) as made:
        made._projector._enrich = enrichment(Catalogue([entry.model()]))
        export(made, list(parity_batch()))
    trace = {row["id"]: row for row in server.table("traces")}
    seen = {row["id"]: row for row in server.table("observations")}
    scores = {row["id"]: row for row in server.table("scores")}
    assert len(trace) == expected["traces"] and len(scores) == expected["scores"]
    for id, number in expected["observations"].items():
        assert sum(row["trace_id"] == id for row in seen.values()) == number
    first = trace["T1"]
    assert json.loads(first["tags"]) == expected["T1.tags"] and json.loads(first["metadata"]) == expected["T1.metadata"]
    assert (first["input"], first["output"]) == (expected["T1.input"], expected["T1.output"])
    assert (first["release"], first["version"], first["user_id"]) == (
        expected["T1.release"],
        expected["T1.version"],
        "A",
    )
    assert_observations(seen, expected)
    assert len(side(server, "traces_tags", "traces", "T1")) == expected["traces_tags rows T1"]
    assert len(side(server, "traces_metadata", "traces", "T1")) == expected["traces_metadata rows T1"]
    calls = side(server, "observations_tool_calls", "observations", "G2")
    assert len(calls) == expected["G2"]["observations_tool_calls rows"]
    assert len(server.table("observations_usage_cost")) == expected["observations_usage_cost rows"]
    for name in ("sentiment", "passed"):
        assert {key: scores[name][key] for key in expected[f"scores.{name}"]} == expected[f"scores.{name}"]


def assert_observations(seen: dict[str, dict[str, Any]], expected: dict[str, Any]) -> None:
    first, second, span = seen["G1"], seen["G2"], seen["S1"]
    for name in ("name", "level", "input_usage", "output_usage", "total_usage"):
        assert first[name] == expected["G1"][name]
    assert float(first["total_cost"]) == expected["G1"]["total_cost"]
    for name in ("model_parameters", "metadata"):
        assert json.loads(first[name]) == expected["G1"][name]
    assert first["start_time"] == span["end_time"] - 7000 == first["end_time"] - 7000
    assert json.loads(second["cost_details"]) == pytest.approx(expected["G2"]["cost_details"])
    assert sorted(json.loads(second["tool_definitions"])) == sorted(expected["G2"]["tool_definitions keys"])
    assert json.loads(second["tool_call_names"]) == expected["G2"]["tool_call_names"]
    assert second["level"] == expected["G2"]["level"]
    assert span["status_message"] == expected["S1"]["status_message"]
    assert span["end_time"] - span["start_time"] == 5000


def side(server: Server, table: str, projection: str, id: str) -> list[dict[str, Any]]:
    return [row for row in server.visible(table, projection) if row["entity_id"] == id]


def replaying_changes_nothing(server: Server, case: dict[str, Any]) -> None:
    """Not even `updated_at`: it is the last receipt of an event, not the clock."""
    store(server, list(parity_batch()))
    tables = ("traces", "observations", "scores")
    before = {table: server.table(table) for table in tables}
    store(server, list(parity_batch()))
    unequal = {
        column
        for table in tables
        for old, new in zip(before[table], server.table(table), strict=True)
        for column in old
        if old[column] != new[column]
    }
    assert unequal <= {*case["expect"]["projection_identical_except"], "eav_generation"}


def a_key_that_is_gone_is_not_seen(server: Server, case: dict[str, Any]) -> None:
    """A new mapping of a span, which says less, takes the place of the older one."""
    gone = case["input"]["rebuild_without_key"]
    older = {"source": "digest", "mapping": 1}
    full = event("t", "trace", id="m1", metadata={gone: "x", "region": "eu"})
    full.metadata = older
    less = event("t", "trace", id="m2", metadata={"region": "eu"})
    less.metadata = {**older, "mapping": 2}
    store(server, [full], [less])
    assert [row["key"] for row in server.visible("traces_metadata", "traces")] == ["region"]
    assert {row["key"] for row in server.table("traces_metadata")} == {gone, "region"}


def ui_finds_what_is_there(server: Server, case: dict[str, Any]) -> None:
    """The seed of Openfuse's own acceptance test, counted by SQL of the kind its pages use."""
    expected = case["expect"]
    with exporter(server) as made:
        export(made, list(ui_seed()))
    live = "is_deleted = false AND project_id = 'default'"
    tagged = (
        "SELECT count(*) FROM traces t JOIN traces_tags g ON g.project_id = t.project_id AND g.entity_id = t.id "
        "AND g.generation = t.eav_generation WHERE g.tag = 'prod' AND t.is_deleted = false AND g.is_deleted = false"
    )
    questions = {
        "traces": f"SELECT count(*) FROM traces WHERE {live}",
        "sessions": f"SELECT count(DISTINCT session_id) FROM traces WHERE {live} AND session_id IS NOT NULL",
        "env none-of default": f"SELECT count(*) FROM traces WHERE {live} AND environment NOT IN ('default')",
        "userIds alice": f"SELECT count(*) FROM traces WHERE {live} AND user_id IN ('alice')",
        "tags prod": tagged,
        "score>=5 session": f"SELECT count(DISTINCT session_id) FROM scores WHERE {live} AND `value` >= 5 AND trace_id IS NULL",
    }
    assert {name: server.sql.rows(sql)[0][0] for name, sql in questions.items()} == expected


def ui_seed() -> Iterator[Event]:
    yield from said(
        *(1, "trace-create", "a"),
        id="A",
        timestamp=at(1),
        userId="alice",
        sessionId="s1",
        environment="default",
        tags=["prod", "critical"],
        metadata={"region": "us"},
    )
    yield from said(
        *(2, "trace-create", "b"),
        id="B",
        timestamp=at(2),
        userId="bob",
        sessionId="s2",
        environment="staging",
        tags=["dev"],
        metadata={"region": "eu"},
    )
    yield from said(3, "trace-create", "c", id="C", timestamp=at(3), environment="staging", sessionId="s3")
    gone = {"id": "C", "deletedAt": at(4)}
    yield Event(Entity("default", "trace", "C"), "gone", "langfuse-tombstone", at(4), gone, NOW + 5)
    yield from said(4, "generation-create", "g", id="G", traceId="A", startTime=at(4), usageDetails={"input": 3})
    yield from said(5, "span-create", "e", id="E", traceId="B", startTime=at(5), level="ERROR")
    for name, value, where in (
        ("quality", 0.9, {"traceId": "A"}),
        ("sentiment", "positive", {"traceId": "A"}),
        ("obs_quality", 0.95, {"traceId": "A", "observationId": "G"}),
        ("session quality", 8, {"sessionId": "s1"}),
        ("session sentiment", "good", {"sessionId": "s1"}),
    ):
        kind = "CATEGORICAL" if isinstance(value, str) else "NUMERIC"
        yield from said(6, "score-create", name, id=name, name=name, value=value, dataType=kind, **where)


CASES: dict[tuple[str, str], Run] = {
    ("end_to_end", "parity batch"): rows_of_the_parity_batch,
    ("end_to_end", "reconciliation idempotent"): replaying_changes_nothing,
    ("end_to_end", "metadata key dropped"): a_key_that_is_gone_is_not_seen,
    ("read_contract", "UI acceptance seed"): ui_finds_what_is_there,
}
"""(group, name) -> what shows that it holds."""


@pytest.mark.shared
@needs_shared
@pytest.mark.parametrize(("group", "name"), CASES)
def test_openfuses_rows(server: Server, group: str, name: str) -> None:
    (case,) = (case for case in openfuse_cases(group) if case["name"] == name)
    CASES[group, name](server, case)


@pytest.mark.shared
@needs_shared
def test_every_case_from_end_to_end_is_here() -> None:
    missing = {("end_to_end", case["name"]) for case in openfuse_cases("end_to_end")} - CASES.keys()
    # A writer has no part in it: deleting a project is a command, and a rebuild is what reads its tombstone.
    assert missing == {("end_to_end", "project tombstone")}

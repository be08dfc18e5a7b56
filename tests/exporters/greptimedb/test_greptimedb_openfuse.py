"""Openfuse's cases of a writer at work: bisection, batches, calls at once, faults.

Each case of the groups has a function here, by its name; cases we differ from on purpose are in tests/conformance/openfuse_cases.py,
and their function shows what is done instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from greptimedb_kit import Server, export, exporter
from test_greptimedb_faults import working

from openfuse_collector.errors import PermanentError, RetryableError
from openfuse_collector.events.event import Entity, Event
from tests.builders import RECEIVED_AT, event, metric
from tests.events.shared_cases import needs_shared, openfuse_cases
from tests.greptimedb_double import Double, faults

Run = Callable[[Server, Path, dict[str, Any]], None]


def traces(*names: str, **body: Any) -> list[Event]:
    """A trace of each name, with side rows."""
    return [event(name, "trace", id=f"event-{name}", tags=["a"], metadata={"k": "v"}, **body) for name in names]


def landed(server: Server, table: str = "traces") -> list[str]:
    return [row["id"] for row in server.table(table)]


def calls(server: Server, table: str) -> int:
    return sum(call.method == "insert" and call.table == table for call in server.double.calls)


# bisect


def isolates_one_of_eight(server: Server, directory: Path, case: dict[str, Any]) -> None:
    names = [f"t{n}" for n in range(case["input"]["groups"])]
    poison = [names[n] for n in case["input"]["poison"]]
    server.double.fail(*(faults.bad_row(id=name) for name in poison))
    with working(server, directory) as worker:
        worker.send(traces(*names))
        assert worker.done.wait(60)
        assert metric(worker.metrics, "openfuse_dead_letters_total", component="greptimedb") == len(poison)
    assert landed(server) == [names[n] for n in case["expect"]["landed"]]


def transient_stops(server: Server, directory: Path, case: dict[str, Any]) -> None:
    names = [f"t{n}" for n in range(case["input"]["groups"])]
    with exporter(server, encoder_workers=1) as made:
        export(made, traces("first"))
        server.double.fail(faults.unavailable_status().over("grpc"))
        before = len(server.double.calls)
        with pytest.raises(RetryableError):
            export(made, traces(*names))
        writes = [call for call in server.double.calls[before:] if call.method == "insert"]
        assert len(writes) == case["expect"]["writes"]
        server.double.heal()
        export(made, traces(*names))
    assert len(landed(server)) == 1 + case["expect"]["requeued"]


def single_group_keeps_class(server: Server, directory: Path, case: dict[str, Any]) -> None:
    server.double.fail(faults.bad_row(id="t"))
    with exporter(server) as made, pytest.raises(PermanentError):
        export(made, traces("t"))


# writer_behaviour


def one_call_for_each_table(server: Server, directory: Path, case: dict[str, Any]) -> None:
    with exporter(server, encoder_workers=1) as made:
        export(made, traces(*(f"t{n}" for n in range(case["input"]["records"]))))
    assert [calls(server, table) for table in ("raw_events", "traces_metadata", "traces_tags", "traces")] == [
        1,
        1,
        1,
        1,
    ]
    assert len(landed(server)) == case["input"]["records"]


def poison_is_isolated(server: Server, directory: Path, case: dict[str, Any]) -> None:
    server.double.fail(faults.bad_row(id=case["input"]["poison"]))
    with working(server, directory) as worker:
        worker.send(traces(*case["input"]["ids"]))
        assert worker.done.wait(60)
    assert landed(server) == case["expect"]["landed"]


def side_rows_are_seen_with_their_projection(server: Server, directory: Path, case: dict[str, Any]) -> None:
    server.double.fail(faults.bad_row(id=case["input"]["poison"]))
    with working(server, directory) as worker:
        worker.send(traces(*case["input"]["ids"]))
        assert worker.done.wait(60)
    for side in case["expect"]["good_call_tables"][1:]:
        assert {row["entity_id"] for row in server.visible(side, "traces")} == {"good"}
    assert landed(server) == ["good"]


def transient_retries_whole_batch(server: Server, directory: Path, case: dict[str, Any]) -> None:
    fault = faults.unavailable_status().on("traces").times(2)
    server.double.fail(fault)
    with working(server, directory) as worker:
        worker.send(traces("a", "b", "c"))
        assert worker.done.wait(60)
        assert metric(worker.metrics, "openfuse_dead_letters_total", component="greptimedb") == 0
    assert server.double.struck(fault) == 2
    assert landed(server) == ["a", "b", "c"]


def too_large_is_a_dead_letter(server: Server, directory: Path, case: dict[str, Any]) -> None:
    with Double(max_message_bytes=100_000) as double, Server(double.grpc, double.http, double) as small:
        with working(small, directory) as worker:
            worker.send([*traces("a", "b"), *traces("huge", input="x" * 200_000)])
            assert worker.done.wait(60)
            assert metric(worker.metrics, "openfuse_dead_letters_total", component="greptimedb") == 1
        assert landed(small) == ["a", "b"]


def batches_are_whole(server: Server, directory: Path, case: dict[str, Any]) -> None:
    with exporter(server, max_rows=1) as made:
        export(made, [event("o1", id="1", metadata={"k": "v"}), event("o2", id="2")])
    assert landed(server, "observations") == ["o1", "o2"]
    assert len(server.visible("observations_metadata", "observations")) == 1


def in_flight(server: Server, directory: Path, entities: int, workers: int) -> int:
    """Calls at once while the server keeps them all waiting; then everything lands."""
    with exporter(server, encoder_workers=1) as made:
        export(made, traces("before"))
    names = [f"t{n}" for n in range(entities)]
    stuck = faults.stuck().on("raw_events").over("grpc")
    with exporter(server, encoder_workers=workers) as made:
        spread = len({hash(one.entity) % workers for one in traces(*names)})
        server.double.fail(stuck)
        writing = threading.Thread(target=export, args=(made, traces(*names)))
        writing.start()
        server.double.wait(lambda: server.double.struck(stuck) >= spread)
        found = server.double.struck(stuck)
        assert found == spread
        server.double.heal()
        writing.join(60)
    assert len(landed(server)) == entities + 1
    return found


def different_entities_at_once(server: Server, directory: Path, case: dict[str, Any]) -> None:
    """More entities than threads, so that every thread has one whatever their hashes are."""
    assert in_flight(server, directory, 60, 3) == case["expect"]["max_in_flight"]


def cap_is_honoured(server: Server, directory: Path, case: dict[str, Any]) -> None:
    assert (
        in_flight(server, directory, len(case["input"]["ids"]), case["input"]["cap"]) <= case["expect"]["max_in_flight"]
    )


def generation(number: int) -> list[Event]:
    """What is said of one trace at a later second each time."""
    stamp = f"2026-11-21T06:00:{number:02d}.000Z"
    body = {"id": "x", "name": f"gen{number}"}
    return [
        Event(Entity("default", "trace", "x"), f"x{number}", "trace-create", stamp, body, RECEIVED_AT // 10**6 + number)
    ]


def one_entity_in_order(server: Server, directory: Path, case: dict[str, Any]) -> None:
    """In one batch it is written once; over batches the generation grows and the last one is the row."""
    with exporter(server) as made:
        export(made, [*generation(0), *generation(1)])
        first = server.table("traces")
        export(made, generation(2))
    (row,) = server.table("traces")
    assert (first[0]["name"], row["name"]) == ("gen1", "gen2")
    assert row["eav_generation"] > first[0]["eav_generation"]


def a_broken_connection_costs_its_own_calls(server: Server, directory: Path, case: dict[str, Any]) -> None:
    server.double.fail(faults.reset(applied=0.5).on("traces").times(1))
    with working(server, directory) as worker:
        worker.send(traces("a", "b", "c"))
        assert worker.done.wait(60)
        assert metric(worker.metrics, "openfuse_dead_letters_total", component="greptimedb") == 0
    assert landed(server) == ["a", "b", "c"]


def stopping_waits_for_what_is_under_way(server: Server, directory: Path, case: dict[str, Any]) -> None:
    with exporter(server) as made:
        export(made, traces("before"))
    stuck = faults.stuck().on("traces").over("grpc")
    server.double.fail(stuck)
    with working(server, directory) as worker:
        worker.send(traces("a"))
        server.double.wait(lambda: server.double.struck(stuck) == 1)
        threading.Timer(0.05, server.double.heal).start()
    assert worker.done.is_set()
    assert landed(server) == ["a", "before"]


CASES: dict[tuple[str, str], Run] = {
    ("bisect", "isolate one of eight"): isolates_one_of_eight,
    ("bisect", "transient stops"): transient_stops,
    ("bisect", "single group keeps class"): single_group_keeps_class,
    ("truncate", "string marker within cap"): too_large_is_a_dead_letter,
    ("truncate", "json sentinel"): too_large_is_a_dead_letter,
    ("truncate", "utf8 boundary"): too_large_is_a_dead_letter,
    ("truncate", "noop"): batches_are_whole,
    ("writer_behaviour", "one combined call"): one_call_for_each_table,
    ("writer_behaviour", "poison isolated, others land"): poison_is_isolated,
    ("writer_behaviour", "projection and EAV share a call"): side_rows_are_seen_with_their_projection,
    ("writer_behaviour", "transient retries whole batch"): transient_retries_whole_batch,
    ("writer_behaviour", "oversize truncated and landed"): too_large_is_a_dead_letter,
    ("writer_behaviour", "partial flush takes whole groups, at least one"): batches_are_whole,
    ("writer_behaviour", "parallel flushes of different entities"): different_entities_at_once,
    ("writer_behaviour", "same entity never concurrent, order kept"): one_entity_in_order,
    ("writer_behaviour", "cap honoured"): cap_is_honoured,
    ("writer_behaviour", "worker death"): a_broken_connection_costs_its_own_calls,
    ("writer_behaviour", "full drain waits"): stopping_waits_for_what_is_under_way,
}
"""(group, name) -> what shows that it holds, or what is done instead."""


@pytest.mark.shared
@needs_shared
@pytest.mark.parametrize(("group", "name"), CASES)
def test_openfuses_writer(faulty: Server, tmp_path: Path, group: str, name: str) -> None:
    (case,) = (case for case in openfuse_cases(group) if case["name"] == name)
    CASES[group, name](faulty, tmp_path, case)


@pytest.mark.shared
@needs_shared
def test_every_case_of_a_writer_is_here() -> None:
    groups = ("bisect", "truncate", "writer_behaviour")
    assert CASES.keys() == {(group, case["name"]) for group in groups for case in openfuse_cases(group)}

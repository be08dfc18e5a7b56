"""Whose an entity is when a trace is deleted: what its events fold to says it, not that one of them names the trace."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from msgspec import structs
from operations_kit import GreptimedbKit, SqliteKit, StoreKit, conversation, deleted, ids, said, store, verified

from openfuse_collector.exporters.sqlite import statements

SECOND = {"t2", "t2-o", "t2-s"}
SECRET = "correct-horse-battery-staple"
KINDS = ("observation", "score")


def assert_clean(kit: StoreKit, shown: set[str]) -> None:
    """Those and no others have rows, and events say the same."""
    assert ids(kit) == shown
    report = verified(kit)
    assert (report.discrepancies, report.failures) == (0, [])


def moving(kind: str, **more: Any) -> list[list[Any]]:
    """Traces A and B, and an entity that names A and later B."""
    first, second = said("e1", kind, 1, traceId="A", **more), said("e1", kind, 2, traceId="B", **more)
    return [[said("A"), said("B"), first], [second]]


@pytest.mark.parametrize("erase", [False, True], ids=["kept", "erased"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_entity_goes_with_the_trace_it_named_first(kit: StoreKit, kind: str, erase: bool) -> None:
    store(kit, *moving(kind, comment=SECRET))
    assert dict(+deleted(kit, "B", erase=erase, dry_run=True).entities) == {"trace": 1}
    removed = deleted(kit, "B", erase=erase)
    assert dict(+removed.entities) == {"trace": 1}
    assert removed.erased == (1 if erase and kit.kind == "sqlite" else 0)
    assert_clean(kit, {"A", "e1"})
    assert kit.query(f"SELECT count(*) FROM raw_events WHERE body LIKE '%{SECRET}%'") == [(2,)]
    assert dict(+deleted(kit, "A", erase=erase).entities) == {"trace": 1, kind: 1}
    assert_clean(kit, set())


def test_a_run_item_goes_with_the_trace_it_named_last(kit: StoreKit) -> None:
    store(kit, *moving("dataset_run_item"))
    assert dict(+deleted(kit, "A", erase=True).entities) == {"trace": 1}
    assert_clean(kit, {"B", "e1"})
    assert dict(+deleted(kit, "B", erase=True).entities) == {"trace": 1, "dataset_run_item": 1}
    assert_clean(kit, set())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_deleted_is_still_of_its_trace(sqlite: SqliteKit, kind: str) -> None:
    """Its payloads are erased with that one and no other."""
    store(sqlite, *moving(kind, comment=SECRET))
    deleted(sqlite, "A")
    assert deleted(sqlite, "B", erase=True).erased == 1
    assert deleted(sqlite, "A", erase=True).erased == 3
    assert sqlite.query(f"SELECT count(*) FROM raw_events WHERE body LIKE '%{SECRET}%'") == [(0,)]
    assert_clean(sqlite, set())


def test_an_erased_remark_is_still_a_remark(sqlite: SqliteKit) -> None:
    """What a span says of the observation above it makes no observation, with its payload or without."""
    remark = structs.replace(
        said("above", "observation", traceId="A", input=SECRET), metadata={"source": "s", "mapping": 1, "remark": True}
    )
    store(sqlite, [said("A"), remark])
    assert deleted(sqlite, "A", erase=True).erased == 2
    assert_clean(sqlite, set())


def showing(kit: GreptimedbKit, trace: str) -> None:
    """The row of e1 names another trace than its events."""
    columns = "start_time, project_id, id"
    kit.tamper(f"INSERT INTO observations ({columns}, trace_id) SELECT {columns}, '{trace}' FROM observations")


def test_events_are_believed_before_the_row_another_collector_has_left(greptimedb: GreptimedbKit) -> None:
    """One that knows the second event alone has written it last, and nobody has gone over it yet."""
    store(greptimedb, *moving("observation"))
    showing(greptimedb, "B")
    assert dict(+deleted(greptimedb, "B").entities) == {"trace": 1}
    assert ids(greptimedb) == {"A", "e1"}
    assert dict(+deleted(greptimedb, "A").entities) == {"trace": 1, "observation": 1}
    assert_clean(greptimedb, set())


def test_a_row_is_believed_when_the_event_that_named_its_trace_has_expired(greptimedb: GreptimedbKit) -> None:
    store(greptimedb, [said("A"), said("e1", "observation")])
    showing(greptimedb, "A")
    assert dict(+deleted(greptimedb, "A").entities) == {"trace": 1, "observation": 1}
    assert_clean(greptimedb, set())


MEMBERS = ("observation", "score", "dataset_run_item")


def traceless() -> list[Any]:
    """What a client says of a trace that nobody has announced."""
    return [said(f"t1-{kind}", kind, traceId="t1", comment=SECRET) for kind in MEMBERS]


def found(kit: StoreKit, id: str, project: str | None = None) -> list[str]:
    """The projects in which there is such a trace."""
    with closing(kit.operations()) as operations:
        return [trace.project_id for trace in operations.find_traces(id, project)]


@pytest.mark.parametrize("kinds", [MEMBERS, *((kind,) for kind in MEMBERS)], ids=", ".join)
def test_a_trace_without_events_of_its_own(kit: StoreKit, kinds: tuple[str, ...]) -> None:
    store(kit, [one for one in traceless() if one.entity.type in kinds], conversation("t2"))
    assert (found(kit, "t1"), found(kit, "t1", "p"), found(kit, "t1", "q"), found(kit, "t")) == (["p"], ["p"], [], [])
    removed = deleted(kit, "t1", erase=True)
    assert dict(+removed.entities) == dict.fromkeys(kinds, 1)
    assert removed.erased == (len(kinds) if kit.kind == "sqlite" else 0)
    assert_clean(kit, SECOND)


def test_such_a_trace_is_found_again_to_be_erased(sqlite: SqliteKit) -> None:
    store(sqlite, traceless(), conversation("t2"))
    deleted(sqlite, "t1")
    assert (found(sqlite, "t1"), found(sqlite, "t1", "p"), found(sqlite, "t1", "q")) == (["p"], ["p"], [])
    assert deleted(sqlite, "t1", erase=True).erased == 3
    assert_clean(sqlite, SECOND)
    assert sqlite.query(f"SELECT count(*) FROM raw_events WHERE body LIKE '%{SECRET}%'") == [(0,)]


def test_a_trace_that_only_what_belongs_to_another_names_is_none(kit: StoreKit) -> None:
    first, second = moving("observation")
    store(kit, [one for one in first if one.entity.id != "B"], second)
    assert (found(kit, "A"), found(kit, "B"), found(kit, "B", "p")) == (["p"], [], [])


def test_a_trace_is_found_in_each_project_that_has_anything_of_it(kit: StoreKit) -> None:
    store(kit, [said("t1"), said("t1-o", "observation", project="q", traceId="t1")])
    assert (found(kit, "t1"), found(kit, "t1", "p"), found(kit, "t1", "q")) == (["p", "q"], ["p"], ["q"])
    deleted(kit, project="q")
    assert found(kit, "t1") == ["p"]


def test_many_events_that_name_a_trace(sqlite: SqliteKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are asked for at a time."""
    monkeypatch.setattr(statements, "LOOKUP", 3)
    store(sqlite, [said(f"o{number}", "observation", traceId="t1") for number in range(11)], conversation("t2"))
    deleted(sqlite, "t1")
    assert found(sqlite, "t1") == ["p"]
    assert deleted(sqlite, "t1", erase=True).erased == 11
    assert_clean(sqlite, SECOND)

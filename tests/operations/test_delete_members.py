"""Whose an entity is when a trace is deleted: what its events fold to says it, not that one of them names the trace."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs
from operations_kit import GreptimedbKit, SqliteKit, StoreKit, deleted, ids, said, store, verified

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

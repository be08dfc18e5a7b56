"""A trace is deleted while collectors have more of it: what goes with it, what stays, and that deleting it again takes that too."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from operations_kit import GreptimedbKit, SqliteKit, StoreKit, conversation, deleted, export, ids, said, store, verified

from openfuse_collector.config.types import Duration
from openfuse_collector.events.event import Event
from openfuse_collector.exporters.greptimedb.config import SettleConfig
from tests.exporters.sqlite_kit import converted
from tests.mapping.span_requests import CHILD, ROOT, TRACE, request, span

AT_ONCE = SettleConfig(after=Duration(0), rate=1_000_000)
SECOND = {"t2", "t2-o", "t2-s"}


def assert_clean(kit: StoreKit, shown: set[str]) -> None:
    assert ids(kit) == shown
    report = verified(kit)
    assert (report.discrepancies, report.failures) == (0, [])


def late(trace: str) -> list[Event]:
    """What the store has not heard of when the trace is deleted, of each kind."""
    return [
        said(f"{trace}-late-{kind}", kind, 1, traceId=trace) for kind in ("observation", "score", "dataset_run_item")
    ]


def test_what_is_written_while_a_deletion_goes_on(kit: StoreKit) -> None:
    """Between the first trace and the second one a collector stores more of the first."""
    store(kit, conversation("t1"), conversation("t2"), conversation("t3"))
    with closing(kit.operations()) as operations, kit.exporter() as collector, operations.changing("delete"):
        made = operations.deletion(erase=False, dry_run=False)
        traces = [trace for id in ("t1", "t3") for trace in operations.find_traces(id, None)]
        shares = []
        for share in made.traces(traces):
            if not shares:
                export(collector, late("t1"))
            shares.append(share)
    assert shares == [0.5, 1.0]
    assert dict(+made.removed.entities) == {"trace": 2, "observation": 3, "score": 3, "dataset_run_item": 1}
    assert_clean(kit, SECOND)


def test_spans_that_are_kept_while_a_deletion_goes_on_are_emptied_as_well(sqlite: SqliteKit) -> None:
    first = converted([request(span(name="correct-horse"))])
    second = converted([request(span(name="battery-staple", span_id=CHILD, parent=ROOT))])
    with closing(sqlite.operations()) as operations, sqlite.exporter() as collector, operations.changing("delete"):
        collector.export(first)
        made = operations.deletion(erase=True, dry_run=False)
        work = made.traces(operations.find_traces(TRACE, None))
        next(work)
        collector.export(second)
        assert list(work) == []
    assert made.removed.rows["openfuse_raw_spans"] == 2
    assert sqlite.query("SELECT length(payload) FROM openfuse_raw_spans") == [(0,), (0,)]
    for file in (sqlite.path, Path(f"{sqlite.path}-wal")):
        content = file.read_bytes() if file.exists() else b""
        assert b"correct-horse" not in content
        assert b"battery-staple" not in content


def test_a_dry_run_counts_once(kit: StoreKit) -> None:
    store(kit, [*conversation("t1"), *late("t1")])
    told = deleted(kit, "t1", dry_run=True)
    assert dict(+told.entities) == {"trace": 1, "observation": 2, "score": 2, "dataset_run_item": 1}
    assert (told.rows["observations"], told.rows["scores"]) == (2, 2)


def test_what_is_stored_afterwards_goes_when_it_is_deleted_again(kit: StoreKit) -> None:
    """It waited in a journal. The store had heard of the trace and its span, not of the rest."""
    store(kit, conversation("t1"), conversation("t2"))
    deleted(kit, "t1")
    store(kit, [*conversation("t1"), *late("t1")])
    assert_clean(kit, {one.entity.id for one in late("t1")} | SECOND)
    assert dict(+deleted(kit, "t1").entities) == {"observation": 1, "score": 1, "dataset_run_item": 1}
    assert_clean(kit, SECOND)
    store(kit, [*conversation("t1"), *late("t1")])
    assert_clean(kit, SECOND)


def during(collector: Any, events: Sequence[Event], do: Any) -> None:
    """A batch that has looked up what the store has and not written anything yet, when something is done."""
    ingester = collector._writer._ingester
    send, waiting = ingester._send_chunk, [do]

    def sending(*arguments: Any) -> Any:
        if waiting:
            waiting.pop()()
        return send(*arguments)

    ingester._send_chunk = sending
    export(collector, events)
    assert not waiting


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "without events of its own"])
def test_a_batch_under_way(greptimedb: GreptimedbKit, announced: bool) -> None:
    """What it adds to an entity that is deleted is settled; what the store has not heard of stays until the trace is deleted again."""
    events = conversation("t1") if announced else conversation("t1")[1:]
    store(greptimedb, conversation("t2"))
    with greptimedb.exporter(settle=AT_ONCE, encoder_workers=1) as collector:
        export(collector, events)
        more = [said("t1-o", "observation", 1, traceId="t1", name="more"), *late("t1")]
        during(collector, more, lambda: deleted(greptimedb, "t1"))
        assert {"t1-o", *(one.entity.id for one in late("t1"))} <= ids(greptimedb)
        collector.settle()
        assert_clean(greptimedb, {one.entity.id for one in late("t1")} | SECOND)
        assert dict(+deleted(greptimedb, "t1").entities) == {"observation": 1, "score": 1, "dataset_run_item": 1}
        collector.settle()
        assert_clean(greptimedb, SECOND)

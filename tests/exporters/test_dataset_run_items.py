"""Dataset run items, of which Openfuse's own services write the events: from raw events to rows of `dataset_run_items`, and back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from openfuse_collector.enrich import enrich
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.reference import fold
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.store import Store
from openfuse_collector.store.rebuild import Selection
from tests.exporters.sqlite_kit import changes, execute, query, rebuild

ITEM = Entity("default", "dataset_run_item", "i1")
NOON = 1768478400000
"""2026-01-15T12:00:00Z in epoch milliseconds."""
CREATE = "dataset-run-item-create"


def said(number: int, type_: str = CREATE, entity: Entity = ITEM, **body: Any) -> Event:
    """What is said of an item at a second of the minute, and received ten milliseconds after what was said before it."""
    timestamp = f"2026-01-15T12:00:{number:02}Z"
    return Event(entity, f"e{number}", type_, timestamp, {"id": entity.id, **body}, NOON + 10 * number)


FULL = {
    "datasetId": "d1",
    "runId": "r1",
    "datasetItemId": "di1",
    "traceId": "t1",
    "observationId": "o1",
    "createdAt": "2026-01-15T11:00:00.250Z",
}
COLUMNS = ("dataset_run_created_at", "dataset_id", "dataset_run_id", "dataset_item_id", "trace_id", "observation_id")

CASES = {
    "all it can say": (
        [said(1, **FULL)],
        (NOON - 3_599_750, "d1", "r1", "di1", "t1", "o1", None),
    ),
    "Openfuse's other spelling of the type": (
        [said(1, "dataset_run_item-create", **FULL)],
        (NOON - 3_599_750, "d1", "r1", "di1", "t1", "o1", None),
    ),
    "without a time it has that of the event": (
        [said(2, datasetId="d1")],
        (NOON + 2000, "d1", None, None, None, None, None),
    ),
    "the first time stays, other columns follow": (
        [said(1, **FULL), said(2, createdAt="2026-01-15T11:30:00Z", runId="r2", error="late")],
        (NOON - 3_599_750, "d1", "r2", "di1", "t1", "o1", "late"),
    ),
    "null clears what may be empty, and nothing else": (
        [said(1, **FULL, error="no"), said(2, observationId=None, error=None, traceId=None, datasetId=None)],
        (NOON - 3_599_750, "d1", "r1", "di1", "t1", None, None),
    ),
    "what is no text costs its own field": (
        [said(1, **FULL), said(2, runId=7, createdAt="soon", observationId=["o2"])],
        (NOON - 3_599_750, "d1", "r1", "di1", "t1", "o1", None),
    ),
}


def stored(path: Path, *batches: Sequence[Event], restart: bool = False) -> list[dict[str, Any]]:
    """The rows after batches, each from a new process with `restart`."""
    store = Store(SqliteConfig(path=str(path)))
    for events in batches:
        if restart:
            store.close()
            store = Store(SqliteConfig(path=str(path)))
        store.write(events)
    store.close()
    return query(path, "SELECT * FROM dataset_run_items ORDER BY id")


@pytest.mark.parametrize("restart", [False, True], ids=["at once", "over restarts"])
@pytest.mark.parametrize("name", CASES)
def test_rows(tmp_path: Path, name: str, restart: bool) -> None:
    events, expected = CASES[name]
    for number, order in enumerate(itertools.permutations(events)):
        (row,) = stored(tmp_path / str(number), *([one] for one in [*order, order[0]]), restart=restart)
        assert tuple(row[column] for column in (*COLUMNS, "error")) == expected
        assert (row["created_at"], row["updated_at"]) == (events[0].ingested_at, events[-1].ingested_at)
        assert Accumulator.of(order).record() == fold(events)


def test_a_deleted_item_has_no_row_until_it_is_written_again(tmp_path: Path) -> None:
    gone = said(2, "langfuse-tombstone")
    assert stored(tmp_path / "a", [said(1, **FULL)], [gone]) == []
    assert stored(tmp_path / "b", [gone], [said(1, **FULL)], restart=True) == []
    (row,) = stored(tmp_path / "c", [said(1, **FULL)], [gone], [said(3, runId="r3")], restart=True)
    assert (row["dataset_id"], row["dataset_run_id"]) == ("d1", "r3")


def test_a_rebuild_brings_rows_back_and_prunes_strangers(tmp_path: Path) -> None:
    path = tmp_path / "openfuse.db"
    others = [said(n, entity=ITEM._replace(id=f"i{n}"), **FULL) for n in range(2, 6)]
    before = stored(path, [said(1, **FULL)], others)
    assert changes(rebuild(path, enrich=enrich)) == {}
    execute(path, "UPDATE dataset_run_items SET trace_id = 'another' WHERE id = 'i2'")
    execute(path, "DELETE FROM dataset_run_items WHERE id IN ('i3', 'i4')")
    execute(path, "INSERT INTO dataset_run_items (project_id, id, dataset_run_created_at) VALUES ('default', 'x', 1)")
    report = rebuild(path, Selection(entity_type="dataset_run_item"), prune=True, enrich=enrich)
    assert changes(report) == {"dataset_run_item": (1, 2, 0)}
    assert report.table("dataset_run_item").without_events == 1
    assert query(path, "SELECT * FROM dataset_run_items ORDER BY id") == before


def test_rows_of_a_trace_are_selected_with_it(tmp_path: Path) -> None:
    path = tmp_path / "openfuse.db"
    stored(path, [said(1, **FULL), said(2, entity=ITEM._replace(id="i2"), **{**FULL, "traceId": "t2"})])
    execute(path, "UPDATE dataset_run_items SET error = 'tampered'")
    rebuild(path, Selection(trace="t1"), prune=True, enrich=enrich)
    assert [row["error"] for row in query(path, "SELECT error FROM dataset_run_items ORDER BY id")] == [
        None,
        "tampered",
    ]


def test_a_store_of_an_older_version_gets_the_table(tmp_path: Path) -> None:
    path = tmp_path / "openfuse.db"
    stored(path, [said(1, **FULL)])
    execute(path, "DROP TABLE dataset_run_items")
    execute(path, "DELETE FROM openfuse_schema_migrations WHERE name LIKE '0003%'")
    with closing(Store(SqliteConfig(path=str(path)))) as store:
        assert store.cursor("a", "b") is None
    assert changes(rebuild(path, enrich=enrich)) == {"dataset_run_item": (0, 1, 0)}
    assert [row["dataset_id"] for row in query(path, "SELECT dataset_id FROM dataset_run_items")] == ["d1"]

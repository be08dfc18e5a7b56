"""The process dies before or after any call that changes a GreptimeDB: what it acknowledged is there in the end, each row once."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from greptimedb_kit import Server
from stores_compared import TABLES, by_name
from test_greptimedb_collector import CONFIG, SPANS, TRACES, request, send, settings_for, stored

from openfuse_collector.crash_points import POINTS, VARIABLE
from openfuse_collector.events.columns import COLUMNS
from openfuse_collector.exporters.greptimedb.schema import SETTLE_MARKS
from tests.collector_process import CollectorProcess, start_collector, wait_until

__all__ = ["start_collector"]

Start = Callable[..., CollectorProcess]
PATIENCE = 120.0
QUIET = {
    "exporters.greptimedb.settle.after": "300ms",
    "exporters.greptimedb.settle.interval": "100ms",
    "service.pipelines.traces.batch.max_items": 60,
}
"""Entities are gone over while the test lasts, and there are many batches."""

VOLATILE = frozenset(("created_at", "updated_at", "eav_generation"))
"""Times of receipt and the count of rewrites."""

SHORT = ("greptimedb.insert.after:9", "greptimedb.delete.before", "greptimedb.mark.after", "greptimedb.unmark.before")
"""The default run; the others are marked `long`."""


def _long() -> list[str]:
    """Every point the first time, and those of every part further on: between two tables, in the second batch, late in the load."""
    points = [name for name in POINTS if name.startswith("greptimedb.") and not name.startswith("greptimedb.epoch.")]
    later = [f"greptimedb.{step}.{side}:{time}" for step, times in LATER.items() for side in SIDES for time in times]
    return [point for point in [*points, *later] if point not in SHORT]


SIDES = ("before", "after")
LATER = {"insert": (2, 3, 4, 5, 9, 40), "delete": (2, 3, 9)}


def bodies() -> Iterator[bytes]:
    """Children first; the roots, which began earlier and so move their traces in time, come last."""
    return (request(trace, number) for number in (3, 2, 1, 0) for trace in range(TRACES))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite store of a collector that got every request once."""
    collector = CollectorProcess(tmp_path_factory.mktemp("clean")).start()
    for body in bodies():
        send(collector, body)
    collector.wait_for_rows("SELECT id FROM observations", at_least=SPANS)
    assert collector.stop() == 0
    return collector.store


@pytest.mark.parametrize("point", [*SHORT, *(pytest.param(point, marks=pytest.mark.long) for point in _long())])
def test_every_row_is_there_once(point: str, faulty: Server, start_collector: Start, clean: Path) -> None:
    sets = {**settings_for(faulty), **QUIET}
    collector = start_collector(arguments=["--config", str(CONFIG)], sets=sets, environment={VARIABLE: point})
    sender = threading.Thread(target=send_each, args=(collector,))
    sender.start()
    wait_until(lambda: not collector.running, lambda: f"{point} was never passed:\n{collector.log}", PATIENCE)
    collector.environment.clear()
    collector.start()
    sender.join(PATIENCE)
    wait_until(lambda: stored(faulty) == (SPANS, TRACES) and gone_over(faulty), lambda: collector.log[-4000:], PATIENCE)
    assert collector.metric("openfuse_dead_letters_total") == 0, collector.log
    assert collector.stop() == 0, collector.log
    check(faulty, clean)


def send_each(collector: CollectorProcess) -> None:
    """Every request until it is acknowledged, over the crash."""
    for body in bodies():
        send(collector, body)


def gone_over(server: Server) -> bool:
    """Whether nothing waits to be gone over any more."""
    return not server.double.query(f"SELECT * FROM {SETTLE_MARKS.name}")


def check(server: Server, clean: Path) -> None:
    """Rows are those of the collector nothing happened to, one each; every event is there. Copies in raw_events are told by id."""
    with closing(sqlite3.connect(clean)) as connection:
        connection.row_factory = sqlite3.Row
        for kind, table in TABLES.items():
            columns = [column for column in COLUMNS[kind] if column not in VOLATILE]
            expected = by_name([dict(row) for row in connection.execute(f"SELECT * FROM {table}")], columns)
            found = by_name(server.table(table), columns)
            assert found.keys() == expected.keys(), table
            assert [(found[name], row) for name, row in expected.items() if found[name] != row] == [], table
        events = {event for (event,) in connection.execute("SELECT event_id FROM raw_events")}
    assert {row["event_id"] for row in server.table("raw_events")} == events
    assert len(server.visible("traces_tags", "traces")) == TRACES

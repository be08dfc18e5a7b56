"""The process dies while a pipeline that parks gives up its oldest requests: its neighbour has everything, and it has all that it kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from openfuse_collector.crash_points import VARIABLE
from tests.collector_process import CollectorProcess, wait_until
from tests.faults.fault_kit import PATIENCE, Client, Request, Rows, check, wait_stored
from tests.store_lock import locked

Start = Callable[..., CollectorProcess]

CONFIG = """
receivers: {otlp: {protocols: {grpc: {}, http: {}}}}
connectors: {genai: {}, genai/away: {}}
exporters:
  sqlite: {}
  sqlite/away: {path: away.db, busy_timeout: 10ms, retry_on_failure: {initial_interval: 10ms, max_interval: 50ms}}
extensions: {health_check: {}}
service:
  extensions: [health_check]
  journal: {segment_size: 1MiB, max_size: 64MiB}
  pipelines:
    traces: {receivers: [otlp], exporters: [genai], batch: {max_items: 40}}
    traces/away: {receivers: [otlp], exporters: [genai/away], batch: {max_items: 40}, on_full: park, max_backlog: 1MiB}
    events: {receivers: [genai], exporters: [sqlite]}
    events/away: {receivers: [genai/away], exporters: [sqlite/away]}
"""
SHORT = ("journal.give_up.after",)
LONG = ("journal.give_up.before", "journal.give_up.before:2", "journal.give_up.after:2")
RECORD = 1000
"""Bytes a record of the journal takes beside its request at most."""
CHUNK = 14


@pytest.mark.parametrize("point", [*SHORT, *(pytest.param(point, marks=pytest.mark.long) for point in LONG)])
def test_a_crash_while_requests_are_given_up(
    point: str, start_collector: Start, requests: list[Request], clean: Rows, tmp_path: Path
) -> None:
    config = tmp_path / "parked.yaml"
    config.write_text(CONFIG)
    collector = start_collector(arguments=["--config", str(config)], environment={VARIABLE: point})
    away, client = collector.directory / "away.db", Client(collector)
    with locked(away):
        for _ in range(3):  # enough for some segments
            client.send(requests)
        wait_until(lambda: not collector.running, lambda: f"{point} was never passed:\n{collector.log}", PATIENCE)
    collector.environment.clear()
    kept = in_the_last_segment(collector, client.acknowledged)
    collector.start()
    wait_delivered(collector, away, kept)
    client.unanswered.clear()
    for start in range(0, len(requests), CHUNK):  # as much as the quota holds
        chunk = requests[start : start + CHUNK]
        client.send(chunk)
        wait_delivered(collector, away, chunk)
    assert not client.unanswered
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)
    assert observations(away) == {id for _, id in clean["observations"]}
    assert not query(away, f"{EVENTS} GROUP BY project_id, entity_type, entity_id, event_id HAVING count(*) > 1")


def in_the_last_segment(collector: CollectorProcess, acknowledged: Sequence[Request]) -> Sequence[Request]:
    """Those that are kept whatever is given up: the last segment never is. There may be one behind them that was not acknowledged."""
    room = sorted(collector.journal.glob("*.log"))[-1].stat().st_size - max(len(each.body) for each in acknowledged)
    sizes = accumulate(len(each.body) + RECORD for each in reversed(acknowledged))
    count = sum(size <= room for size in sizes)
    return acknowledged[len(acknowledged) - count :]


def wait_delivered(collector: CollectorProcess, store: Path, requests: Sequence[Request]) -> None:
    """Until the store that was away has all of these."""
    spans = set[str]().union(*(request.spans for request in requests))
    wait_until(lambda: spans <= observations(store), lambda: collector.log[-4000:], PATIENCE)


EVENTS = "SELECT event_id FROM raw_events"


def observations(store: Path) -> set[str]:
    """Ids of the observations in a store."""
    return {id for (id,) in query(store, "SELECT id FROM observations")}


def query(store: Path, sql: str) -> list[Any]:
    """Rows."""
    with closing(sqlite3.connect(store, timeout=20)) as connection:
        return connection.execute(sql).fetchall()

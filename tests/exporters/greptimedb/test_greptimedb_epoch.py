"""The store epoch: every bump is seen, whoever bumps, and collectors forget what they remember."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from greptimedb_kit import Server, export, exporter

from openfuse_collector.exporters.greptimedb import epoch, migrations
from tests.builders import event


@pytest.fixture
def prepared(server: Server) -> Server:
    migrations.apply(server.sql, server.config(), "one")
    return server


def test_an_epoch_stays_until_somebody_bumps_it(prepared: Server) -> None:
    first = epoch.read(prepared.sql)
    assert epoch.read(prepared.sql) == first
    epoch.bump(prepared.sql, "delete trace o'clock")
    assert epoch.read(prepared.sql) != first
    assert [row["reason"] for row in prepared.table("openfuse_store_epoch")] == ["delete trace o'clock"]


def test_bumps_of_one_millisecond_and_one_reason_all_count(prepared: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch, "epoch_millis", lambda: 1_795_000_000_000)
    seen = {epoch.read(prepared.sql)}
    for _ in range(3):
        epoch.bump(prepared.sql, "rebuild")
        seen.add(epoch.read(prepared.sql))
    assert len(seen) == 4


def test_several_processes_may_bump_at_once(prepared: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: epoch.bump(prepared.sql, f"command {number % 2}"), range(24)))
    assert len(prepared.table("openfuse_store_epoch")) == 24


def test_a_bump_is_seen_although_an_older_one_has_expired() -> None:
    assert len({epoch.of([[bumps, newest, 0]]) for bumps, newest in ((0, None), (1, 5), (1, 6), (2, 6), (2, 5))}) == 5


def test_a_collector_forgets_what_it_remembers_when_the_epoch_changes(server: Server) -> None:
    """Somebody else stored an event behind its back. Without a bump it would write a row without that."""
    with exporter(server) as made, exporter(server) as other:
        export(made, [event("t", "trace", name="n")])
        export(other, [event("t", "trace", userId="u")])
        epoch.bump(server.sql, "test")
        export(made, [event("t", "trace", sessionId="s", metadata={"k": "v"})])
    (row,) = server.table("traces")
    assert (row["name"], row["user_id"], row["session_id"]) == ("n", "u", "s")
    (raised,) = {found["generation"] for found in server.visible("traces_metadata", "traces")}
    assert raised == row["eav_generation"]

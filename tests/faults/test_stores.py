"""A store that is locked, slow, damaged, or away for longer than the journal has room."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector_process import CollectorProcess, wait_until
from tests.faults.fault_kit import PATIENCE, Client, Request, Rows, check, post, wait_stored
from tests.store_lock import locked

Start = Callable[..., CollectorProcess]
TIGHT = {
    "service.journal.segment_size": "1MiB",
    "service.journal.max_size": "2MiB",
    "exporters.sqlite.busy_timeout": "100ms",
}


def test_a_locked_store(start_collector: Start, requests: list[Request], clean: Rows) -> None:
    collector = start_collector(sets={"exporters.sqlite.busy_timeout": "100ms"})
    client = Client(collector)
    with locked(collector.store):
        client.send(requests)
        wait_until(lambda: "database is locked" in collector.log, lambda: collector.log, PATIENCE)
    assert not client.unanswered, "the journal has room"
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)


def test_a_store_away_for_longer_than_the_journal_has_room(
    start_collector: Start, requests: list[Request], clean: Rows
) -> None:
    """Senders get a retryable answer within their own timeout, and may come back once the store is there again."""
    collector = start_collector(sets=TIGHT)
    client = Client(collector)
    with locked(collector.store):
        while not client.unanswered:
            client.send(requests)
        assert client.acknowledged
        assert post(collector.http_port, requests[0].body, timeout=10) == 503
    client.resend()
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)


def test_a_slow_store(start_collector: Start, requests: list[Request], clean: Rows) -> None:
    """Somebody else writes most of the time."""
    collector, done = start_collector(), threading.Event()

    def hold() -> None:
        while not done.wait(0.01):
            with locked(collector.store):
                done.wait(0.05)

    other = threading.Thread(target=hold)
    other.start()
    client = Client(collector)
    client.send(requests)
    wait_stored(collector, client.acknowledged)
    done.set()
    other.join()
    assert not client.unanswered
    assert collector.stop() == 0
    check(collector, clean)


@pytest.mark.parametrize("damage", ["header", "middle"])
def test_a_damaged_store(damage: str, start_collector: Start, requests: list[Request], clean: Rows) -> None:
    """It is named in the error; once it is moved away, everything the journal still holds is stored in a new one."""
    collector = start_collector()
    client = Client(collector)
    with locked(collector.store):
        client.send(requests)
        collector.kill()
    _damage(collector.store, damage)
    with pytest.raises(AssertionError, match=r"exit code 1(.|\n)*cannot open .*openfuse\.db"):
        collector.start()
    for file in collector.store.parent.glob("openfuse.db*"):
        shutil.move(file, file.with_name(f"damaged-{file.name}"))
    collector.start()
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)


def _damage(store: Path, where: str) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(store.read_bytes())
    start, end = (0, 100) if where == "header" else (100, len(content))
    content[start:end] = b"\xa5" * (end - start)
    store.write_bytes(content)


def test_a_store_removed_while_in_use(start_collector: Start, requests: list[Request], clean: Rows) -> None:
    """What comes afterwards is in a new file; what was in the old one is its owner's business."""
    collector = start_collector()
    for file in collector.store.parent.glob("openfuse.db*"):
        file.unlink()
    client = Client(collector)
    client.send(requests)
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)

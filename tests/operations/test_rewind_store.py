"""A store that lost its last seconds is complete again after `rewind`, and nothing in it is doubled."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from collector_kit import Start, command, request, send, span_ids, started, stored_spans, wait_for_spans
from operations_kit import GreptimedbKit, SqliteKit, StoreKit, verified

from tests.collector_process import CollectorProcess, start_collector

__all__ = ["start_collector"]

DOUBLED = "SELECT event_id FROM raw_events GROUP BY project_id, entity_type, entity_id, event_id HAVING count(*) > 1"
EARLY, LATE = range(5), range(5, 12)


def lose(kit: StoreKit, since: float) -> None:
    """What a power cut of the store's host costs: the newest writes, the cursor of the embedded store not among them."""
    if isinstance(kit, SqliteKit):
        young = f"(SELECT entity_id FROM raw_events WHERE ingested_at >= {since * 1000:.0f})"
        for table in ("observations", "traces"):
            kit.tamper(f"DELETE FROM {table} WHERE id IN {young}")
        kit.tamper(f"DELETE FROM raw_events WHERE ingested_at >= {since * 1000:.0f}")
        return
    for table in ("raw_events", "observations", "traces", "traces_tags", "traces_metadata", "observations_metadata"):
        kit.tamper(f"TRUNCATE TABLE {table}")


def written(since: float) -> str:
    return datetime.fromtimestamp(since, UTC).isoformat()


def after_a_loss(kit: StoreKit, start: Start) -> tuple[CollectorProcess, float, float]:
    """A stopped collector whose store has lost what came since the second of two times, or since the first."""
    collector = started(start, kit)
    first = time.time() - 1
    for trace in EARLY:
        send(collector, request(trace))
    wait_for_spans(kit, collector, EARLY)
    second = time.time()
    for trace in LATE:
        send(collector, request(trace))
    wait_for_spans(kit, collector, [*EARLY, *LATE])
    assert collector.stop() == 0, collector.log
    lose(kit, second)
    assert not span_ids(LATE) & stored_spans(kit)
    return collector, first, second


def test_a_store_that_lost_its_last_seconds_is_complete_again(kit: StoreKit, start_collector: Start) -> None:
    collector, first, second = after_a_loss(kit, start_collector)
    since = second if kit.kind == "sqlite" else first
    cursors = (collector.journal / "cursors.json").read_bytes()
    told = command(kit, collector, "rewind", "--since", written(since), "--dry-run")
    assert told.exit_code == 0, told.stderr
    requests = len(LATE) if kit.kind == "sqlite" else len(EARLY) + len(LATE)
    assert [line.split()[:2] for line in told.stdout.splitlines() if line.startswith("traces ")] == [
        ["traces", str(requests)]
    ]
    assert (collector.journal / "cursors.json").read_bytes() == cursors
    done = command(kit, collector, "rewind", "--since", written(since))
    assert done.exit_code == 0, done.stderr
    collector.start()
    wait_for_spans(kit, collector, [*EARLY, *LATE])
    assert collector.stop() == 0, collector.log
    assert stored_spans(kit) == span_ids([*EARLY, *LATE])
    assert verified(kit).discrepancies == 0
    assert kit.query(DOUBLED) == []


def test_rewinding_what_is_complete_changes_nothing(kit: StoreKit, start_collector: Start) -> None:
    """Everything comes once more and is recognised."""
    collector = started(start_collector, kit)
    for trace in EARLY:
        send(collector, request(trace))
    wait_for_spans(kit, collector, EARLY)
    assert collector.stop() == 0, collector.log
    assert command(kit, collector, "rewind", "--since", "1h").exit_code == 0
    collector.start()
    send(collector, request(7))  # behind what is replayed
    wait_for_spans(kit, collector, [*EARLY, 7])
    assert collector.metric("openfuse_store_duplicate_events_total") >= len(span_ids(EARLY))
    assert collector.stop() == 0, collector.log
    assert stored_spans(kit) == span_ids([*EARLY, 7])
    assert verified(kit).discrepancies == 0
    assert kit.query(DOUBLED) == []


def test_only_while_the_collector_is_stopped(sqlite: SqliteKit, start_collector: Start) -> None:
    collector = started(start_collector, sqlite)
    refused = command(sqlite, collector, "rewind", "--since", "1h")
    assert refused.exit_code == 1
    assert f"is running (process {collector.pid}): stop it" in refused.stderr
    assert collector.stop() == 0
    nothing = command(sqlite, collector, "rewind", "--since", "1h")
    assert (nothing.exit_code, "nothing to replay" in nothing.stdout) == (0, True)


def test_wrong_usage(sqlite: SqliteKit, start_collector: Start) -> None:
    collector = started(start_collector, sqlite)
    assert collector.stop() == 0
    missing = command(sqlite, collector, "rewind", "--since", "1h", "--pipeline", "traces/eu")
    assert (missing.exit_code, "no pipeline traces/eu reads the journal" in missing.stderr) == (2, True)
    assert command(sqlite, collector, "rewind").exit_code == 2
    collector.journal = collector.directory / "elsewhere"
    absent = command(sqlite, collector, "rewind", "--since", "1h")
    assert (absent.exit_code, "no journal at" in absent.stderr) == (1, True)
    assert not collector.journal.exists()


def test_a_longer_way_back_than_the_journal_goes_is_told(greptimedb: GreptimedbKit, start_collector: Start) -> None:
    collector = started(start_collector, greptimedb)
    send(collector, request(1))
    wait_for_spans(greptimedb, collector, [1])
    assert collector.stop() == 0
    told = command(greptimedb, collector, "rewind", "--since", "2000-01-01")
    assert "the journal has nothing older than" in told.stdout

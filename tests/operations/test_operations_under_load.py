"""Commands beside a collector that receives: afterwards nothing is missing, nothing is doubled, nothing deleted is back."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag

from collector_kit import (
    PATIENCE,
    Start,
    command,
    request,
    send,
    span_ids,
    started,
    stored_spans,
    trace_id,
    wait_for_spans,
)
from operations_kit import StoreKit, conversation, ids, said, store, verified

from tests.collector_process import start_collector, wait_until

__all__ = ["start_collector"]

ROUNDS = 3
TRACES = {"sqlite": 40, "greptimedb": 15}
"""Of a round. The double serves calls in this process, beside the senders."""


def test_delete_rebuild_and_retention_beside_a_collector_under_load(kit: StoreKit, start_collector: Start) -> None:
    """Senders send new traces and, again and again, old ones, deleted ones among them."""
    old = [event for number in range(40) for event in conversation(f"old-{number}", at=-(10**11), project="old")]
    store(kit, old, conversation("kept", at=2**40, project="old"))
    settings = {f"exporters.{kit.kind}.retention": "{projects: {old: 30d}, interval: 100ms}"}
    if kit.kind == "greptimedb":  # a batch that was under way may write a row after its trace was deleted
        settings["exporters.greptimedb.settle"] = "{after: 200ms, interval: 100ms}"
    collector = started(start_collector, kit, **settings)
    numbers, done, a_round = itertools.count(), Flag(), TRACES[kit.kind]
    acknowledged: set[int] = set()

    def load() -> None:
        while not done.is_set():
            number = next(numbers)
            send(collector, request(number, (1, 2)))
            send(collector, request(number, (0, 3)))
            acknowledged.add(number)
            send(collector, request(number // 2))

    deleted: set[int] = set()
    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(load) for _ in range(3)]
        try:
            for round in range(1, ROUNDS + 1):
                wait_until(lambda round=round: len(acknowledged) >= round * a_round, lambda: collector.log, PATIENCE)
                wait_for_spans(kit, collector, range((round - 1) * a_round, round * a_round - 4))
                gone = {round * a_round - 7, round * a_round - 9}
                told = command(kit, collector, "delete", "trace", *map(trace_id, gone), "--yes")
                assert told.exit_code == 0, told.output
                deleted |= gone
                if round == 2:
                    kit.tamper("DELETE FROM traces WHERE project_id = 'default'")
                again = command(kit, collector, "rebuild")
                assert again.exit_code == 0, again.output
        finally:
            done.set()
        for client in clients:
            client.result()
    wait_for_spans(kit, collector, acknowledged - deleted)
    assert collector.metric("openfuse_dead_letters_total") == 0, collector.log
    wait_until(lambda: not any(id.startswith("old") for id in ids(kit)), lambda: collector.log, PATIENCE)
    wait_until(lambda: verified(kit).discrepancies == 0, lambda: f"{verified(kit)}\n{collector.log}", PATIENCE)
    assert collector.stop() == 0, collector.log
    report = verified(kit)
    assert (report.discrepancies, report.failures) == (0, []), report
    kept = {"kept-o"}
    assert stored_spans(kit) == span_ids(acknowledged - deleted) | kept
    assert not {trace_id(number) for number in deleted} & ids(kit)
    if kit.kind == "sqlite":
        copies = "SELECT 1 FROM raw_events GROUP BY project_id, entity_type, entity_id, event_id HAVING count(*) > 1"
        assert kit.query(copies) == []
    assert "[error" not in collector.log and '"level": "error"' not in collector.log
    store(kit, [said("kept", at=2**40 + 1, project="old", name="more")])
    assert verified(kit).discrepancies == 0

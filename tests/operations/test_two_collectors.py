"""Two collectors in front of one database, each with half of every trace, while traces are deleted and everything is rebuilt."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag

from collector_kit import (
    CONFIG,
    PATIENCE,
    Start,
    command,
    request,
    send,
    sets_for,
    span_ids,
    stored_spans,
    trace_id,
    wait_for_spans,
)
from operations_kit import GreptimedbKit, ids, verified

from tests.collector_process import CollectorProcess, start_collector, wait_until

__all__ = ["start_collector"]

A_ROUND = 30
"""Traces before something is deleted."""
SENTINEL = 100_000
SETTLE = {"exporters.greptimedb.settle": "{after: 300ms, interval: 100ms}"}


def settled(kit: GreptimedbKit, *collectors: CollectorProcess) -> None:
    """Until nobody has anything left to go over, and nothing is wrong any more."""

    def log() -> str:
        return "\n".join((str(verified(kit)), *(each.log for each in collectors)))

    for each in collectors:
        wait_until(lambda each=each: each.metric("openfuse_settle_waiting") == 0, log, PATIENCE)
    wait_until(lambda: verified(kit).discrepancies == 0, log, PATIENCE)


def deleted(kit: GreptimedbKit, collector: CollectorProcess, *numbers: int) -> None:
    told = command(kit, collector, "delete", "trace", *map(trace_id, numbers), "--yes")
    assert told.exit_code == 0, told.output


def test_halves_of_the_same_traces_with_commands_under_load(greptimedb: GreptimedbKit, start_collector: Start) -> None:
    """Children and roots of a trace go to different collectors, the root last; one of the collectors is killed on the way."""
    kit = greptimedb
    one, other = (
        start_collector(name, arguments=["--config", str(CONFIG[kit.kind])], sets=sets_for(kit, **SETTLE))
        for name in ("one", "other")
    )
    numbers, done, acknowledged, gone = itertools.count(), Flag(), set[int](), set[int]()

    def load() -> None:
        while not done.is_set():
            number = next(numbers)
            here, there = (one, other) if number % 2 else (other, one)
            send(here, request(number, (3, 1)))
            send(there, request(number, (2,)))
            send(there, request(number, (0,)))
            acknowledged.add(number)

    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(load) for _ in range(3)]
        try:
            for round in (1, 2):
                wait_until(lambda round=round: len(acknowledged) >= round * A_ROUND, lambda: one.log, PATIENCE)
                wait_for_spans(kit, one, range((round - 1) * A_ROUND, round * A_ROUND - 5))
                chosen = {round * A_ROUND - 10, round * A_ROUND - 12}
                deleted(kit, one, *chosen)
                gone |= chosen
                if round == 1:
                    other.kill()
                    other.start()
                again = command(kit, one, "rebuild")
                assert again.exit_code == 0, again.output
        finally:
            done.set()
        for client in clients:
            client.result()
    wait_for_spans(kit, one, acknowledged - gone)
    settled(kit, one, other)
    for each in (one, other):  # whether anything had to be mended is a matter of luck
        assert each.metric("openfuse_settle_checked_total") > 0
    assert stored_spans(kit) == span_ids(acknowledged - gone)
    traces = kit.query("SELECT id, `timestamp` FROM traces")
    assert sorted(id for id, _ in traces) == sorted(map(trace_id, acknowledged - gone))
    back = min(gone)
    for number in gone:  # nothing new is said
        send(other, request(number))
        send(one, request(number))
    for number, each in enumerate((one, other)):  # a collector stores what it receives in order
        send(each, request(SENTINEL + number))
        wait_for_spans(kit, each, [SENTINEL + number])
    settled(kit, one, other)
    assert not {trace_id(number) for number in gone} & ids(kit)
    send(other, request(back, (9,)))
    wait_until(lambda: trace_id(back) in ids(kit), lambda: other.log, PATIENCE)
    settled(kit, one, other)
    assert not {trace_id(number) for number in gone - {back}} & ids(kit)
    for each in (one, other):
        assert each.metric("openfuse_dead_letters_total") == 0, each.log
        assert each.stop() == 0, each.log

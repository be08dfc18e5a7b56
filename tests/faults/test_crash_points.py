"""The process dies at a chosen place; what it had acknowledged is stored after the next start, once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from openfuse_collector.crash_points import POINTS, VARIABLE
from tests.collector_process import CollectorProcess, wait_until
from tests.faults.fault_kit import Client, Request, Rows, check, wait_stored

Start = Callable[..., CollectorProcess]

SMALL = {
    "service.journal.segment_size": "1MiB",
    "service.journal.max_size": "64MiB",
    "service.pipelines.traces.batch.max_items": 40,
}
"""Several segments and many batches within one test."""

UNREACHED = frozenset(("journal.truncate.before", "journal.truncate.after"))
"""Only a torn tail is truncated; these have a test of their own."""

ELSEWHERE = ("dead_letters.", "greptimedb.", "journal.give_up.")
"""Passed only where something is refused, parked or written to another store: `test_crash_letters`, `test_crash_parked`, and
`test_greptimedb_crash_points`."""

SHORT = (
    "journal.write.torn",
    "journal.sync.before:5",
    "journal.sync.after:5",
    "journal.rename.before:2",
    "journal.cursor.before:3",
    "exporter.export.after",
    "sqlite.commit.before:2",
    "sqlite.commit.after:2",
)
"""The default run; the others are marked `long`."""

RARE = ("journal.create.", "journal.remove.", "journal.rename.", "journal.sync_directory.")
"""Steps of a new segment or of the cursor file: a handful in a test."""


def _long() -> list[str]:
    """Every point the first time it is passed, and those of every batch a good way into the load too."""
    points = [name for name in POINTS if name not in UNREACHED and not name.startswith(ELSEWHERE)]
    later = [f"{name}:9" for name in points if not name.startswith(RARE)]
    return [point for point in [*points, *later] if point not in SHORT]


@pytest.mark.parametrize("point", [*SHORT, *(pytest.param(point, marks=pytest.mark.long) for point in _long())])
def test_nothing_acknowledged_is_lost(point: str, start_collector: Start, requests: list[Request], clean: Rows) -> None:
    collector = start_collector(sets=SMALL)
    collector.stop()
    client = crash(collector, point, requests)
    collector.environment.clear()
    collector.start()
    wait_stored(collector, client.acknowledged)
    client.resend()
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)


def crash(collector: CollectorProcess, point: str, requests: list[Request]) -> Client:
    """Start with the point armed, send until the process is gone; asserts that it went, and went there."""
    collector.environment[VARIABLE] = point
    client = Client(collector)
    try:
        collector.start()
    except AssertionError:  # died before it was ready
        assert "exit code -9" in collector.log or not collector.running
        client.unanswered = list(requests)
        return client
    client.send(requests)
    if collector.running:  # housekeeping and the end have points as well
        try:
            wait_until(lambda: not collector.running, lambda: "still running", 3)
        except AssertionError:
            assert collector.stop() == -9, f"{point} was never passed:\n{collector.log}"
    return client


@pytest.mark.parametrize("point", ["journal.truncate.before", "journal.truncate.after"])
def test_a_torn_tail_is_cut_even_if_the_first_cut_is_cut_short(
    point: str, start_collector: Start, requests: list[Request], clean: Rows
) -> None:
    collector = start_collector()
    collector.stop()
    client = crash(collector, "journal.write.torn:4", requests)
    collector.environment[VARIABLE] = point
    with pytest.raises(AssertionError, match="exit code -9"):
        collector.start()
    collector.environment.clear()
    collector.start()
    wait_stored(collector, client.acknowledged)
    client.resend()
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)


def test_an_unknown_point_is_an_error(start_collector: Start) -> None:
    with pytest.raises(AssertionError, match=r"there is no crash point 'journal\.sink'"):
        start_collector(environment={VARIABLE: "journal.sink"})

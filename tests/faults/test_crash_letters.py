"""The process dies while something is set aside, replayed or copied: a dead letter or stored, never neither, and no copy outlives it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from openfuse_collector.crash_points import VARIABLE
from openfuse_collector.dead_letters.file import LetterFile
from openfuse_collector.payloads import decode_letter
from tests.collector_process import CollectorProcess, wait_until
from tests.faults.fault_kit import PATIENCE, Client, Request, Rows, check, wait_stored
from tests.faults.test_crash_points import SMALL, crash

Start = Callable[..., CollectorProcess]

REFUSED = 12
"""Spans the store refuses."""
ASIDE = ("dead_letters.write.before", "dead_letters.write.after")
REPLAY = ("dead_letters.replay.before", "dead_letters.remove.before")
REPLAY_LONG = ("sqlite.commit.before", "sqlite.commit.after", "dead_letters.remove.after")
LONG = (
    "dead_letters.write.before:3",
    "dead_letters.write.after:3",
    "exporter.export.before:3",
    "journal.cursor.before:2",
)


def refused(requests: list[Request]) -> frozenset[str]:
    """Some spans from all over the load."""
    return frozenset(min(request.spans) for request in requests[:: len(requests) // REFUSED][:REFUSED])


def refuse(store: Path, spans: frozenset[str]) -> None:
    """From now on the store takes everything but these."""
    names = ", ".join(f"'{span}'" for span in sorted(spans))
    when = f"WHEN NEW.id IN ({names}) BEGIN SELECT RAISE(ABORT, 'refused for the test'); END"
    _execute(store, f"CREATE TRIGGER refuses BEFORE INSERT ON observations {when}")


def relent(store: Path) -> None:
    """From now on it takes everything."""
    _execute(store, "DROP TRIGGER refuses")


def _execute(store: Path, statement: str) -> None:
    with closing(sqlite3.connect(store, timeout=60)) as connection, connection:
        connection.execute(statement)


def letters(collector: CollectorProcess) -> list[tuple[str, int]]:
    """Of every dead letter: the observation, and when the request it was in came."""
    file = LetterFile.existing(collector.journal / "dead-letters")
    if file is None:
        return []
    with closing(file):
        found = [letter for _, letter in file.letters("state != 'gone'")]
    return [(decode_letter(letter)[0].entity.id, letter.origin.received_at) for letter in found]


def ask(collector: CollectorProcess) -> None:
    """For the replay of all."""
    file = LetterFile.existing(collector.journal / "dead-letters")
    assert file is not None
    with closing(file):
        assert file.ask_for_replay("1")


def drop(collector: CollectorProcess) -> None:
    """All there are."""
    file = LetterFile.existing(collector.journal / "dead-letters")
    assert file is not None
    with closing(file):
        assert file.remove("1")


def copies(collector: CollectorProcess) -> set[str]:
    """Ids of the letters of which the store has a copy."""
    return {row["id"] for row in collector.query("SELECT id FROM openfuse_dead_letters")}


def wait_letters(collector: CollectorProcess, spans: frozenset[str]) -> None:
    """Until there are letters of just these, one each for every time their request came: one whose answer was lost comes twice."""

    def there() -> bool:
        return {observation for observation, _ in letters(collector)} == spans

    wait_until(there, lambda: f"{letters(collector)}\n{collector.log[-4000:]}", PATIENCE)
    found = letters(collector)
    assert len(set(found)) == len(found)


def others(requests: list[Request]) -> list[Request]:
    """The requests as far as the store takes them."""
    return [request._replace(spans=request.spans - refused(requests)) for request in requests]


@pytest.mark.parametrize("point", [*ASIDE, *(pytest.param(point, marks=pytest.mark.long) for point in LONG)])
def test_what_is_refused_is_a_letter_once(
    point: str, start_collector: Start, requests: list[Request], clean: Rows
) -> None:
    collector = start_collector(sets=SMALL)
    collector.stop()
    refuse(collector.store, refused(requests))
    client = crash(collector, point, requests)
    collector.environment.clear()
    collector.start()
    client.resend()
    wait_stored(collector, others(requests))
    wait_letters(collector, refused(requests))
    relent(collector.store)
    ask(collector)
    wait_letters(collector, frozenset())
    assert collector.stop() == 0
    check(collector, clean)


@pytest.mark.parametrize("point", [*REPLAY, *(pytest.param(point, marks=pytest.mark.long) for point in REPLAY_LONG)])
def test_what_is_replayed_is_stored_once(
    point: str, start_collector: Start, requests: list[Request], clean: Rows
) -> None:
    collector = start_collector(sets=SMALL)
    refuse(collector.store, refused(requests))
    Client(collector).send(requests)
    wait_stored(collector, others(requests))
    wait_letters(collector, refused(requests))
    assert collector.stop() == 0
    relent(collector.store)
    ask(collector)
    collector.environment[VARIABLE] = point
    try:
        collector.start()
    except AssertionError:
        assert not collector.running
    wait_until(lambda: not collector.running, lambda: f"{point} was never passed:\n{collector.log}", PATIENCE)
    collector.environment.clear()
    collector.start()
    wait_letters(collector, frozenset())
    assert collector.stop() == 0
    check(collector, clean)


def test_a_letter_dropped_after_its_copy_was_committed_has_none(
    start_collector: Start, requests: list[Request]
) -> None:
    """The process died before the file of the letters knew of the copy."""
    collector = start_collector(sets=SMALL)
    collector.stop()
    refuse(collector.store, refused(requests))
    crash(collector, "dead_letters.copied.before", requests)
    collector.environment.clear()
    assert copies(collector)
    relent(collector.store)
    drop(collector)
    collector.start()
    wait_until(lambda: not copies(collector), lambda: f"{copies(collector)}\n{collector.log[-4000:]}", PATIENCE)
    assert collector.stop() == 0
    assert letters(collector) == []

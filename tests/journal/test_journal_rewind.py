"""Rewinding a journal nobody has open: which requests come again, and where cursors go."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest
import structlog
from journal_kit import Clock, Opened, everything, origin, payloads

from openfuse_collector.journal import JournalError, JournalLocked
from openfuse_collector.journal.rewind import StoppedJournal, stopped
from openfuse_collector.signals import Origin, Signal

SECOND = 1_000_000_000
LOG = structlog.get_logger()


async def fill(directory: Path, ages: list[int]) -> None:
    """One request per receive time, in seconds, in small files; the pipeline `all` has finished them."""
    with Opened(directory, segment_size=500, retain=1e9) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        for age in ages:
            await opened.journal.append(Origin(Signal.TRACES, "otlp", age * SECOND), b"%d" % age * 20, None)
        assert len(payloads(reader)) == len(ages)
        reader.commit(opened.journal.end)


def young(journal: StoppedJournal, since: int) -> list[int]:
    found = sorted(journal.since(since * SECOND), key=lambda one: one.offset)
    return [one.origin.received_at // SECOND for one in found]


async def test_requests_since_a_time(tmp_path: Path) -> None:
    await fill(tmp_path, list(range(10, 40)))
    with stopped(tmp_path, LOG) as journal:
        assert len(list(tmp_path.glob("*.log"))) > 5
        assert young(journal, 0) == list(range(10, 40))
        assert young(journal, 33) == list(range(33, 40))
        assert young(journal, 40) == []
        assert journal.oldest == 10 * SECOND


async def test_neighbours_out_of_order_are_found(tmp_path: Path) -> None:
    await fill(tmp_path, [10, 12, 11, 20, 13, 30])
    with stopped(tmp_path, LOG) as journal:
        assert young(journal, 12) == [12, 20, 13, 30]


async def test_cursors_go_back_and_never_forward(tmp_path: Path) -> None:
    await fill(tmp_path, list(range(10, 20)))
    with stopped(tmp_path, LOG) as journal:
        first = min(one.offset for one in journal.since(15 * SECOND))
        end = journal.cursor("all")
        assert end is not None and end > first
        journal.rewind(["all", "unknown"], first)
        journal.rewind(["all"], end)
        assert (journal.cursor("all"), journal.cursor("unknown")) == (first, None)
    with Opened(tmp_path) as opened:
        again = payloads(opened.journal.reader("all", start=None, wants=everything))
        assert again == [b"%d" % age * 20 for age in range(15, 20)]
        assert opened.journal.instance == journal.instance


async def test_requests_are_gone_over_one_by_one(tmp_path: Path) -> None:
    """A journal may hold more of them than there is memory for."""
    with Opened(tmp_path) as opened:
        opened.journal.reader("all", start=None, wants=everything)
        await asyncio.gather(*(opened.journal.append(origin(), b"x", None) for _ in range(20_000)))
    with stopped(tmp_path, LOG) as journal:
        tracemalloc.start()
        assert sum(1 for _ in journal.since(0)) == 20_000
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 4 << 20  # two windows of the file among it; the requests alone are more


async def test_damage_is_passed_over(tmp_path: Path) -> None:
    await fill(tmp_path, list(range(10, 20)))
    first = min(tmp_path.glob("*.log"))
    content = bytearray(first.read_bytes())
    content[40] ^= 0xFF
    first.write_bytes(content)
    with stopped(tmp_path, LOG) as journal:
        assert young(journal, 0) == list(range(11, 20))


async def test_a_running_collector_is_named(tmp_path: Path) -> None:
    await fill(tmp_path, [10])
    with Opened(tmp_path, clock=Clock()), pytest.raises(JournalLocked), stopped(tmp_path, LOG):
        pass
    with stopped(tmp_path, LOG), pytest.raises(JournalLocked):
        Opened(tmp_path)


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal at"), stopped(tmp_path / "missing", LOG):
        pass
    assert not (tmp_path / "missing").exists()


async def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    await fill(tmp_path, [10])
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").mkdir()
    with pytest.raises(JournalError, match="cannot use journal directory"), stopped(tmp_path, LOG):
        pass


async def test_what_fails_beside_the_journal_is_not_blamed_on_it(tmp_path: Path) -> None:
    await fill(tmp_path, [10])
    with pytest.raises(BrokenPipeError), stopped(tmp_path, LOG):
        raise BrokenPipeError

"""A disk that takes empty files and nothing else is no disk that takes the journal again: trouble lasts as long as writes fail."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from journal_kit import DIRECTORY, Clock, Opened, everything, origin, payloads
from simulated_disk import SimulatedDisk

from openfuse_collector.errors import OverloadError
from openfuse_collector.journal import OsFiles

AGAIN = "takes the journal again"


class Quota(OsFiles):
    """Real files, of which none gets more than `room` bytes at once."""

    room = 1 << 30

    def write(self, handle: int, parts: Sequence[bytes]) -> None:
        if sum(map(len, parts)) > self.room:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        super().write(handle, parts)


async def append(opened: Opened, payload: bytes) -> None:
    await opened.journal.append(origin(), payload, payload)


async def test_trouble_lasts_while_what_was_refused_would_be_refused_again(tmp_path: Path) -> None:
    """There is room for empty and for small files, as at the edge of a quota."""
    files, clock = Quota(), Clock()
    with Opened(tmp_path, files, clock=clock) as opened:
        opened.journal.reader("store", start=None, wants=everything)
        await append(opened, b"before")
        files.room = 1000
        with pytest.raises(OverloadError):
            await append(opened, bytes(5000))
        began = clock.now
        for _ in range(3):
            opened.journal.tidy()
            clock.now += 60
            assert opened.journal.trouble is not None
            assert (opened.journal.trouble.reason, opened.journal.trouble.since) == ("disk", began)
        assert opened.events(AGAIN) == []
        files.room = 1 << 30
        opened.journal.tidy()
        assert opened.journal.trouble is None
        assert len(opened.events(AGAIN)) == 1
        await append(opened, b"after")
    with Opened(tmp_path) as opened:
        assert payloads(opened.journal.reader("store", start=None, wants=everything)) == [b"before", b"after"]
        assert opened.events("damaged") == opened.events("unfinished") == []


@pytest.mark.parametrize("operation", ["write", "sync"])
async def test_trouble_lasts_while_no_data_reach_the_disk(operation: str) -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk) as opened:
        opened.journal.reader("store", start=None, wants=everything)

        def fault(happened: str, path: Path) -> int | None:
            concerned = happened == operation and (operation == "write" or disk.sizes(path.parent).get(path.name))
            return errno.EIO if concerned else None

        disk.fault = fault
        with pytest.raises(OverloadError):
            await append(opened, b"refused")
        for _ in range(3):
            opened.journal.tidy()
            assert opened.journal.trouble is not None
        assert opened.events(AGAIN) == []


async def test_a_full_disk_is_not_filled_up_to_see_whether_it_takes_more() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk, min_free_disk=9_000) as opened:
        opened.journal.reader("store", start=None, wants=everything)
        disk.fault = lambda operation, path: errno.ENOSPC if operation == "write" else None
        with pytest.raises(OverloadError):
            await append(opened, bytes(2000))
        disk.free_bytes = 10_000
        opened.journal.tidy()
        disk.fault = lambda operation, path: None
        before = len(disk.operations)
        opened.journal.tidy()
        written = [path for operation, path in disk.operations[before:] if operation == "write"]
        assert [path for path in written if path.suffix == ".log"] == []
        assert opened.journal.trouble is not None
        disk.free_bytes = 1 << 40
        opened.journal.tidy()  # measures
        opened.journal.tidy()
        assert opened.events(AGAIN) != []


@pytest.mark.parametrize("cut_after", range(1, 12))
async def test_a_power_cut_in_the_middle_of_trying_leaves_nothing(cut_after: int) -> None:
    disk = SimulatedDisk()
    opened = Opened(DIRECTORY, disk)
    opened.journal.reader("store", start=None, wants=everything)
    await append(opened, b"before")
    disk.fault = lambda operation, path: errno.EDQUOT if operation == "write" and path.suffix == ".log" else None
    with pytest.raises(OverloadError):
        await append(opened, bytes(2000))
    disk.fault, disk.cut_at = lambda operation, path: None, len(disk.operations) + cut_after
    opened.journal.tidy()
    opened.journal.close()
    with Opened(DIRECTORY, disk.after_power_cut("all", Random(cut_after))) as again:
        assert payloads(again.journal.reader("store", start=None, wants=everything)) == [b"before"]
        assert again.sample("openfuse_journal_corrupt_records_total") == 0
        await append(again, b"after")


class Still(OsFiles):
    """Real files on a disk that does not answer for a while."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()

    def sync(self, handle: int) -> None:
        self.asked.set()
        assert self.answers.wait(60)
        super().sync(handle)


@pytest.mark.parametrize("housekeeping", [False, True])
async def test_a_disk_that_does_not_answer_is_trouble(tmp_path: Path, housekeeping: bool) -> None:
    """Whoever waits for it: it neither takes anything nor refuses."""
    files, clock = Still(), Clock()
    with Opened(tmp_path, files, clock=clock) as opened:
        reader = opened.journal.reader("store", start=None, wants=everything)
        await append(opened, b"before")
        files.asked.clear()
        files.answers.clear()
        began = clock.now
        if housekeeping:  # which writes the cursors
            reader.commit(opened.journal.end)
            assert await asyncio.to_thread(files.asked.wait, 60)
        under_way = asyncio.create_task(append(opened, b"after"))
        assert await asyncio.to_thread(files.asked.wait, 60)
        assert opened.journal.trouble is None
        clock.now += 60
        trouble, status = opened.journal.trouble, opened.journal.status()
        files.answers.set()
        await under_way
        assert trouble is not None
        assert (trouble.reason, trouble.since, status["refuses"]) == ("stalled", began, "stalled")
        opened.journal.tidy()
        assert opened.journal.trouble is None

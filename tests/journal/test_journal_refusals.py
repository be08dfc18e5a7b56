"""Invariant I6 and the disk's bad days: refusals are at once, retryable, complete, and end when the cause ends."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from random import Random

import pytest
from journal_kit import DIRECTORY, Opened, everything, one, origin, payloads
from simulated_disk import SimulatedDisk

from openfuse_collector.errors import OverloadError, PermanentError
from openfuse_collector.journal import JournalError
from openfuse_collector.journal import bounds as bounds_module

REFUSED = "openfuse_journal_refused_requests_total"


class Failing:
    """Lets one kind of operation on segments fail."""

    def __init__(self, operation: str, code: int) -> None:
        self.operation, self.code = operation, code
        self.active = True

    def __call__(self, operation: str, path: Path) -> int | None:
        return self.code if self.active and operation == self.operation and path.suffix in (".log", "") else None


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("write", errno.ENOSPC),
        ("write", errno.EIO),
        ("sync", errno.EIO),
        ("sync", errno.ENOSPC),
        ("sync", errno.EDQUOT),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 3])
async def test_a_refusing_disk_refuses_the_sender_and_nothing_acknowledged_is_lost(
    operation: str, code: int, before: int
) -> None:
    disk = SimulatedDisk()
    kept = []
    with Opened(DIRECTORY, disk) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        for number in range(before):
            kept.append(await append(opened, b"before %d" % number))
        disk.fault = failing = Failing(operation, code)
        for _ in range(2):
            with pytest.raises(OverloadError) as refused:
                await append(opened, b"refused")
            assert refused.value.after
        failing.active = False
        for number in range(2):
            kept.append(await append(opened, b"after %d" % number))
        assert payloads(reader) == [payload for _, payload in kept]
        assert opened.sample(REFUSED, reason="disk") == 2
        assert len(opened.events("the disk refuses the journal")) == len(opened.events("takes the journal again")) == 1
    after_cut = disk.after_power_cut("none", Random(0))
    with Opened(DIRECTORY, after_cut) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        items, _ = reader.take(100, 1 << 20, 0, 0, one)
        assert [(item.position, item.data) for item in items] == kept


async def test_what_a_failed_write_left_is_never_read_even_when_it_cannot_be_cut() -> None:
    """Half a record stays behind the last good one; the next segment's base hides it, also from the next process."""
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk) as opened:
        opened.journal.reader("all", start=None, wants=everything)
        kept = [await append(opened, b"before")]
        disk.fault = lambda operation, path: errno.EIO if operation in ("write", "truncate") else None
        with pytest.raises(OverloadError):
            await append(opened, b"refused" * 20)
        disk.fault = lambda operation, path: errno.EIO if operation == "truncate" else None
        kept += [await append(opened, b"after"), await append(opened, b"more")]
    with Opened(DIRECTORY, disk) as opened:
        assert payloads(opened.journal.reader("all", start=None, wants=everything)) == [payload for _, payload in kept]
        assert opened.sample("openfuse_journal_corrupt_records_total") == 0
        assert opened.sample("openfuse_journal_bytes") == opened.journal.end


async def append(opened: Opened, payload: bytes) -> tuple[int, bytes]:
    return await opened.journal.append(origin(), payload, payload), payload


@pytest.mark.parametrize("operation", ["create", "sync", "sync_directory", "remove"])
async def test_a_new_segment_that_cannot_be_made_refuses_until_it_can(operation: str) -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk, segment_size=300) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        kept = [await append(opened, b"1" * 200)]
        disk.fault = failing = Failing(operation, errno.EIO)
        for _ in range(3):
            with pytest.raises(OverloadError):
                await append(opened, b"2" * 200)
        failing.active = False
        kept += [await append(opened, b"3" * 200), await append(opened, b"4" * 200)]
        assert payloads(reader) == [payload for _, payload in kept]
    with Opened(DIRECTORY, disk.after_power_cut("none", Random(0)), segment_size=300) as opened:
        assert payloads(opened.journal.reader("all", start=None, wants=everything)) == [payload for _, payload in kept]


async def test_all_waiters_of_a_failed_group_are_told() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk) as opened:
        disk.fault = Failing("sync", errno.EIO)
        outcomes = await asyncio.gather(*(append(opened, b"x") for _ in range(20)), return_exceptions=True)
        assert all(isinstance(outcome, OverloadError) for outcome in outcomes)


async def test_the_size_bound_refuses_until_the_pipelines_are_past() -> None:
    with Opened(DIRECTORY, SimulatedDisk(), segment_size=1000, max_size=4000) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        kept = []
        with pytest.raises(OverloadError) as refused:
            while True:
                kept.append(await append(opened, bytes(200)))
        assert refused.value.after
        assert 3500 < opened.sample("openfuse_journal_bytes") <= 4000
        assert opened.sample(REFUSED, reason="max_size") == 1
        assert len(payloads(reader)) == len(kept)
        with pytest.raises(OverloadError):
            await append(opened, bytes(200))
        reader.commit(reader.position)
        opened.journal.tidy()
        await append(opened, b"again")
        assert opened.sample("openfuse_journal_bytes") <= 1000


async def test_a_commit_frees_room_without_waiting_for_the_next_round_of_housekeeping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("openfuse_collector.journal.writer.TICK", 3600.0)
    with Opened(DIRECTORY, SimulatedDisk(), segment_size=1000, max_size=4000) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        for _ in range(20):
            await append(opened, bytes(100))
        reader.commit(opened.journal.end)
        async with asyncio.timeout(30):
            while opened.sample("openfuse_journal_bytes") > 1000:
                await asyncio.sleep(0)


async def test_almost_full_disk_refuses_until_there_is_room_again() -> None:
    disk = SimulatedDisk(free=10_000)
    with Opened(DIRECTORY, disk, min_free_disk=9_000) as opened:
        with pytest.raises(OverloadError):
            for _ in range(10):
                await append(opened, bytes(200))
        assert opened.sample(REFUSED, reason="min_free_disk") == 1
        disk.free_bytes = 20_000
        opened.journal.tidy()
        await append(opened, bytes(200))


async def test_bytes_waiting_for_the_disk_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds_module, "MAX_QUEUED", 10_000)
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        outcomes = await asyncio.gather(*(append(opened, bytes(900)) for _ in range(100)), return_exceptions=True)
        refused = sum(isinstance(outcome, OverloadError) for outcome in outcomes)
        assert refused == opened.sample(REFUSED, reason="queue")
        assert 100 - refused == opened.sample("openfuse_journal_records_total")


async def test_a_request_larger_than_the_journal_is_refused_for_good() -> None:
    with Opened(DIRECTORY, SimulatedDisk(), segment_size=1000, max_size=4000) as opened:
        with pytest.raises(PermanentError):
            await append(opened, bytes(4000))
        reader = opened.journal.reader("all", start=None, wants=everything)
        for _ in range(3):
            await append(opened, bytes(3900))
            reader.commit(opened.journal.end)
            opened.journal.tidy()


async def test_a_closed_journal_refuses() -> None:
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        opened.journal.close()
        with pytest.raises(OverloadError):
            await append(opened, b"late")


async def test_a_sender_that_goes_away_disturbs_nobody() -> None:
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        gone = asyncio.create_task(append(opened, b"gone"))
        stays = asyncio.create_task(append(opened, b"stays"))
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        assert payloads(reader) == [b"gone", b"stays"]


@pytest.mark.parametrize("operation", ["create", "sync", "rename", "sizes"])
def test_a_directory_that_cannot_be_used_says_so(operation: str) -> None:
    disk = SimulatedDisk()
    disk.fault = lambda happened, path: errno.EROFS if happened == operation else None
    with pytest.raises(JournalError, match=str(DIRECTORY)):
        Opened(DIRECTORY, disk)
    disk.fault = lambda happened, path: None
    Opened(DIRECTORY, disk).journal.close()
    assert disk.open_handles == 0


async def test_free_space_that_cannot_be_measured_refuses_until_it_can() -> None:
    disk = SimulatedDisk()
    disk.fault = lambda operation, path: errno.EIO if operation == "free" else None
    with Opened(DIRECTORY, disk, min_free_disk=1) as opened:
        with pytest.raises(OverloadError):
            await append(opened, b"early")
        disk.fault = lambda operation, path: None
        opened.journal.tidy()
        await append(opened, b"now")


async def test_a_full_disk_that_refuses_the_cursors_still_gets_its_room_back() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk, segment_size=500) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        for _ in range(8):
            await append(opened, bytes(200))
        disk.fault = lambda operation, path: errno.ENOSPC if operation in ("create", "write") else None
        reader.commit(opened.journal.end)
        opened.journal.tidy()
        assert opened.sample("openfuse_journal_bytes") <= 500
        assert opened.events("journal cannot keep the cursors")

"""Cursors, retention and orphans, with a clock that moves when told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from journal_kit import DIRECTORY, Clock, Opened, everything, origin, payloads
from simulated_disk import SimulatedDisk

from openfuse_collector.config.types import Duration, Size
from openfuse_collector.journal import JournalConfig

HOUR = 3600.0


async def fill(opened: Opened, number: int = 8, size: int = 200) -> None:
    for n in range(number):
        await opened.journal.append(origin(), bytes([n]) * size, None)


def segments(disk: SimulatedDisk) -> int:
    return sum(name.endswith(".log") for name in disk.sizes(DIRECTORY))


async def test_segments_go_when_the_slowest_pipeline_is_past_them() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk, segment_size=500) as opened:
        fast = opened.journal.reader("fast", start=None, wants=everything)
        slow = opened.journal.reader("slow", start=None, wants=everything)
        await fill(opened)
        made = segments(disk)
        fast.commit(opened.journal.end)
        opened.journal.tidy()
        assert segments(disk) == made
        slow.commit(opened.journal.end - 1)
        opened.journal.tidy()
        assert segments(disk) == 1
        assert opened.sample("openfuse_journal_cursor_lag_bytes", pipeline="slow") == 1
        assert opened.sample("openfuse_journal_cursor_lag_bytes", pipeline="fast") == 0


async def test_nothing_goes_without_a_cursor() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk, segment_size=500) as opened:
        await fill(opened)
        made = segments(disk)
        opened.clock.now += 100 * HOUR
        opened.journal.tidy()
        assert segments(disk) == made


async def test_commits_never_move_a_cursor_back() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        await fill(opened)
        reader.commit(opened.journal.end)
        reader.commit(0)
    with Opened(DIRECTORY, disk) as opened:
        assert payloads(opened.journal.reader("all", start=None, wants=everything)) == []


async def test_a_new_pipeline_keeps_its_place_when_the_process_dies_at_once() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk) as opened:
        opened.journal.reader("old", start=None, wants=everything)
        await fill(opened)
    dying = Opened(DIRECTORY, disk)
    dying.journal.reader("old", start=None, wants=everything)
    dying.journal.reader("new", start=None, wants=everything)
    await dying.journal.append(origin(), b"for the new one", None)
    disk.dead = True
    dying.journal.close()
    with Opened(DIRECTORY, disk.after_kill()) as opened:
        assert payloads(opened.journal.reader("new", start=None, wants=everything)) == [b"for the new one"]


async def test_retain_keeps_passed_segments_for_a_while() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk, segment_size=500, retain=600.0) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        await fill(opened)
        made = segments(disk)
        reader.commit(opened.journal.end)
        opened.journal.tidy()
        opened.clock.now += 599
        opened.journal.tidy()
        assert segments(disk) == made + 1, "all kept, and a new one because nothing more came"
        opened.clock.now += 1
        opened.journal.tidy()
        assert segments(disk) == 2, "the one that was replaced was passed later"
        opened.clock.now += 600
        opened.journal.tidy()
        assert segments(disk) == 1


async def test_retained_segments_give_way_before_senders_are_refused() -> None:
    with Opened(DIRECTORY, SimulatedDisk(), segment_size=500, max_size=3000, retain=HOUR) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        for _ in range(40):
            await fill(opened, 1)
            reader.commit(opened.journal.end)
            opened.journal.tidy()
        assert 2000 < opened.sample("openfuse_journal_bytes") <= 3000


async def test_finished_requests_leave_an_idle_disk() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        await fill(opened)
        end = opened.journal.end
        opened.clock.now += 61
        opened.journal.tidy()
        assert opened.sample("openfuse_journal_bytes") == end, "not finished yet"
        reader.commit(end)
        opened.journal.tidy()
        assert opened.sample("openfuse_journal_bytes") == 0
    with Opened(DIRECTORY, disk) as opened:
        assert await opened.journal.append(origin(), b"next", None) == end, "offsets go on"


@pytest.mark.parametrize("restarts", [1, 3])
async def test_an_orphan_stops_pinning_after_a_day(restarts: int) -> None:
    disk, clock = SimulatedDisk(), Clock()
    config: dict[str, Any] = {"segment_size": 500, "orphan_after": 24 * HOUR, "clock": clock}
    with Opened(DIRECTORY, disk, **config) as opened:
        opened.journal.reader("removed", start=None, wants=everything)
        opened.journal.reader("stays", start=None, wants=everything)
        await fill(opened)
        made = segments(disk)
    for _ in range(restarts):
        clock.now += 23 * HOUR / restarts
        with Opened(DIRECTORY, disk, **config) as opened:
            reader = opened.journal.reader("stays", start=None, wants=everything)
            reader.commit(opened.journal.end - 1)
            clock.now += 301
            opened.journal.tidy()
            assert segments(disk) == made
    with Opened(DIRECTORY, disk, **config) as opened:
        opened.journal.reader("stays", start=None, wants=everything)
        clock.now += HOUR
        opened.journal.tidy()
        assert segments(disk) == 1
        assert [entry["pipeline"] for entry in opened.events("cursor given up")] == ["removed"]
        assert list(json.loads(disk.content(DIRECTORY / "cursors.json"))["cursors"]) == ["stays"]


async def test_a_long_stop_makes_no_orphans() -> None:
    disk, clock = SimulatedDisk(), Clock()
    with Opened(DIRECTORY, disk, clock=clock) as opened:
        opened.journal.reader("all", start=None, wants=everything)
        await fill(opened, 3)
    clock.now += 1000 * HOUR
    with Opened(DIRECTORY, disk, clock=clock) as opened:
        opened.journal.tidy()
        assert len(payloads(opened.journal.reader("all", start=None, wants=everything))) == 3


async def test_a_running_pipeline_renews_its_claim_without_moving() -> None:
    disk, clock = SimulatedDisk(), Clock()
    with Opened(DIRECTORY, disk, clock=clock) as opened:
        opened.journal.reader("all", start=None, wants=everything)
        clock.now += 30 * HOUR
        opened.journal.tidy()
        assert json.loads(disk.content(DIRECTORY / "cursors.json"))["cursors"]["all"]["claimed"] == int(clock.now)


async def test_without_a_cursor_file_nothing_is_deleted_until_all_had_time_to_claim() -> None:
    disk, clock = SimulatedDisk(), Clock()
    with Opened(DIRECTORY, disk, segment_size=500, clock=clock) as opened:
        await fill(opened)
        made = segments(disk)
    assert "cursors.json" not in disk.sizes(DIRECTORY)
    with Opened(DIRECTORY, disk, segment_size=500, clock=clock) as opened:
        first = opened.journal.reader("first", start=None, wants=everything)
        first.commit(opened.journal.end)
        opened.journal.tidy()
        assert segments(disk) == made
        assert len(payloads(opened.journal.reader("second", start=None, wants=everything))) == 8
        clock.now += 301
        opened.journal.tidy()
        assert segments(disk) == made, "the second is not past them"


async def test_an_idle_journal_leaves_the_disk_alone() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk) as opened:
        opened.journal.reader("all", start=None, wants=everything)
        await fill(opened, 1)
        opened.journal.tidy()
        before = len(disk.operations)
        opened.clock.now += 30
        opened.journal.tidy()
        assert len(disk.operations) == before


async def test_pipelines_may_claim_while_the_writer_keeps_cursors(tmp_path: Path) -> None:
    names = [f"pipeline {number}" for number in range(40)]
    with Opened(tmp_path) as opened:

        def claim(name: str) -> None:
            reader = opened.journal.reader(name, start=None, wants=everything)
            opened.journal.tidy()
            reader.commit(reader.position + 1)

        await asyncio.gather(*(asyncio.to_thread(claim, name) for name in names))
    assert set(json.loads((tmp_path / "cursors.json").read_bytes())["cursors"]) == set(names)


def test_settings_that_cannot_work_are_named() -> None:
    assert list(JournalConfig().validate()) == []
    wrong = JournalConfig(
        directory="", segment_size=Size(1000), max_size=Size(1500), orphan_after=Duration(1), retain=Duration(-1)
    )
    assert [problem.split()[0] for problem in wrong.validate()] == [
        "directory",
        "segment_size",
        "max_size",
        "orphan_after",
        "retain",
    ]

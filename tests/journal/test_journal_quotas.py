"""How far a pipeline may be behind: one that refuses makes its own senders wait, one that parks gives up its oldest records."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from journal_kit import DIRECTORY, Clock, Opened, drain, everything, origin, payloads
from simulated_disk import SimulatedDisk

from openfuse_collector.errors import OverloadError
from openfuse_collector.journal import Quota, Reader
from openfuse_collector.signals import Item, Origin, Signal

MIB = 1 << 20
RECORD = bytes(MIB // 4)
REFUSED = "openfuse_journal_refused_requests_total"


async def fill(opened: Opened, records: int, made_by: Origin | None = None) -> None:
    for _ in range(records):
        await opened.journal.append(made_by or origin(), RECORD, RECORD)


def finish(opened: Opened, reader: Reader) -> None:
    """Take and commit everything there is."""
    for _ in drain(reader):
        pass
    reader.commit(reader.position)
    opened.journal.tidy()


def from_otlp(made_by: Origin) -> bool:
    return made_by.receiver == "otlp"


def from_other(made_by: Origin) -> bool:
    return made_by.receiver == "other"


async def test_only_senders_of_the_pipeline_that_is_full_are_refused() -> None:
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        store = opened.journal.reader("store", start=None, wants=from_otlp, quota=Quota(MIB))
        opened.journal.reader("other", start=None, wants=from_other)
        with pytest.raises(OverloadError, match=r"pipeline store is .* behind") as refused:
            await fill(opened, 6)
        assert refused.value.after
        assert opened.sample(REFUSED, reason="max_backlog") == 1
        await fill(opened, 3, origin(receiver="other"))
        assert opened.journal.backlog("store")["full"]
        finish(opened, store)
        assert not opened.journal.backlog("store")["full"]
        await fill(opened, 3)


async def test_answers_are_held_back_from_senders_whose_pipeline_is_far_behind() -> None:
    """Theirs alone, and no longer once it has caught up."""
    held_back = "openfuse_journal_held_back_requests_total"
    with Opened(DIRECTORY, SimulatedDisk(), max_size=2048 * MIB, segment_size=64 * MIB) as opened:
        store = opened.journal.reader("store", start=None, wants=from_otlp)
        opened.journal.reader("other", start=None, wants=from_other)
        await fill(opened, 127 * 4)
        assert opened.sample(held_back) == 0
        await fill(opened, 8)
        assert (before := opened.sample(held_back)) > 0
        finish(opened, store)
        await fill(opened, 8)
        assert opened.sample(held_back) == before


async def test_one_record_may_always_wait() -> None:
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        opened.journal.reader("store", start=None, wants=everything, quota=Quota(len(RECORD) // 2))
        await fill(opened, 1)
        with pytest.raises(OverloadError):
            await fill(opened, 1)


async def test_a_pipeline_that_parks_stops_nobody_and_gives_up_its_oldest() -> None:
    lost: list[Item] = []
    with Opened(DIRECTORY, SimulatedDisk(), max_size=4 * MIB) as opened:
        store = opened.journal.reader("store", start=None, wants=everything)
        away = opened.journal.reader("away", start=None, wants=everything, quota=Quota(3 * MIB, True, lost.append))
        assert opened.sample("openfuse_pipeline_given_up_requests_total", pipeline="away") == 0  # there, not absent
        for _ in range(12):  # 12 MiB through a journal of 4
            await fill(opened, 4)
            finish(opened, store)
        assert opened.journal.backlog("away")["lag_bytes"] <= 4 * MIB
        assert opened.sample("openfuse_journal_parked_bytes", pipeline="away") > 0
        kept = payloads(away)
        assert len(lost) + len(kept) == 48
        assert opened.sample("openfuse_pipeline_given_up_requests_total", pipeline="away") == len(lost) > 0
        assert "max_backlog" in opened.events("gives up its oldest requests")[0]["remedy"]
        assert not opened.events("damaged") and not opened.events("gone")


async def test_a_record_is_either_taken_or_given_up() -> None:
    """Also the one at hand when its segment is."""
    lost: list[Item] = []
    with Opened(DIRECTORY, SimulatedDisk(), max_size=64 * MIB, segment_size=MIB) as opened:
        store = opened.journal.reader("store", start=None, wants=everything)
        away = opened.journal.reader("away", start=None, wants=everything, quota=Quota(2 * MIB, True, lost.append))
        await fill(opened, 20)

        def given_up_meanwhile(item: Item) -> int:
            store.commit(opened.journal.end)
            opened.journal.tidy()
            return 1

        taken, _ = away.take(1000, 64 * MIB, 0, 0, given_up_meanwhile)
        assert lost
        assert sorted(item.position for item in [*lost, *taken]) == [item.position for item in drain(store)]


async def test_what_has_been_read_is_not_counted_as_given_up() -> None:
    """It is on its way to the destination; only a crash would lose it, which the log says."""
    lost: list[Item] = []
    with Opened(DIRECTORY, SimulatedDisk(), max_size=4 * MIB) as opened:
        store = opened.journal.reader("store", start=None, wants=everything)
        away = opened.journal.reader("away", start=None, wants=everything, quota=Quota(MIB, True, lost.append))
        await fill(opened, 4)
        on_their_way = len(payloads(away))
        for _ in range(4):
            await fill(opened, 4)
            finish(opened, store)
        kept = len(payloads(away))
        assert (on_their_way, on_their_way + len(lost) + kept) == (4, 20)
        assert opened.sample("openfuse_pipeline_given_up_requests_total", pipeline="away") == len(lost) > 0
        lost_bytes = opened.sample("openfuse_pipeline_given_up_bytes_total", pipeline="away")
        assert len(lost) * len(RECORD) < lost_bytes < (len(lost) + 1) * len(RECORD)
        assert sum(line["requests"] for line in opened.events("gives up its oldest requests")) > 0
        assert opened.events("are in memory alone")[0]["bytes"] > 0


async def test_what_the_store_still_needs_is_not_given_up() -> None:
    """It would free nothing."""
    with Opened(DIRECTORY, SimulatedDisk(), max_size=8 * MIB) as opened:
        opened.journal.reader("store", start=None, wants=everything)
        away = opened.journal.reader("away", start=None, wants=everything, quota=Quota(MIB, True))
        await fill(opened, 16)
        opened.journal.tidy()
        assert len(payloads(away)) == 16


class FullDisk(SimulatedDisk):
    """Has room for so many bytes of journal."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity

    def free(self, directory: Path) -> int:
        return self.capacity - sum(self.sizes(directory).values())


async def test_what_is_only_kept_for_a_while_goes_before_what_is_parked() -> None:
    lost: list[Item] = []
    with Opened(DIRECTORY, FullDisk(24 * MIB), min_free_disk=2 * MIB, retain=3600) as opened:
        store = opened.journal.reader("store", start=None, wants=everything)
        away = opened.journal.reader("away", start=None, wants=everything, quota=Quota(64 * MIB, True, lost.append))
        for _ in range(16):
            await fill(opened, 4)
            away.commit(opened.journal.end)
            finish(opened, store)
        assert opened.journal.status()["bytes"] >= 16 * MIB  # both are past it
        for _ in range(8):
            await fill(opened, 4)
            finish(opened, store)
        assert opened.journal.status()["bytes"] < 16 * MIB
        assert not lost


async def test_requests_are_kept_while_many_are_given_up() -> None:
    """One is sent as soon as the first is given up. It waits for some of the others, not for all."""
    lost: list[Item] = []
    kept, sent = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def given_up(item: Item) -> None:
        if not lost:
            loop.call_soon_threadsafe(sent.set)
        lost.append(item)
        if len(lost) == 100:
            assert kept.wait(10)

    with Opened(DIRECTORY, SimulatedDisk(), segment_size=64 * MIB) as opened:
        store = opened.journal.reader("store", start=None, wants=everything)
        opened.journal.reader("away", start=None, wants=everything, quota=Quota(MIB, True, given_up))
        await fill(opened, 257)  # a segment, and the first of the next
        store.commit(opened.journal.end)
        await sent.wait()
        await fill(opened, 1)
        kept.set()
        while len(lost) < 255:
            await asyncio.sleep(0.01)
        assert not opened.events("housekeeping failed")


async def test_the_quota_of_one_that_parks_is_its_own() -> None:
    """What only it holds back leaves room for everybody else, up to the whole journal."""
    with Opened(DIRECTORY, SimulatedDisk(), max_size=4 * MIB) as opened:
        store = opened.journal.reader("store", start=None, wants=everything)
        opened.journal.reader("away", start=None, wants=everything, quota=Quota(8 * MIB, True))
        for _ in range(2):
            await fill(opened, 12)
            finish(opened, store)
        assert opened.journal.status()["bytes"] > 4 * MIB
        await fill(opened, 8)


async def test_a_new_destination_of_a_pipeline_begins_where_the_pipeline_is() -> None:
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        first = opened.journal.reader("traces", start=None, wants=everything)
        await fill(opened, 2)
        second = opened.journal.reader("traces@debug", start=None, wants=everything, after="traces")
        assert len(payloads(first)) == len(payloads(second)) == 2


async def test_a_cursor_a_store_left_behind_is_no_loss() -> None:
    """A store's cursor moves only with data for it; the journal's own cursor tells that what is gone was finished."""
    with Opened(DIRECTORY, disk := SimulatedDisk(), clock=(clock := Clock())) as opened:
        reader = opened.journal.reader("traces", start=0, wants=from_otlp)
        await fill(opened, 8, Origin(Signal.TRACES, "other", 1))
        finish(opened, reader)
        clock.now += 3600
        opened.journal.tidy()
    with Opened(DIRECTORY, disk, clock=clock) as opened:
        opened.journal.reader("traces", start=0, wants=from_otlp)
        assert opened.events("are gone") == []
        opened.journal.reader("never seen", start=0, wants=from_otlp)
        assert len(opened.events("are gone")) == 1


async def test_trouble_is_told_with_its_beginning_and_ends_without_a_sender() -> None:
    disk, clock = SimulatedDisk(), Clock()
    with Opened(DIRECTORY, disk, clock=clock) as opened:
        opened.journal.reader("store", start=None, wants=everything)
        await fill(opened, 1)
        opened.journal.tidy()
        assert opened.journal.trouble is None
        disk.fault = lambda operation, path: 30 if path.suffix != ".json" else None  # EROFS
        with pytest.raises(OverloadError):
            await fill(opened, 1)
        opened.journal.tidy()
        began = clock.now
        clock.now += 60
        opened.journal.tidy()
        assert opened.journal.trouble is not None
        assert (opened.journal.trouble.reason, opened.journal.trouble.since) == ("disk", began)
        disk.fault = lambda operation, path: None
        opened.journal.tidy()
        assert opened.journal.trouble is None
        await fill(opened, 1)


async def test_a_full_journal_is_trouble() -> None:
    with Opened(DIRECTORY, SimulatedDisk(), max_size=4 * MIB) as opened:
        reader = opened.journal.reader("store", start=None, wants=everything)
        with pytest.raises(OverloadError):
            await fill(opened, 20)
        opened.journal.tidy()
        assert opened.journal.trouble is not None
        assert opened.journal.trouble.reason == "max_size" == opened.journal.status()["refuses"]
        finish(opened, reader)
        opened.journal.tidy()
        assert opened.journal.trouble is None

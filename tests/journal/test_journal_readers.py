"""Readers: where they begin, what they are given, how long they wait, and what they share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from journal_kit import DIRECTORY, Opened, drain, everything, one, origin, payloads
from simulated_disk import SimulatedDisk

from openfuse_collector.journal import JournalError
from openfuse_collector.journal.cache import ENTRY_COST
from openfuse_collector.signals import Item, Origin, Signal


async def fill(opened: Opened, *names: bytes) -> list[int]:
    return [await opened.journal.append(origin(), name, name) for name in names]


async def test_two_pipelines_with_different_wishes_each_get_theirs_in_order() -> None:
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        traces = opened.journal.reader("traces", start=None, wants=lambda origin: origin.signal is Signal.TRACES)
        logs = opened.journal.reader("logs", start=None, wants=lambda origin: origin.signal is Signal.LOGS)
        sent = [(signal, b"%d" % number) for number, signal in enumerate([Signal.TRACES, Signal.LOGS, Signal.LOGS] * 5)]
        for signal, payload in sent:
            await opened.journal.append(origin(signal), payload, payload)
        assert payloads(traces) == [payload for signal, payload in sent if signal is Signal.TRACES]
        assert payloads(logs) == [payload for signal, payload in sent if signal is Signal.LOGS]
        assert traces.position == logs.position == opened.journal.end


async def test_records_of_others_move_the_position() -> None:
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        reader = opened.journal.reader("nothing", start=None, wants=lambda origin: False)
        await fill(opened, b"a", b"b")
        assert reader.take(10, 1000, 0, 0, one) == ([], opened.journal.end)


@pytest.mark.parametrize("cached", [True, False])
async def test_bounds_of_a_take(cached: bool) -> None:
    with Opened(DIRECTORY, SimulatedDisk(), cache_size=1 << 20 if cached else 0) as opened:
        await fill(opened, *(bytes([n]) * 10 for n in range(10)))
        spans = {bytes([n]) * 10: n for n in range(10)}
        reader = opened.journal.reader("all", start=0, wants=everything)

        def sizes(max_items: int, max_bytes: int, count: Callable[[Item], int] = one) -> int:
            items, end = reader.take(max_items, max_bytes, 0, 0, count)
            assert end == reader.position
            return len(items)

        assert sizes(3, 1000) == 3
        assert sizes(100, 25) == 2
        assert sizes(1, 1) == 1, "the first always comes"
        assert sizes(13, 1000, lambda item: spans[item.data]) == 2, "6 + 7"
        assert sizes(10, 1000, lambda item: spans[item.data]) == 1, "8; with 9 it would be 17"
        assert sizes(100, 1000) == 1
        assert sizes(100, 1000) == 0


async def test_cached_items_share_the_decoded_data_and_others_are_decoded_from_disk() -> None:
    decoded: list[bytes] = []

    def decode(origin: Origin, payload: bytes) -> str:
        decoded.append(payload)
        return payload.decode()

    room = 3 * (ENTRY_COST + 1)
    with Opened(DIRECTORY, SimulatedDisk(), decode=decode, cache_size=room) as opened:
        first = opened.journal.reader("first", start=None, wants=everything)
        second = opened.journal.reader("second", start=None, wants=everything)
        objects: list[Any] = [object() for _ in range(5)]
        for number, data in enumerate(objects):
            await opened.journal.append(origin(), b"%d" % number, data)
        assert [item.data for item in drain(first)] == ["0", "1", *objects[2:]]
        assert [item.data for item in drain(second)] == ["0", "1", *objects[2:]]
        assert decoded == [b"0", b"1", b"0", b"1"]
        assert len(opened.journal._cache) == 0, "all readers have passed"


async def test_items_say_who_sent_them_where_they_stand_and_how_large_they_are(tmp_path: Path) -> None:
    sender = Origin(Signal.EVENTS, "langfuse/eu", 123, "p1", "pk-1", "python", "3.2")
    for cache_size in (1 << 20, 0):
        with Opened(tmp_path, cache_size=cache_size) as opened:
            offset = await opened.journal.append(sender, b"payload", "data")
            (item,) = drain(opened.journal.reader(f"all{cache_size}", start=offset, wants=everything))
            assert item == Item(sender, offset, "data" if cache_size else b"payload", 7)


async def test_take_waits_for_the_first_record() -> None:
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        waiting = asyncio.create_task(asyncio.to_thread(reader.take, 10, 1000, 0.0, 60.0, one))
        await until(lambda: reader._busy.locked())
        await fill(opened, b"here")
        items, _ = await waiting
        assert [item.data for item in items] == [b"here"]


async def test_take_lingers_until_it_has_enough() -> None:
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        await fill(opened, b"1")
        waiting = asyncio.create_task(asyncio.to_thread(reader.take, 3, 1000, 60.0, 60.0, one))
        await until(lambda: reader.position > 0)
        assert not waiting.done()
        await fill(opened, b"2", b"3")
        items, _ = await waiting
        assert [item.data for item in items] == [b"1", b"2", b"3"]


async def test_take_does_not_wait_longer_than_told() -> None:
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        started = monotonic()
        assert reader.take(10, 1000, 60.0, 0.05, one) == ([], 0)
        assert monotonic() - started >= 0.05
        await fill(opened, b"1")
        assert len(reader.take(10, 1000, 0.05, 60.0, one)[0]) == 1


async def test_close_ends_a_take() -> None:
    opened = Opened(DIRECTORY, SimulatedDisk())
    reader = opened.journal.reader("all", start=None, wants=everything)
    waiting = asyncio.create_task(asyncio.to_thread(reader.take, 10, 1000, 0.0, 600.0, one))
    await until(lambda: reader._busy.locked())
    opened.journal.close()
    assert await waiting == ([], 0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


async def test_where_a_reader_begins() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk) as opened:
        kept = opened.journal.reader("kept", start=None, wants=everything)
        offsets = await fill(opened, b"a", b"b", b"c", b"d")
        kept.commit(offsets[1])
    with Opened(DIRECTORY, disk) as opened:
        begin = {
            "kept": opened.journal.reader("kept", start=None, wants=everything),
            "store": opened.journal.reader("store", start=offsets[2], wants=everything),
            "new": opened.journal.reader("new", start=None, wants=everything),
        }
        assert {name: payloads(reader) for name, reader in begin.items()} == {
            "kept": [b"b", b"c", b"d"],
            "store": [b"c", b"d"],
            "new": [],
        }
    with Opened(DIRECTORY, disk) as opened:
        assert payloads(opened.journal.reader("kept", start=offsets[3], wants=everything)) == [b"d"], (
            "the store knows better"
        )


async def test_a_cursor_behind_the_end_costs_nothing() -> None:
    """The store is from another life of this directory: what the journal holds is delivered, not skipped."""
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        await fill(opened, b"a", b"b")
        end = opened.journal.end
        reader = opened.journal.reader("all", start=end + 10_000, wants=everything)
        assert payloads(reader) == [b"a", b"b"]
        assert opened.events("behind the end of the journal")
        assert await fill(opened, b"c") == [end + 10_000], "the store has counted everything below as finished"
        assert payloads(reader) == [b"c"]


async def test_a_store_cursor_behind_the_end_falls_back_to_the_journals_own() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        offsets = await fill(opened, b"a", b"b")
        reader.commit(offsets[1])
    with Opened(DIRECTORY, disk) as opened:
        assert payloads(opened.journal.reader("all", start=1 << 40, wants=everything)) == [b"b"]


async def test_offsets_given_out_are_not_given_out_again_when_segments_are_lost() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        offsets = await fill(opened, b"a", b"b", b"c")
        reader.commit(opened.journal.end)
        end = opened.journal.end
    for name in disk.sizes(DIRECTORY):
        if name.endswith(".log"):
            disk.overwrite(DIRECTORY / name, disk.content(DIRECTORY / name)[: offsets[1]])
    with Opened(DIRECTORY, disk) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        other = opened.journal.reader("other", start=0, wants=everything)
        assert await fill(opened, b"d") == [end]
        assert payloads(reader) == [b"d"]
        assert payloads(other) == [b"a", b"d"]


async def test_one_name_one_reader() -> None:
    with Opened(DIRECTORY, SimulatedDisk()) as opened:
        opened.journal.reader("all", start=None, wants=everything)
        with pytest.raises(JournalError):
            opened.journal.reader("all", start=None, wants=everything)


async def test_a_disk_that_cannot_be_read_for_a_while_is_asked_again() -> None:
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk, cache_size=0) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        await fill(opened, b"a", b"b")
        disk.fault = lambda operation, path: 24 if operation == "open" else None  # EMFILE
        assert reader.take(10, 1000, 0, 0, one) == ([], 0)
        assert opened.events("cannot be read")
        disk.fault = lambda operation, path: None
        assert payloads(reader) == [b"a", b"b"]
        assert opened.sample("openfuse_journal_corrupt_records_total") == 0


async def test_what_there_is_no_memory_for_is_read_again() -> None:
    """It was acknowledged, and there is nothing wrong with it."""
    short = [b"b", b"b", b"c"]

    def decode(origin: Origin, payload: bytes) -> bytes:
        if short and short[0] == payload:
            raise MemoryError(short.pop(0))
        return payload

    with Opened(DIRECTORY, SimulatedDisk(), cache_size=0, decode=decode) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        await fill(opened, b"a", b"b", b"c")
        assert [item.data for _ in range(4) for item in reader.take(1000, 1 << 30, 0, 0, one)[0]] == [b"a", b"b", b"c"]
        assert opened.sample("openfuse_journal_corrupt_records_total") == 0
        assert opened.events("cannot be read, trying again")


async def test_a_reader_at_the_end_holds_no_file() -> None:
    """What was deleted would stay on the disk, and the last it read in memory."""
    disk = SimulatedDisk()
    with Opened(DIRECTORY, disk, cache_size=4 * ENTRY_COST) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        await fill(opened, b"a")
        at_the_end = disk.open_handles
        await fill(opened, bytes(4 * ENTRY_COST))  # too large for the cache
        assert len(payloads(reader)) == 2
        assert disk.open_handles == at_the_end
        await fill(opened, b"b")
        assert payloads(reader) == [b"b"]


@pytest.mark.parametrize("cache_size", [1 << 24, 20_000, 0])
async def test_eight_senders_and_a_reading_thread(tmp_path: Path, cache_size: int) -> None:
    """Everything arrives, once, in the order of the offsets, and each sender's requests in the order it sent them."""
    senders, each = 8, 300
    received: list[Item] = []
    with Opened(tmp_path, segment_size=20_000, cache_size=cache_size) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)

        def read() -> None:
            while len(received) < senders * each:
                items, end = reader.take(100, 50_000, 0.001, 5.0, one)
                received.extend(items)
                reader.commit(end)

        async def send(sender: int) -> list[int]:
            names = (b"%d:%d" % (sender, number) + bytes(number) for number in range(each))
            return [await opened.journal.append(origin(), name, name) for name in names]

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        offsets = await gather([send(sender) for sender in range(senders)])
        await asyncio.to_thread(thread.join, 60)
    by_position = {item.position: bytes(item.data) for item in received}
    assert len(by_position) == len(received) == senders * each
    assert [item.position for item in received] == sorted(by_position)
    for sender, own in enumerate(offsets):
        assert own == sorted(own)
        assert [by_position[offset] for offset in own] == [b"%d:%d" % (sender, n) + bytes(n) for n in range(each)]


async def gather(work: list[Awaitable[list[int]]]) -> list[list[int]]:
    return list(await asyncio.gather(*work))

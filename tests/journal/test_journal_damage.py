"""Invariant I5 on disk: damage costs the records it hits and no other, is reported, and never stops start-up."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_kit import DIRECTORY, Opened, drain, everything, origin, payloads
from simulated_disk import SimulatedDisk

from openfuse_collector.journal.record import HEADER_SIZE, MAGIC, encode_head, encode_origin
from openfuse_collector.journal.segment import CHUNK, SECTOR, Segment, SegmentReader, segment_name

FIRST = DIRECTORY / segment_name(0)
ENCODED = encode_origin(origin())
CORRUPT = "openfuse_journal_corrupt_records_total"


async def keep(disk: SimulatedDisk, records: Sequence[bytes], **config: Any) -> list[int]:
    """Append records, one after the other, with a pipeline `all` that has read nothing yet."""
    with Opened(DIRECTORY, disk, **config) as opened:
        opened.journal.reader("all", start=None, wants=everything)
        return [await opened.journal.append(origin(), record, record) for record in records]


def flip(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :]


async def test_truncation_at_every_byte_of_the_last_record() -> None:
    probe = SimulatedDisk()
    _, _, last = await keep(probe, [b"first", b"second", b"the third"])
    whole = probe.content(FIRST)
    for size in range(last, len(whole)):
        disk = SimulatedDisk()
        await keep(disk, [b"first", b"second", b"the third"])
        disk.overwrite(FIRST, whole[:size])
        with Opened(DIRECTORY, disk) as opened:
            reader = opened.journal.reader("all", start=None, wants=everything)
            assert payloads(reader) == [b"first", b"second"]
            assert await opened.journal.append(origin(), b"fourth", b"fourth") == last
            assert bool(opened.events("cut an unfinished write")) is (size > last)
            assert opened.sample(CORRUPT) == 0
        with Opened(DIRECTORY, disk) as opened:
            assert payloads(opened.journal.reader("all", start=None, wants=everything)) == [
                b"first",
                b"second",
                b"fourth",
            ]


@pytest.mark.parametrize("sealed", [False, True], ids=["found at start-up", "found while reading"])
async def test_bit_flip_at_every_byte_of_a_record_spares_its_neighbours(sealed: bool) -> None:
    records = [b"before", b"hit " + MAGIC + b" " * 40, b"after"]
    config: dict[str, Any] = {"segment_size": 350}
    more = [b"in the next segment" * 10] if sealed else []
    probe = SimulatedDisk()
    offsets = await keep(probe, records + more, **config)
    whole = probe.content(FIRST)
    assert (len(whole) == offsets[-1]) is sealed
    for at in range(offsets[1], offsets[2]):
        disk = SimulatedDisk()
        await keep(disk, records + more, **config)
        damaged = flip(whole, at, at % 8)
        disk.overwrite(FIRST, damaged)
        with Opened(DIRECTORY, disk, **config) as opened:
            reader = opened.journal.reader("all", start=None, wants=everything)
            assert payloads(reader) == [b"before", b"after", *more]
            assert opened.sample(CORRUPT) == 1
            assert opened.events("journal damaged")[0]["bytes"] == offsets[2] - offsets[1]
            assert disk.content(DIRECTORY / "corrupt" / FIRST.name) == damaged


@settings(deadline=None)
@given(
    bodies=st.lists(st.one_of(st.binary(max_size=90), st.just(MAGIC * 9)), min_size=1, max_size=12),
    damage=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=150)), max_size=4),
    extra=st.sampled_from([b"", bytes(700), MAGIC * 30]),
)
def test_every_undamaged_record_of_a_segment_is_read(
    bodies: list[bytes], damage: list[tuple[int, bytes]], extra: bytes
) -> None:
    base = 10**12
    content, places = b"", []
    for body in bodies:
        start = len(content)
        content += encode_head(base + start, ENCODED, body) + body
        places.append((start, len(content), body))
    original = content + extra
    damaged = bytearray(original)
    for at, junk in damage:
        junk = junk[: max(len(damaged) - at, 0)]
        damaged[at : at + len(junk)] = junk
    intact = {base + start: body for start, end, body in places if damaged[start:end] == original[start:end]}
    assert read_segment(base, bytes(damaged)) == intact


def read_segment(base: int, content: bytes) -> dict[int, bytes]:
    disk = SimulatedDisk()
    segment = Segment(DIRECTORY, base, len(content))
    disk.create(segment.path)
    disk.overwrite(segment.path, content)
    reader = SegmentReader(disk, segment)
    found = [stretch for stretch in reader.stretches(segment.end) if not stretch.damaged]
    return {stretch.start: reader.body(stretch)[1] for stretch in found}


def test_a_record_quoted_in_a_damaged_payload_is_not_taken_for_one() -> None:
    place = HEADER_SIZE + len(ENCODED) + 10
    quoted = encode_head(place, ENCODED, b"forged") + b"forged"
    body = b"0123456789" + quoted + b"end"
    content = encode_head(0, ENCODED, body) + body
    following = encode_head(len(content), ENCODED, b"next") + b"next"
    assert read_segment(0, flip(content, len(content) - 1, 0) + following) == {len(content): b"next"}


def test_a_record_of_another_place_is_not_taken_for_one() -> None:
    """A payload that quotes a record, or a sector of a deleted segment, once the header in front of it is damaged."""
    stale = encode_head(4096, ENCODED, b"stale") + b"stale"
    content = encode_head(0, ENCODED, stale) + stale
    following = encode_head(len(content), ENCODED, b"next") + b"next"
    assert read_segment(0, flip(content, 6, 0) + following) == {len(content): b"next"}


def test_records_longer_than_the_read_window() -> None:
    bodies = [bytes([n]) * size for n, size in enumerate((3 << 20, 10, 1 << 20, (1 << 20) - 40, 5))]
    content = b""
    for body in bodies:
        content += encode_head(len(content), ENCODED, body) + body
    assert list(read_segment(0, content).values()) == bodies


@pytest.mark.parametrize("distance", range(-6, 3))
def test_the_search_finds_a_record_across_the_edge_of_the_read_window(distance: int) -> None:
    body = bytes(CHUNK + distance - HEADER_SIZE - len(ENCODED))
    content = encode_head(0, ENCODED, body) + body
    following = encode_head(len(content), ENCODED, b"next") + b"next"
    assert read_segment(0, flip(content, 6, 0) + following) == {len(content): b"next"}


async def test_zeros_behind_the_last_record_are_cut() -> None:
    """What ext4 leaves after a power cut: the size is there, the data is not."""
    disk = SimulatedDisk()
    await keep(disk, [b"kept"])
    disk.overwrite(FIRST, disk.content(FIRST) + bytes(100_000))
    with Opened(DIRECTORY, disk) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        await opened.journal.append(origin(), b"more", b"more")
        assert payloads(reader) == [b"kept", b"more"]
        assert opened.events("cut an unfinished write")[0]["bytes"] == 100_000


async def test_unreadable_sectors_cost_only_the_records_in_them() -> None:
    disk = SimulatedDisk()
    records = [bytes([n]) * 6000 for n in range(8)]
    offsets = await keep(disk, records, segment_size=30_000)
    disk.bad_place = (FIRST, offsets[2] + 3000)
    with Opened(DIRECTORY, disk, segment_size=30_000) as opened:
        found = payloads(opened.journal.reader("all", start=None, wants=everything))
        assert found == [*records[:2], *records[3:]]
        assert opened.sample(CORRUPT) == 1
        assert "not made" in opened.events("journal damaged")[0]["copy"]


@pytest.mark.parametrize("whole_file", [False, True])
async def test_what_cannot_be_read_at_the_start_is_not_cut(whole_file: bool) -> None:
    """A volume that is away for a moment answers like one with bad sectors; it may have everything."""
    disk = SimulatedDisk()
    records = [bytes([n]) * SECTOR for n in range(4)]
    offsets = await keep(disk, records)
    if whole_file:
        disk.fault = lambda operation, path: errno.EIO if operation == "read" and path == FIRST else None
    else:
        disk.bad_place = (FIRST, offsets[3] + 100)
    with Opened(DIRECTORY, disk) as opened:
        (line,) = opened.events("cannot be read")
        assert line["segment"] == FIRST.name
        disk.fault, disk.bad_place = lambda operation, path: None, None
        assert await opened.journal.append(origin(), b"later", b"later") > offsets[3]
        assert payloads(opened.journal.reader("all", start=0, wants=everything)) == [*records, b"later"]
        assert opened.sample(CORRUPT) == 0


async def test_a_segment_that_is_gone_is_reported_and_skipped() -> None:
    disk = SimulatedDisk()
    records = [bytes([n]) * 100 for n in range(9)]
    await keep(disk, records, segment_size=500)
    names = sorted(name for name in disk.sizes(DIRECTORY) if name.endswith(".log"))
    disk.remove(DIRECTORY / names[1])
    with Opened(DIRECTORY, disk, segment_size=500) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        disk.remove(DIRECTORY / names[2])
        assert payloads(reader) == [*records[:2], *records[6:]]
        assert [entry["reason"] for entry in opened.events("journal damaged")] == ["missing", f"{names[2]} is gone"]


async def test_a_payload_that_cannot_be_decoded_is_reported_and_skipped() -> None:
    def decode(_: object, payload: bytes) -> bytes:
        if payload == b"poison":
            raise ValueError("not today")
        return payload

    disk = SimulatedDisk()
    await keep(disk, [b"one", b"poison", b"two"])
    with Opened(DIRECTORY, disk, decode=decode) as opened:
        assert payloads(opened.journal.reader("all", start=None, wants=everything)) == [b"one", b"two"]
        assert opened.events("journal damaged")[0]["reason"] == "decoding: not today"


async def test_much_damage_in_a_file_is_one_line() -> None:
    """A version that reads none of the records must not fill the log with them."""

    def decode(_: object, payload: bytes) -> bytes:
        raise ValueError(payload)

    disk = SimulatedDisk()
    await keep(disk, [b"%d" % number for number in range(100)])
    with Opened(DIRECTORY, disk, decode=decode) as opened:
        assert payloads(opened.journal.reader("all", start=None, wants=everything)) == []
        assert opened.sample(CORRUPT) == 100
        assert len(opened.events("journal damaged")) == 1


async def test_a_copy_that_could_not_be_made_is_not_named_as_one() -> None:
    disk = SimulatedDisk()
    offsets = await keep(disk, [bytes([n]) * 300 for n in range(6)])
    for at in (offsets[1], offsets[3]):
        disk.overwrite(FIRST, flip(disk.content(FIRST), at - 1, 0))
    disk.fault = lambda operation, path: errno.EIO if operation == "write" and path.parent.name == "corrupt" else None
    with Opened(DIRECTORY, disk) as opened:
        assert len(payloads(opened.journal.reader("all", start=0, wants=everything))) == 4
        assert opened.sample(CORRUPT) == 2
        assert not disk.sizes(DIRECTORY / "corrupt")


async def test_two_pipelines_report_one_damage_once() -> None:
    disk = SimulatedDisk()
    offsets = await keep(disk, [b"a" * 200, b"b" * 200, b"c" * 200, b"d" * 200], segment_size=600)
    disk.overwrite(FIRST, flip(disk.content(FIRST), offsets[1] - 1, 0))
    with Opened(DIRECTORY, disk, segment_size=600) as opened:
        for name in ("all", "other"):
            assert len(payloads(opened.journal.reader(name, start=0, wants=everything))) == 3
        assert opened.sample(CORRUPT) == 1


async def test_copies_of_damaged_segments_are_bounded() -> None:
    disk = SimulatedDisk()
    await keep(disk, [bytes([n]) * 300 for n in range(12)], segment_size=500)
    for name in sorted(disk.sizes(DIRECTORY)):
        if name.endswith(".log"):
            disk.overwrite(DIRECTORY / name, flip(disk.content(DIRECTORY / name), 70, 1))
    with Opened(DIRECTORY, disk, segment_size=500) as opened:
        list(drain(opened.journal.reader("all", start=None, wants=everything)))
        assert opened.sample(CORRUPT) == 11, (
            "the last segment's only record is indistinguishable from an unfinished write"
        )
        assert 0 < sum(disk.sizes(DIRECTORY / "corrupt").values()) <= 4 * 500


async def test_a_cursor_file_with_any_byte_damaged_loses_nothing() -> None:
    probe = SimulatedDisk()
    records = [b"one", b"two"]
    await keep(probe, records)
    whole = probe.content(DIRECTORY / "cursors.json")
    for at in range(len(whole)):
        disk = SimulatedDisk()
        await keep(disk, records)
        disk.overwrite(DIRECTORY / "cursors.json", flip(whole, at, at % 8))
        with Opened(DIRECTORY, disk) as opened:
            assert payloads(opened.journal.reader("all", start=None, wants=everything)) == records


@pytest.mark.parametrize("content", [b"", b"\0" * 33, b"not an id", b"\xff\xfe"])
async def test_a_damaged_instance_file_is_replaced(content: bytes) -> None:
    disk = SimulatedDisk()
    await keep(disk, [b"one"])
    disk.overwrite(DIRECTORY / "instance", content)
    with Opened(DIRECTORY, disk) as opened:
        made = opened.journal.instance
        assert len(made) == 32
    with Opened(DIRECTORY, disk) as opened:
        assert opened.journal.instance == made


def test_files_that_are_not_ours_are_left_alone() -> None:
    disk = SimulatedDisk()
    strangers = ["notes.log", "1.log", f"{0:020d}.log.bak", "lost+found"]
    for name in strangers:
        disk.close(disk.create(DIRECTORY / name))
    with Opened(DIRECTORY, disk):
        assert set(strangers) <= disk.sizes(DIRECTORY).keys()
    assert Path(FIRST).name in disk.sizes(DIRECTORY)

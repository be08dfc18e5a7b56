"""The list of what is to be gone over: nothing on it is lost, its memory is bounded, and its marks cover it."""

from __future__ import annotations

import itertools
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest
from greptimedb_kit import Server
from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.events.accumulator import Extent
from openfuse_collector.events.event import Entity
from openfuse_collector.exporters.greptimedb import migrations
from openfuse_collector.exporters.greptimedb.errors import CallError
from openfuse_collector.exporters.greptimedb.settle_list import (
    ENTRY_BYTES,
    SEARCHES,
    Expected,
    SettleList,
    Span,
    unpacked,
)
from openfuse_collector.exporters.greptimedb.settle_marks import AHEAD, Marks
from openfuse_collector.store.present import Folded
from tests.greptimedb_double import faults

MIB = 1 << 20
SOME = Folded(Extent(2, 3_590_000_000_000), 1_795_000_000_000, 7_352_320_000_004_097)


def entity(id: str, kind: str = "observation") -> Entity:
    return Entity("default", kind, id)


def test_what_was_left_comes_back_as_it_was() -> None:
    kept = SettleList(MIB, 5, 60)
    folded = {
        entity("a"): SOME,
        entity("a", "trace"): SOME._replace(time=None, generation=0),
        entity("b"): SOME._replace(time=-5),
        Entity("other", "score", "\ud800"): SOME._replace(extent=Extent(2**32 - 1, 2**63 - 1)),
    }
    kept.add(0, Span(5, 9), folded)
    kept.doubt(0, Span(5, 9), [entity("c")])
    slice = kept.take(0)
    assert slice is not None
    assert dict(slice) == {one: Expected(made, False) for one, made in folded.items()} | {entity("c"): None}


def test_an_entity_is_due_when_nothing_was_added_to_its_slice_for_long_enough() -> None:
    kept = SettleList(MIB, 5, 60)
    kept.add(10, Span(1, 2), {entity("a"): SOME})
    kept.add(14, Span(3, 4), {entity("b"): SOME})
    kept.add(15, Span(5, 6), {entity("c"): SOME})
    assert kept.take(13) is None
    first = kept.take(14)
    assert first is not None
    assert {one.id for one, _ in first} == {"a", "b"}
    assert kept.take(14) is first
    assert kept.newest(entity("c")) is not None
    assert kept.newest(entity("a")) is None
    assert kept.outstanding == Span(1, 6)
    kept.done()
    assert kept.outstanding == Span(5, 6)
    assert len(kept) == 1


def test_everything_is_due_and_strict_after_a_change_of_the_store() -> None:
    kept = SettleList(MIB, 5, 60)
    kept.add(100, Span(1, 2), {entity("a"): SOME})
    kept.search(100, Span(7, 8))
    kept.hurry()
    kept.add(101, Span(3, 4), {entity("b"): SOME})
    slice = kept.take(-1)
    assert slice is not None
    assert slice.strict
    assert [one.id for one, _ in slice] == ["a"]
    assert kept.to_search(-1) == Span(7, 8)
    kept.done()
    later = kept.take(inf)
    assert later is not None
    assert not later.strict


def test_of_a_deleted_project_nothing_is_known_any_more() -> None:
    kept = SettleList(MIB, 5, 60)
    shop = Entity("shop", "trace", "a")
    kept.add(100, Span(1, 2), {entity("a"): SOME, shop: SOME})
    taken = kept.take(inf)
    assert taken is not None
    kept.add(101, Span(3, 4), {entity("b"): SOME, shop: SOME})
    kept.hurry({"shop"})
    assert dict(taken) == {entity("a"): Expected(SOME, False), shop: None}
    kept.done()
    later = kept.take(-1)
    assert later is not None
    assert dict(later) == {entity("b"): Expected(SOME, False), shop: None}


def test_one_slice_in_a_period_is_thorough() -> None:
    kept = SettleList(MIB, 5, 60)
    for now in range(0, 200, 2):
        kept.add(now, Span(now, now), {entity("a"): SOME._replace(generation=now)})
    thorough = []
    while (slice := kept.take(inf)) is not None:
        thorough += [slice.opened] if slice.thorough else []
        newest = kept.newest(entity("a"))
        assert newest is None or unpacked(newest) == Expected(SOME._replace(generation=198), False)
        kept.done()
    assert thorough == [0, 60, 120, 180]


FITS = [
    ("as it was left", SOME.extent, {SOME.time}, SOME.generation, False, False, True),
    ("an event more", Extent(3, SOME.extent.received), {SOME.time}, SOME.generation, False, False, False),
    ("an earlier copy", Extent(2, SOME.extent.received - 1), {SOME.time}, SOME.generation, False, False, False),
    ("at another time", SOME.extent, {5}, SOME.generation, False, False, False),
    ("twice", SOME.extent, {5, SOME.time}, SOME.generation, False, False, False),
    ("gone", SOME.extent, set(), 0, False, False, False),
    ("an older row", SOME.extent, {SOME.time}, SOME.generation - 1, True, False, False),
    ("a newer row", SOME.extent, {SOME.time}, SOME.generation + 1, False, False, False),
    ("a newer row of another who repaired it", SOME.extent, {SOME.time}, SOME.generation + 1, True, False, True),
    ("a newer row after a change", SOME.extent, {SOME.time}, SOME.generation + 1, True, True, False),
]


@pytest.mark.parametrize(("name", "extent", "times", "generation", "repaired", "strict", "fits"), FITS)
def test_what_fits(
    name: str, extent: Extent, times: set[int], generation: int, repaired: bool, strict: bool, fits: bool
) -> None:
    assert Expected(SOME, repaired).fits(extent, frozenset(times), generation, strict=strict) is fits


def test_a_deleted_entity_fits_while_it_has_no_row() -> None:
    expected = Expected(SOME._replace(time=None, generation=0), False)
    assert expected.fits(SOME.extent, frozenset(), 0, strict=True)
    assert not expected.fits(SOME.extent, frozenset((5,)), 0, strict=False)


def test_memory_stays_near_its_bound() -> None:
    """What Python says an entity takes is what the list believes, to a quarter; what does not fit is to be searched."""
    kept = SettleList(MIB, 1, 60)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(15_000):
            kept.add(number / 1000, Span(number, number), {entity(f"{number:016x}"): SOME._replace(generation=number)})
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.75 < taken / len(kept) / (ENTRY_BYTES + 16) < 1.25
    assert MIB / 2 < taken < 1.25 * MIB
    assert kept.outstanding == Span(0, 14_999)


def test_its_length_may_be_asked_while_another_thread_writes() -> None:
    kept, asked = SettleList(64 * MIB, 60, 5), threading.Event()

    def write() -> None:
        for number in itertools.count():
            if asked.is_set():
                return
            made = Entity(f"project {number % 300}", "trace", str(number))
            kept.add(float(number), Span(number, number), {made: SOME})
            if number % 1000 == 0:
                while kept.take(inf):
                    kept.done()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            assert all(len(kept) >= 0 for _ in range(100_000))
        finally:
            asked.set()
    assert writing.result() is None


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50), st.booleans()), max_size=80),
    st.sampled_from((0, 1000, MIB)),
)
def test_nothing_is_lost(steps: list[tuple[int, int, bool]], room: int) -> None:
    """Everything ever added is handed out, unless a later slice has it, or its receive time is to be searched."""
    kept, now, added, seen = SettleList(room, 3, 60), 0.0, dict[Entity, int](), set[Entity]()
    for number, (pause, received, take) in enumerate(steps):
        now += pause / 10
        one = entity(str(number % 20))
        kept.add(now, Span(received, received), {one: SOME})
        added[one] = received
        seen.discard(one)
        if take and (slice := kept.take(now - 1)) is not None:
            seen |= {each for each, _ in slice if kept.newest(each) is None}
            kept.done()
    searched = set()
    while (slice := kept.take(inf)) is not None:
        seen |= {each for each, _ in slice}
        kept.done()
    while (span := kept.to_search(inf)) is not None:
        searched |= set(range(span.start, span.end + 1))
        kept.searched(span.start)
    assert {one for one in added if one not in seen and added[one] not in searched} == set()
    assert kept.outstanding is None


def test_few_spans_are_kept_apart() -> None:
    kept = SettleList(MIB, 1, 60)
    for number in range(10 * SEARCHES):
        kept.search(number, Span(number * 10, number * 10 + 1))
    assert kept.outstanding == Span(0, 10 * (10 * SEARCHES - 1) + 1)
    found = []
    while (span := kept.to_search(inf)) is not None:
        found.append(span)
        kept.searched(span.end)
    assert len(found) == SEARCHES
    assert {span.start for span in found} >= {number * 10 for number in range(9 * SEARCHES + 1, 10 * SEARCHES)}


def test_what_is_listed_during_a_search_leaves_the_other_spans_whole() -> None:
    """The oldest times come last here, so that spans which are put together reach back before the one that is being searched."""
    kept, spans = SettleList(MIB, 1, 60), [Span(1000 - 10 * number, 1005 - 10 * number) for number in range(SEARCHES)]
    for span in spans:
        kept.search(0, span)
    first = kept.to_search(0)
    assert first is not None
    assert first == spans[0]
    for span in (more := [Span(1, 2), Span(3, 4)]):
        kept.search(5, span)
    kept.searched(first.start)
    assert kept.to_search(0) == Span(first.start + 1, first.end)
    assert kept.outstanding == Span(1, first.end)
    kept.searched(first.end)
    listed = []
    while (span := kept.to_search(inf)) is not None:
        listed.append(span)
        kept.searched(span.end)
    for lost in (*spans[1:], *more):
        assert any(span.start <= lost.start and lost.end <= span.end for span in listed), lost
    assert kept.outstanding is None


@pytest.fixture
def marked(server: Server) -> Server:
    migrations.apply(server.sql, server.config(), "one")
    return server


def test_marks_cover_what_is_about_to_be_written_and_what_waits(marked: Server) -> None:
    one, other = Marks(marked.sql, "one"), Marks(marked.sql, "o'ther")
    assert (one.load(), other.load()) == (None, None)
    one.widen(Span(1000, 2000), None)
    other.widen(Span(5, 6), None)
    assert Marks(marked.sql, "one").load() == Span(1000, 2000 + AHEAD)
    one.widen(Span(1500, 2000 + AHEAD), Span(1200, 1300))
    assert Marks(marked.sql, "one").load() == Span(1000, 2000 + AHEAD)
    one.widen(Span(1500, 2001 + AHEAD), Span(1200, 1300))
    assert Marks(marked.sql, "one").load() == Span(1200, 2001 + 2 * AHEAD)
    one.widen(Span(700, 700), Span(1200, 1300))
    again = Marks(marked.sql, "one")
    assert again.load() == Span(700, 1300 + AHEAD)
    assert len(marked.table("openfuse_settle_marks")) == 2
    again.clear()
    assert Marks(marked.sql, "one").load() is None
    assert Marks(marked.sql, "o'ther").load() == Span(5, 6 + AHEAD)


def test_a_mark_that_may_be_gone_is_made_again(faulty: Server) -> None:
    migrations.apply(faulty.sql, faulty.config(), "one")
    marks = Marks(faulty.sql, "one")
    marks.widen(Span(1000, 2000), None)
    faulty.double.fail(faults.reset(applied=1).over("http").on("openfuse_settle_marks").times(2))  # sql asks twice
    with pytest.raises(CallError):
        marks.clear()
    marks.widen(Span(1500, 1600), None)
    assert Marks(faulty.sql, "one").load() == Span(1500, 1600 + AHEAD)


def test_the_newest_mark_counts_although_the_clock_was_set_back(
    marked: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    Marks(marked.sql, "one").widen(Span(1, 2), None)
    monkeypatch.setattr("time.time_ns", lambda: 1_000_000_000)
    after = Marks(marked.sql, "one")
    assert after.load() == Span(1, 2 + AHEAD)
    after.widen(Span(2 * AHEAD, 2 * AHEAD), None)
    assert Marks(marked.sql, "one").load() == Span(2 * AHEAD, 3 * AHEAD)

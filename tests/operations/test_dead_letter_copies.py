"""Copies of dead letters in a store: all there is to know of them, gone with their letters, in one store only."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from operations_kit import GreptimedbKit, SqliteKit, StoreKit, conversation, expired, export, ids
from structlog.testing import capture_logs

from openfuse_collector.component import ComponentID, Settings
from openfuse_collector.config.types import Duration
from openfuse_collector.dead_letters import letters as letters_module
from openfuse_collector.dead_letters.file import NAME, LetterFile
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.exporters.greptimedb import dead_letters as copies_module
from openfuse_collector.exporters.greptimedb.dead_letters import ATTEMPTS, ENOUGH
from openfuse_collector.exporters.greptimedb.errors import CallError
from openfuse_collector.exporters.greptimedb.exporter import GreptimedbExporter
from openfuse_collector.exporters.greptimedb.halving import HOPELESS
from openfuse_collector.signals import Signal
from openfuse_collector.store.retention import RetentionConfig
from tests.builders import RECEIVED_AT, event, item, settings
from tests.collector_process import wait_until
from tests.greptimedb_double import Fault, StatusCode, faults

LIMIT = RetentionConfig(default=Duration(10**6))
"""Eleven days."""


@pytest.fixture
def collector(tmp_path: Path) -> Settings:
    """What exporters of one collector share: its dead letters."""
    return settings("first", directory=tmp_path / "letters")


def set_aside(collector: Settings, *names: str) -> list[str]:
    """Ids of the letters."""
    add = collector.dead_letters.add
    made = [add(item([event(name, id=name)]), "traces", "genai", "too odd", Signal.EVENTS) for name in names]
    collector.dead_letters.sync()
    return [letter.id for letter in made]


def drop(directory: Path, id: str | None = None) -> int:
    """As the command does it, one or all there are; gives how many."""
    file = LetterFile.existing(directory / "letters")
    assert file is not None
    with closing(file) as command:
        return command.remove("?1 IS NULL OR id = ?1", (id,))


def settle(made: Any, collector: Settings) -> None:
    """What a collector does about once a second."""
    collector.dead_letters.tend()
    keep_up(made)
    assert collector.dead_letters.changes() == ([], [])


def remembered(directory: Path) -> int:
    """How many letters the file knows of, dropped ones included."""
    with closing(sqlite3.connect(directory / "letters" / NAME)) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM letters")
    return int(count)


def copies(kit: StoreKit) -> dict[str, str]:
    """Id -> reason; one copy of each letter."""
    found = kit.query("SELECT id, reason FROM openfuse_dead_letters")
    assert len(dict(found)) == len(found)
    return dict(found)


@contextmanager
def broken(kit: GreptimedbKit, fault: Fault) -> Iterator[Fault]:
    """The server has that fault on copies, in any case not for longer than the test."""
    fault = fault.on("openfuse_dead_letters")
    kit.double.fail(fault)
    try:
        yield fault
    finally:
        kit.double.heal(fault)


def keep_up(made: Any) -> None:
    """What happens about once a second: between batches, or in a thread of the exporter's own."""
    if isinstance(made, GreptimedbExporter):
        made._copies.keep_up()
    else:
        made.idle()


def test_a_copy_has_what_there_is_to_know(kit: StoreKit, collector: Settings) -> None:
    with kit.exporter(collector) as made:
        (id,) = set_aside(collector, "odd")
        export(made, conversation("t1"))
        keep_up(made)
        columns = "id, pipeline, component, reason, signal, project_id, receiver, received_at, position, payload, at"
        ((*said, payload, at),) = kit.query(f"SELECT {columns} FROM openfuse_dead_letters")
        assert said == [id, "traces", "genai", "too odd", "events", "default", "otlp", RECEIVED_AT, 0]
        assert '"id":"odd"' in payload
        assert collector.dead_letters.use(lambda file: file.rows("TRUE"))[0]["at"] == at
        assert collector.dead_letters.changes() == ([], [])
    assert ids(kit) == {"t1", "t1-o", "t1-s"}


def test_copies_come_and_go_without_batches(kit: StoreKit, collector: Settings, tmp_path: Path) -> None:
    with kit.exporter(collector) as made:
        first, second, third = set_aside(collector, "one", "two", "three")
        keep_up(made)
        assert copies(kit).keys() == {first, second, third}
        assert drop(tmp_path, second) == 1
        collector.dead_letters.tend()
        keep_up(made)
        assert copies(kit).keys() == {first, third}
        assert collector.dead_letters.changes() == ([], [])


def test_a_letter_dropped_while_it_is_copied_leaves_no_copy(
    kit: StoreKit, collector: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has it just now, and the file is yet to be told so."""
    copied = collector.dead_letters.copied

    def drop_before(letters: Sequence[DeadLetter], gone: Sequence[str]) -> None:
        monkeypatch.undo()
        assert copies(kit)
        assert drop(tmp_path) == 1
        copied(letters, gone)

    with kit.exporter(collector) as made:
        set_aside(collector, "odd")
        monkeypatch.setattr(collector.dead_letters, "copied", drop_before)
        keep_up(made)
        settle(made, collector)
        assert copies(kit) == {}
        assert remembered(tmp_path) == 0


def test_a_letter_dropped_between_looks_at_the_file_leaves_no_copy(
    kit: StoreKit, collector: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a store a letter is either new or gone, never both."""
    gone = LetterFile.gone

    def drop_before(file: LetterFile, most: int) -> list[str]:
        monkeypatch.undo()
        assert drop(tmp_path) == 1
        return gone(file, most)

    with kit.exporter(collector) as made:
        set_aside(collector, "odd")
        monkeypatch.setattr(LetterFile, "gone", drop_before)
        keep_up(made)
        settle(made, collector)
        assert copies(kit) == {}
        assert remembered(tmp_path) == 0


def test_a_letter_dropped_after_a_death_in_between_leaves_no_copy(
    kit: StoreKit, collector: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has the copy, the file does not know, and the letter is dropped before the next start."""
    with kit.exporter(collector) as made:
        set_aside(collector, "odd")
        monkeypatch.setattr(collector.dead_letters, "copied", lambda letters, gone: None)
        keep_up(made)
    assert copies(kit)
    collector.dead_letters.close()
    assert drop(tmp_path) == 1
    again = settings("first", directory=tmp_path / "letters")
    with kit.exporter(again) as made:
        settle(made, again)
        assert copies(kit) == {}
        assert remembered(tmp_path) == 0


def test_a_letter_refused_again_and_dropped_leaves_no_copy(kit: StoreKit, collector: Settings, tmp_path: Path) -> None:
    """Its copy is that of the first refusal."""
    with kit.exporter(collector) as made:
        set_aside(collector, "odd")
        keep_up(made)
        set_aside(collector, "odd")
        assert drop(tmp_path) == 1
        settle(made, collector)
        assert copies(kit) == {}


def test_a_letter_refused_again_while_it_is_copied_is_copied_again(
    kit: StoreKit, collector: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = collector.dead_letters.copied

    def refuse_before(letters: Sequence[DeadLetter], gone: Sequence[str]) -> None:
        monkeypatch.undo()
        again = [structs.replace(letter, reason="still odd") for letter in letters]
        collector.dead_letters.change(lambda file: file.add(again))
        copied(letters, gone)

    with kit.exporter(collector) as made:
        (id,) = set_aside(collector, "odd")
        monkeypatch.setattr(collector.dead_letters, "copied", refuse_before)
        keep_up(made)
        settle(made, collector)
        assert copies(kit) == {id: "still odd"}


def test_a_letter_that_changes_has_one_copy(kit: StoreKit, collector: Settings) -> None:
    """Refused again it has another time, which is part of the key in GreptimeDB."""
    with kit.exporter(collector) as made:
        (id,) = set_aside(collector, "odd")
        keep_up(made)
        file = collector.dead_letters
        ((_, letter),) = file.use(lambda file: list(file.letters("TRUE"))) or []
        again = structs.replace(letter, at=letter.at + 5000, reason="still odd")
        file.change(lambda file: file.add([again]))
        keep_up(made)
        assert copies(kit) == {id: "still odd"}
        file.change(lambda file: file.remove("TRUE"))
        keep_up(made)
        assert copies(kit) == {}


def test_one_store_of_several_has_the_copies(kit: StoreKit, collector: Settings, tmp_path: Path) -> None:
    """The one that was made first, however often the other looks."""
    (tmp_path / "other").mkdir()
    other = SqliteKit(tmp_path / "other")
    second = replace(collector, id=ComponentID("sqlite", "second"))
    with kit.exporter(collector) as made, other.exporter(second) as beside:
        (id,) = set_aside(collector, "odd")
        keep_up(beside)
        export(beside, conversation("t1"))
        assert copies(other) == {}
        keep_up(made)
        assert copies(kit).keys() == {id}


def test_copies_expire_with_their_project(kit: StoreKit, collector: Settings) -> None:
    with kit.exporter(collector) as made:
        (id,) = set_aside(collector, "odd")
        keep_up(made)
        ((at,),) = kit.query("SELECT at FROM openfuse_dead_letters")
        later = at + 10**9
        assert expired(kit, LIMIT, later).rows["openfuse_dead_letters"] == 0
        assert copies(kit).keys() == {id}
        assert expired(kit, LIMIT, later + 1, dry_run=True).rows["openfuse_dead_letters"] == 1
        assert copies(kit).keys() == {id}
        assert expired(kit, LIMIT, later + 1).rows["openfuse_dead_letters"] == 1
        assert copies(kit) == {}


def test_no_batch_waits_for_a_copy(greptimedb: GreptimedbKit, collector: Settings) -> None:
    """Calls about copies hang while batches are stored: none of these makes such a call, nor does what is done between them."""
    with greptimedb.exporter(collector) as made:
        (id,) = set_aside(collector, "odd")
        with broken(greptimedb, faults.stuck()) as fault:
            for name in ("t1", "t2", "t3"):
                export(made, conversation(name))
                made.idle()
            assert greptimedb.double.struck(fault) == 0
            asyncio.run(made.start())
            wait_until(lambda: greptimedb.double.struck(fault) > 0, lambda: "it never was", 60)
            export(made, conversation("t4"))
        wait_until(lambda: copies(greptimedb).keys() == {id}, lambda: "it never was", 60)
    assert len(ids(greptimedb)) == 12


def test_copies_are_tried_ever_more_rarely_while_they_fail(
    greptimedb: GreptimedbKit, collector: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with greptimedb.exporter(collector) as made, broken(greptimedb, faults.region_busy().times(8)):
        (id,) = set_aside(collector, "odd")
        pauses: list[float] = []

        def wait(seconds: float) -> bool:
            """Time passes at once."""
            pauses.append(seconds)
            return len(pauses) > 10

        monkeypatch.setattr(made._copies._stop, "wait", wait)
        made._copies._run()
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 1, 1]
        assert copies(greptimedb).keys() == {id}


def fails_with(id: str, code: StatusCode = StatusCode.INTERNAL) -> Fault:
    return faults.bad_row(lambda table, row: row.get("id") == id, code=code)


@pytest.mark.parametrize("code", [StatusCode.INTERNAL, StatusCode.CANCELLED])
def test_a_letter_the_server_fails_with_keeps_no_other_from_being_copied(
    greptimedb: GreptimedbKit, collector: Settings, code: StatusCode
) -> None:
    with greptimedb.exporter(collector) as made:
        first, odd, last = set_aside(collector, "one", "odd", "last")
        with broken(greptimedb, fails_with(odd, code)):
            for _ in range(ATTEMPTS + 3):  # alone it may be the server's fault
                keep_up(made)
                assert copies(greptimedb).keys() == {first, last}
                assert [letter.id for letter in collector.dead_letters.changes()[0]] == [odd]
            (more,) = set_aside(collector, "more")
            keep_up(made)
            assert copies(greptimedb).keys() == {first, last, more}
        keep_up(made)
        assert copies(greptimedb).keys() == {first, odd, last, more}


def test_a_letter_the_server_goes_on_failing_with_has_no_copy(greptimedb: GreptimedbKit, collector: Settings) -> None:
    with greptimedb.exporter(collector) as made:
        (odd,) = set_aside(collector, "odd")
        others = []
        with broken(greptimedb, fails_with(odd)):
            for number in range(ATTEMPTS + 1):
                assert [letter.id for letter in collector.dead_letters.changes()[0]] == [odd]
                others += set_aside(collector, f"other{number}")
                keep_up(made)
        assert collector.dead_letters.changes() == ([], [])
        assert copies(greptimedb).keys() == {*others}


def test_many_letters_the_server_fails_with_keep_no_other_from_being_copied(
    greptimedb: GreptimedbKit, collector: Settings
) -> None:
    """More of them, and all before the others, than failures in a row make a server that takes nothing."""
    with greptimedb.exporter(collector) as made:
        odd = set_aside(collector, *(f"odd{number}" for number in range(3 * HOPELESS)))
        others = set_aside(collector, *(f"other{number}" for number in range(5)))
        bad = faults.bad_row(lambda table, row: row.get("id") in odd, code=StatusCode.INTERNAL)
        with broken(greptimedb, bad):
            for _ in range(3 * HOPELESS):
                with suppress(CallError):
                    keep_up(made)
                if copies(greptimedb):
                    break
            assert copies(greptimedb).keys() == {*others}
        keep_up(made)
        assert copies(greptimedb).keys() == {*odd, *others}


@pytest.mark.parametrize("code", [StatusCode.INTERNAL, StatusCode.CANCELLED])
def test_letters_that_fill_what_is_read_at_a_time_keep_no_other_from_being_copied(
    greptimedb: GreptimedbKit, collector: Settings, monkeypatch: pytest.MonkeyPatch, code: StatusCode
) -> None:
    """Each is all that is read, whoever comes behind it; it is given up when it failed while others were taken."""
    monkeypatch.setattr(letters_module, "COPY_BYTES", 10_000)
    with greptimedb.exporter(collector) as made, capture_logs() as logs:
        large = set_aside(collector, *(f"large{number}" * 2000 for number in range(3)))
        others = set_aside(collector, "one", "two")
        bad = faults.bad_row(lambda table, row: row.get("id") in large, code=code)
        with broken(greptimedb, bad):
            for _ in range(len(large) + 1):
                keep_up(made)
            assert copies(greptimedb).keys() == {*others}
            for number in range(ATTEMPTS):
                assert [letter.id for letter in collector.dead_letters.changes()[0]] == large[:1]
                others += set_aside(collector, f"other{number}")
                keep_up(made)
                assert copies(greptimedb).keys() == {*others}
        assert collector.dead_letters.changes() == ([], [])
        assert made._copies._failures == {}
    given_up = [line["id"] for line in logs if line["event"] == "the store takes no copy of a dead letter"]
    assert len(given_up) == 1  # one line a minute
    assert given_up[0] in large


def test_a_large_letter_the_server_takes_later_is_copied_then(
    greptimedb: GreptimedbKit, collector: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters_module, "COPY_BYTES", 10_000)
    with greptimedb.exporter(collector) as made:
        large = set_aside(collector, *(f"large{number}" * 2000 for number in range(3)))
        with broken(greptimedb, faults.bad_row(lambda table, row: row.get("id") in large, code=StatusCode.INTERNAL)):
            for _ in large:
                keep_up(made)
            assert copies(greptimedb) == {}
        keep_up(made)
        assert copies(greptimedb).keys() == {*large}
        settle(made, collector)


def test_a_letter_the_server_failed_with_that_is_dropped_is_offered_no_more(
    greptimedb: GreptimedbKit, collector: Settings, tmp_path: Path
) -> None:
    with greptimedb.exporter(collector) as made:
        (odd,) = set_aside(collector, "odd")
        with broken(greptimedb, fails_with(odd)) as fault:
            keep_up(made)
            before = greptimedb.double.struck(fault)
            assert drop(tmp_path, odd) == 1
            collector.dead_letters.tend()
            keep_up(made)
            assert greptimedb.double.struck(fault) == before
        assert made._copies._failures == {}
        settle(made, collector)
        assert remembered(tmp_path) == 0


def test_the_letters_the_server_fails_with_that_are_known_are_bounded(
    greptimedb: GreptimedbKit, collector: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies_module, "MOST", 12)
    with greptimedb.exporter(collector) as made:
        odd = set_aside(collector, *(f"odd{number}" for number in range(20)))
        with broken(greptimedb, faults.status(StatusCode.INTERNAL).over("grpc")):
            for _ in range(10):
                with suppress(CallError):
                    keep_up(made)
            assert len(made._copies._failures) == 12
        keep_up(made)
        settle(made, collector)
        assert copies(greptimedb).keys() == {*odd}


def test_a_look_tries_few_of_the_letters_the_server_fails_with_in_turn(
    greptimedb: GreptimedbKit, collector: Settings
) -> None:
    """New letters come first at each look, so they wait for so many calls at most."""
    tried: list[str] = []

    def bad(table: str, row: Mapping[str, Any]) -> bool:
        tried.append(row["id"])
        return row["id"] in odd

    with greptimedb.exporter(collector) as made:
        odd = set_aside(collector, *(f"odd{number}" for number in range(2 * ENOUGH)))
        with broken(greptimedb, faults.bad_row(bad, code=StatusCode.INTERNAL)):
            for _ in odd:
                with suppress(CallError):
                    keep_up(made)
            turns = []
            for _ in range(2):
                (new,) = set_aside(collector, f"new{len(turns)}")
                tried.clear()
                keep_up(made)
                assert tried[0] == new
                turns.append(set(tried[1:]))
        assert [len(turn) for turn in turns] == [ENOUGH, ENOUGH]
        assert turns[0] | turns[1] == {*odd}


def test_a_server_that_takes_no_copies_is_not_asked_for_each_letter(
    greptimedb: GreptimedbKit, collector: Settings
) -> None:
    with greptimedb.exporter(collector) as made:
        all_ = set_aside(collector, *(f"odd{number}" for number in range(100)))
        with broken(greptimedb, faults.status(StatusCode.INTERNAL).over("grpc")) as fault:
            with pytest.raises(CallError):
                keep_up(made)
            assert greptimedb.double.struck(fault) <= HOPELESS
        keep_up(made)
        assert copies(greptimedb).keys() == {*all_}


def test_a_letter_the_server_refuses_has_no_copy_and_its_neighbours_have(
    greptimedb: GreptimedbKit, collector: Settings
) -> None:
    with greptimedb.exporter(collector) as made:
        first, odd, last = set_aside(collector, "one", "odd", "last")
        greptimedb.double.fail(faults.bad_row(lambda table, row: row.get("id") == odd).on("openfuse_dead_letters"))
        try:
            keep_up(made)
        finally:
            greptimedb.double.heal()
        assert copies(greptimedb).keys() == {first, last}
        assert collector.dead_letters.changes() == ([], [])

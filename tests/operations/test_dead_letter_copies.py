"""Copies of dead letters in a store: all there is to know of them, gone with their letters, in one store only."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from operations_kit import GreptimedbKit, SqliteKit, StoreKit, conversation, expired, export, ids

from openfuse_collector.component import ComponentID, Settings
from openfuse_collector.config.types import Duration
from openfuse_collector.dead_letters.file import NAME, LetterFile
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.signals import Signal
from openfuse_collector.store.retention import RetentionConfig
from tests.builders import RECEIVED_AT, event, item, settings
from tests.greptimedb_double import faults

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
    made.idle()
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


def test_a_copy_has_what_there_is_to_know(kit: StoreKit, collector: Settings) -> None:
    with kit.exporter(collector) as made:
        (id,) = set_aside(collector, "odd")
        export(made, conversation("t1"))
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
        made.idle()
        assert copies(kit).keys() == {first, second, third}
        assert drop(tmp_path, second) == 1
        collector.dead_letters.tend()
        made.idle()
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
        made.idle()
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
        made.idle()
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
        made.idle()
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
        made.idle()
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
        made.idle()
        settle(made, collector)
        assert copies(kit) == {id: "still odd"}


def test_a_letter_that_changes_has_one_copy(kit: StoreKit, collector: Settings) -> None:
    """Refused again it has another time, which is part of the key in GreptimeDB."""
    with kit.exporter(collector) as made:
        (id,) = set_aside(collector, "odd")
        made.idle()
        file = collector.dead_letters
        ((_, letter),) = file.use(lambda file: list(file.letters("TRUE"))) or []
        again = structs.replace(letter, at=letter.at + 5000, reason="still odd")
        file.change(lambda file: file.add([again]))
        made.idle()
        assert copies(kit) == {id: "still odd"}
        file.change(lambda file: file.remove("TRUE"))
        made.idle()
        assert copies(kit) == {}


def test_one_store_of_several_has_the_copies(kit: StoreKit, collector: Settings, tmp_path: Path) -> None:
    """The one that was made first, however often the other looks."""
    (tmp_path / "other").mkdir()
    other = SqliteKit(tmp_path / "other")
    second = replace(collector, id=ComponentID("sqlite", "second"))
    with kit.exporter(collector) as made, other.exporter(second) as beside:
        (id,) = set_aside(collector, "odd")
        beside.idle()
        export(beside, conversation("t1"))
        assert copies(other) == {}
        made.idle()
        assert copies(kit).keys() == {id}


def test_copies_expire_with_their_project(kit: StoreKit, collector: Settings) -> None:
    with kit.exporter(collector) as made:
        (id,) = set_aside(collector, "odd")
        made.idle()
        ((at,),) = kit.query("SELECT at FROM openfuse_dead_letters")
        later = at + 10**9
        assert expired(kit, LIMIT, later).rows["openfuse_dead_letters"] == 0
        assert copies(kit).keys() == {id}
        assert expired(kit, LIMIT, later + 1, dry_run=True).rows["openfuse_dead_letters"] == 1
        assert copies(kit).keys() == {id}
        assert expired(kit, LIMIT, later + 1).rows["openfuse_dead_letters"] == 1
        assert copies(kit) == {}


def test_copies_that_fail_hold_up_no_batch(greptimedb: GreptimedbKit, collector: Settings) -> None:
    with greptimedb.exporter(collector) as made:
        (id,) = set_aside(collector, "odd")
        fault = faults.region_busy().on("openfuse_dead_letters")
        greptimedb.double.fail(fault)
        export(made, conversation("t1"))
        assert greptimedb.double.struck(fault) > 0
        assert ids(greptimedb) == {"t1", "t1-o", "t1-s"}
        greptimedb.double.heal(fault)
        export(made, conversation("t2"))
        assert copies(greptimedb).keys() == {id}


def test_a_letter_the_server_refuses_has_no_copy_and_its_neighbours_have(
    greptimedb: GreptimedbKit, collector: Settings
) -> None:
    with greptimedb.exporter(collector) as made:
        first, odd, last = set_aside(collector, "one", "odd", "last")
        greptimedb.double.fail(faults.bad_row(lambda table, row: row.get("id") == odd).on("openfuse_dead_letters"))
        try:
            made.idle()
        finally:
            greptimedb.double.heal()
        assert copies(greptimedb).keys() == {first, last}
        assert collector.dead_letters.changes() == ([], [])

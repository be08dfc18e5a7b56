"""SQL metacharacters in every field: stored as they are, found again, moved, and nothing else happens to the file."""

from __future__ import annotations

from pathlib import Path

from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from openfuse_collector.signals import Signal
from tests.builders import batch, event, item, settings
from tests.exporters.sqlite_kit import query
from tests.hostile.evil_events import EARLY, EVIL, PROJECT, evil_events, expected


def test_metacharacters_in_every_field(tmp_path: Path) -> None:
    path = tmp_path / "openfuse.db"
    sent = [event("innocent"), *evil_events()]
    SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path))).export(batch(item(sent)))
    later = evil_events(EARLY, turn=1)
    SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path))).export(batch(item(later)))  # found by query alone
    for kind, wanted in expected([*evil_events(), *later]).items():
        rows = query(path, f"SELECT * FROM {PROJECTIONS[kind]} WHERE project_id = ?", PROJECT)
        assert len(rows) == 1, kind
        shared = rows[0].keys() & wanted.keys() - {"eav_generation", "total_cost"}
        assert len(shared) > 10
        assert {name: rows[0][name] for name in shared} == {name: wanted[name] for name in shared}, kind
    assert len(query(path, "SELECT 1 FROM observations WHERE id = 'innocent'")) == 1
    assert len(query(path, "SELECT 1 FROM raw_events WHERE project_id = ?", PROJECT)) == 6


def test_metacharacters_in_dead_letters(tmp_path: Path) -> None:
    made = settings("sqlite", directory=tmp_path / "letters")
    exporter = SqliteExporter(made, SqliteConfig(path=str(tmp_path / "openfuse.db")))
    letter = made.dead_letters.add(item(evil_events()), EVIL, EVIL, EVIL, Signal.EVENTS)
    made.dead_letters.sync()
    exporter.idle()
    (row,) = query(tmp_path / "openfuse.db", "SELECT * FROM openfuse_dead_letters")
    assert (row["id"], row["reason"], row["component"], row["pipeline"]) == (letter.id, EVIL, EVIL, EVIL)
    found = made.dead_letters.use(lambda file: file.rows("component = ?", (EVIL,))) or []
    assert [one["id"] for one in found] == [letter.id]

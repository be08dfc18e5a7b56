"""The file of the embedded store goes away while it is in use, and another one, or itself, is there later."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlite_kit import query

from openfuse_collector.errors import RetryableError
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from tests.builders import batch, event, item, settings
from tests.small_disk import small_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "openfuse.db"


def test_a_file_that_was_removed_is_noticed(path: Path) -> None:
    exporter = SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path)))
    exporter.export(batch(item([event("o1")])))
    for file in path.parent.iterdir():
        file.unlink()
    exporter.export(batch(item([event("o2")]), end=7))
    assert [row["id"] for row in query(path, "SELECT id FROM observations")] == ["o2"]
    assert exporter.cursor("traces") == 7


def test_a_directory_that_cannot_be_made_is_the_moment_s_fault_not_the_data_s(path: Path) -> None:
    exporter = SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path)))
    exporter.export(batch(item([event("o1")])))
    shutil.rmtree(path.parent)
    path.parent.write_text("a file in its place")
    with pytest.raises(RetryableError):
        exporter.export(batch(item([event("o2")])))
    path.parent.unlink()
    exporter.export(batch(item([event("o2")]), end=7))
    assert exporter.cursor("traces") == 7


def test_a_file_that_comes_back_as_it_was_is_opened_again(tmp_path: Path) -> None:
    """A volume that is mounted again has the file with its old inode: nothing that waited for it may count as refused."""
    volume, path = tmp_path / "volume", tmp_path / "openfuse.db"
    volume.mkdir()
    path.symlink_to(volume / "openfuse.db")
    exporter = SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path)))
    exporter.export(batch(item([event("o1")])))
    volume.rename(tmp_path / "unmounted")
    with pytest.raises(RetryableError, match="unable to open"):
        exporter.export(batch(item([event("o2")])))
    (tmp_path / "unmounted").rename(volume)
    exporter.export(batch(item([event("o2")]), end=7))
    assert [row["id"] for row in query(path, "SELECT id FROM observations ORDER BY id")] == ["o1", "o2"]
    assert exporter.cursor("traces") == 7


def test_a_link_that_leads_elsewhere_is_followed(tmp_path: Path) -> None:
    """Both files are the first of their disks, and have the same inode there."""
    path = tmp_path / "openfuse.db"
    with small_disk(tmp_path / "one", "8m") as one, small_disk(tmp_path / "other", "8m") as other:
        path.symlink_to(one / "openfuse.db")
        exporter = SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path)))
        exporter.export(batch(item([event("o1")])))
        path.unlink()
        path.symlink_to(other / "openfuse.db")
        SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path)))._store.close()
        assert path.stat().st_ino == (one / "openfuse.db").stat().st_ino
        exporter.export(batch(item([event("o2")]), end=7))
        exporter._store.close()
        assert [row["id"] for row in query(other / "openfuse.db", "SELECT id FROM observations")] == ["o2"]

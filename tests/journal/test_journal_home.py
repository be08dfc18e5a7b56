"""The directory is made anew when it was removed in use, whatever the disk refuses on the way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import structlog
from journal_kit import Opened, everything, origin, payloads

from openfuse_collector.errors import OverloadError
from openfuse_collector.journal import OsFiles
from openfuse_collector.journal.home import Home
from openfuse_collector.journal.recovery import INSTANCE


class FullFor(OsFiles):
    """A disk that has no room for so many files."""

    def __init__(self) -> None:
        self.left = 0

    def create(self, path: Path) -> int:
        self.left -= 1
        if self.left >= 0:
            raise OSError(28, "No space left on device")
        return super().create(path)


def test_the_id_is_kept_also_when_the_disk_was_full_at_first(tmp_path: Path) -> None:
    files = FullFor()
    home = Home(tmp_path / "journal", files, structlog.get_logger())
    shutil.rmtree(tmp_path / "journal")
    files.left = 1
    with pytest.raises(OSError, match="No space"):
        home.keep()
    assert home.keep()
    assert not home.keep()
    assert (tmp_path / "journal" / INSTANCE).read_text().strip() == home.instance
    home.leave()


@pytest.mark.parametrize("replaced", [False, True])
async def test_what_is_acknowledged_after_the_directory_was_moved_is_in_a_new_one(
    tmp_path: Path, replaced: bool
) -> None:
    """A restart would not look where the old one has gone to."""
    directory = tmp_path / "journal"
    with Opened(directory) as opened:
        opened.journal.reader("store", start=None, wants=everything)
        await opened.journal.append(origin(), b"before", None)
        directory.rename(tmp_path / "moved")
        if replaced:
            directory.mkdir()
        await opened.journal.append(origin(), b"after", None)
        assert opened.events("was removed while in use")
        await opened.journal.append(origin(), b"later", None)
    with Opened(directory) as again:
        assert again.journal.instance == opened.journal.instance
        assert payloads(again.journal.reader("store", start=None, wants=everything)) == [b"after", b"later"]


class Filling(OsFiles):
    """A disk of which tests say how much of it is free."""

    room = 1 << 30

    def free(self, directory: Path) -> int:
        super().free(directory)  # which has to be there
        return self.room


async def test_a_directory_that_was_removed_to_make_room_is_made_anew_without_a_request(tmp_path: Path) -> None:
    """None is taken before the disk was measured again, which takes a directory."""
    files, directory = Filling(), tmp_path / "journal"
    with Opened(directory, files, min_free_disk=1000) as opened:
        opened.journal.reader("store", start=None, wants=everything)
        await opened.journal.append(origin(), b"before", None)
        files.room = 0
        opened.journal.tidy()
        with pytest.raises(OverloadError):
            await opened.journal.append(origin(), b"refused", None)
        shutil.rmtree(directory)
        files.room = 1 << 30
        opened.journal.tidy()
        assert opened.journal.trouble is None
        await opened.journal.append(origin(), b"after", None)
    with Opened(directory) as again:
        assert payloads(again.journal.reader("store", start=None, wants=everything)) == [b"after"]


async def test_a_journal_whose_place_another_has_taken_leaves_it_alone(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    with Opened(directory) as first:
        reader = first.journal.reader("first", start=None, wants=everything)
        await first.journal.append(origin(), b"before", None)
        directory.rename(tmp_path / "moved")
        with Opened(directory) as second:
            second.journal.reader("second", start=None, wants=everything)
            kept = (directory / "cursors.json").read_bytes()
            reader.commit(first.journal.end)
            first.journal.tidy()
            with pytest.raises(OverloadError, match="in use"):
                await first.journal.append(origin(), b"refused", None)
            first.journal.close()
            assert (directory / "cursors.json").read_bytes() == kept
            await second.journal.append(origin(), b"taken", None)

"""The directory of media files when several clients are at it at once: its bound, its records, and what is left of a killed process."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from openfuse_collector.receivers.langfuse.failures import AnswerError
from openfuse_collector.receivers.langfuse.media.announcement import Announcement, media_id_of
from openfuse_collector.receivers.langfuse.media.directory import RECORD_ROOM, MediaDirectory

CONTENT = b"x" * 400


def announcement(content: bytes = CONTENT) -> Announcement:
    digest = sha256(content).digest()
    return Announcement(media_id_of(digest), "image/png", len(content), digest)


def upload(directory: MediaDirectory, content: bytes) -> None:
    incoming = directory.incoming("p", announcement(content).media_id)
    try:
        incoming.write(content)
        incoming.finish()
    finally:
        incoming.abandon()


def stored(directory: MediaDirectory, content: bytes) -> bool:
    return directory.content("p", announcement(content).media_id).exists()


def test_what_is_announced_before_it_comes_is_held_against_the_bound_too(tmp_path: Path) -> None:
    """Each of these would have fitted when it was announced."""
    directory = MediaDirectory(tmp_path, 1100 + 3 * RECORD_ROOM)
    first, second, third = (letter * 400 for letter in (b"a", b"b", b"c"))
    for content in (first, second, third):
        assert directory.announce("p", announcement(content))
    upload(directory, first)
    arriving = directory.incoming("p", announcement(second).media_id)
    with pytest.raises(AnswerError, match="full"):
        directory.incoming("p", announcement(third).media_id)
    arriving.write(second)
    arriving.finish()
    arriving.abandon()
    assert [stored(directory, content) for content in (first, second, third)] == [True, True, False]


def test_an_upload_that_comes_to_nothing_leaves_its_room_to_others(tmp_path: Path) -> None:
    directory = MediaDirectory(tmp_path, 1000 + 2 * RECORD_ROOM)
    first, second = b"a" * 700, b"b" * 700
    assert directory.announce("p", announcement(first)) and directory.announce("p", announcement(second))
    broken = directory.incoming("p", announcement(first).media_id)
    with pytest.raises(AnswerError, match="full"):
        directory.incoming("p", announcement(second).media_id)
    broken.abandon()
    broken.abandon()
    upload(directory, second)
    assert stored(directory, second)


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file becomes larger than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_upload_the_disk_refuses_leaves_its_room_to_others(tmp_path: Path) -> None:
    """A file whose last bytes cannot be written cannot be closed either."""
    directory = MediaDirectory(tmp_path, 10_000 + RECORD_ROOM)
    content = b"a" * 6000
    assert directory.announce("p", announcement(content))
    for _ in range(2):
        with full_disk(4000), pytest.raises(OSError, match="File too large"):
            upload(directory, content)
    assert not list(tmp_path.rglob(".upload-*"))
    upload(directory, content)
    assert stored(directory, content)


def test_one_file_announced_uploaded_and_reported_many_times_at_once(tmp_path: Path) -> None:
    """SDKs send the image of a conversation again with every turn of it."""
    directory = MediaDirectory(tmp_path, 1_000_000)
    media = announcement()
    directory.announce("p", media)

    def client(number: int) -> None:
        directory.announce("p", media)
        upload(directory, CONTENT)
        directory.report("p", media.media_id, {f"field{number}": number})

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(client, range(40)))
    record = directory.record("p", media.media_id)
    assert record is not None and {record[f"field{number}"] for number in range(40)} == set(range(40))
    names = sorted(file.name for file in directory.content("p", media.media_id).parent.iterdir())
    assert names == [media.media_id, f"{media.media_id}.json"]
    other = b"y" * (1_000_000 - len(CONTENT) - 10_000)
    assert directory.announce("p", announcement(other)), "the file was counted more than once"


def test_what_a_killed_process_had_begun_is_removed_at_the_next_start(tmp_path: Path) -> None:
    first = MediaDirectory(tmp_path, 10_000)
    first.announce("p", announcement())
    for _ in range(2):
        first.incoming("p", announcement().media_id)
    old, young = sorted(tmp_path.rglob(".upload-*"))
    os.utime(old, (0, 0))
    MediaDirectory(tmp_path, 10_000)
    assert list(tmp_path.rglob(".upload-*")) == [young]


def bytes_in(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def announced_until_full(directory: MediaDirectory, most: int) -> list[str]:
    """Ids of files announced, and reported as failed at great length, before one was refused."""
    ids: list[str] = []
    for number in range(most):
        media = announcement(b"%d" % number)
        try:
            assert directory.announce("p", media)
        except AnswerError as error:
            assert error.status == 413
            break
        directory.report("p", media.media_id, {"uploadHttpStatus": 500, "uploadHttpError": "\x01" * 100_000})
        ids.append(media.media_id)
    return ids


def age(path: Path, seconds: float) -> None:
    for file in path.rglob("*"):
        os.utime(file, (time.time() - seconds,) * 2)


def test_announcements_and_reports_are_held_against_the_bound(tmp_path: Path) -> None:
    directory = MediaDirectory(tmp_path, 40_000)
    known = announced_until_full(directory, 20)
    assert 5 < len(known) < 10 and bytes_in(tmp_path) <= 40_000
    record = directory.record("p", known[0])
    assert record is not None and record["uploadHttpError"] == "\x01" * 500
    again = MediaDirectory(tmp_path, 40_000)
    for media_id in known:
        again.report("p", media_id, {"uploadHttpStatus": 500})
    with pytest.raises(AnswerError, match="full"):
        again.announce("p", announcement(b"another"))


def test_a_file_announced_again_takes_no_more_room(tmp_path: Path) -> None:
    directory = MediaDirectory(tmp_path, 2 * len(CONTENT) + 2 * RECORD_ROOM)
    for _ in range(5):
        assert directory.announce("p", announcement())
    upload(directory, CONTENT)
    assert stored(directory, CONTENT)


@pytest.mark.parametrize("restart", [True, False], ids=["at the start", "where there is no room"])
def test_what_was_announced_and_never_came_is_forgotten(tmp_path: Path, restart: bool) -> None:
    directory = MediaDirectory(tmp_path, 40_000)
    directory.announce("p", announcement())
    upload(directory, CONTENT)
    abandoned = announced_until_full(directory, 20)
    directory = MediaDirectory(tmp_path, 40_000)  # one that has not yet looked for room
    age(tmp_path, 90_000)
    young = abandoned.pop()
    directory.report("p", young, {"uploadHttpStatus": 500})
    if restart:
        directory = MediaDirectory(tmp_path, 40_000)
    assert directory.announce("p", announcement(b"another"))
    assert [directory.record("p", media_id) for media_id in abandoned] == [None] * len(abandoned)
    assert directory.record("p", young) is not None and directory.record("p", announcement().media_id) is not None
    assert stored(directory, CONTENT) and len(announced_until_full(directory, 20)) == len(abandoned) - 1


def test_nothing_is_reported_of_what_is_no_longer_known(tmp_path: Path) -> None:
    directory = MediaDirectory(tmp_path, 40_000)
    directory.announce("p", announcement())
    age(tmp_path, 90_000)
    directory = MediaDirectory(tmp_path, 40_000)
    with pytest.raises(AnswerError, match="not found"):
        directory.report("p", announcement().media_id, {"uploadHttpStatus": 500})
    assert list((tmp_path / "project-p").iterdir()) == []

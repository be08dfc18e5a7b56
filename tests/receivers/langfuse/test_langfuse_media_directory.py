"""The directory of media files when several clients are at it at once: its bound, its records, and what is left of a killed process."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from openfuse_collector.receivers.langfuse.failures import AnswerError
from openfuse_collector.receivers.langfuse.media.announcement import Announcement, media_id_of
from openfuse_collector.receivers.langfuse.media.directory import MediaDirectory

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
    directory = MediaDirectory(tmp_path, 1100)
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
    directory = MediaDirectory(tmp_path, 1000)
    first, second = b"a" * 700, b"b" * 700
    assert directory.announce("p", announcement(first)) and directory.announce("p", announcement(second))
    broken = directory.incoming("p", announcement(first).media_id)
    with pytest.raises(AnswerError, match="full"):
        directory.incoming("p", announcement(second).media_id)
    broken.abandon()
    broken.abandon()
    upload(directory, second)
    assert stored(directory, second)


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
    first = MediaDirectory(tmp_path, 1000)
    first.announce("p", announcement())
    for _ in range(2):
        first.incoming("p", announcement().media_id)
    old, young = sorted(tmp_path.rglob(".upload-*"))
    os.utime(old, (0, 0))
    MediaDirectory(tmp_path, 1000)
    assert list(tmp_path.rglob(".upload-*")) == [young]

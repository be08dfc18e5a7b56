"""Disks that are full, read-only or gone, under the journal and under the store."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.collector_process import CollectorProcess, wait_until
from tests.faults.fault_kit import PATIENCE, Client, Request, Rows, check, post, wait_stored
from tests.faults.test_crash_letters import letters, others, refuse, refused, wait_letters
from tests.small_disk import small_disk
from tests.store_lock import locked

Start = Callable[..., CollectorProcess]
JOURNAL = {"service.journal.segment_size": "1MiB", "service.journal.min_free_disk": "0B"}


def test_a_full_journal_disk(start_collector: Start, requests: list[Request], clean: Rows, tmp_path: Path) -> None:
    """Senders are told to come back, and once the pipeline has made room they may."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        collector = start_collector(sets={**JOURNAL, "service.journal.directory": str(disk / "journal")})
        client = Client(collector)
        with locked(collector.store):
            client.send(requests)
        assert client.acknowledged and client.unanswered
        assert "disk" in collector.log
        client.resend()
        wait_stored(collector, requests)
        assert collector.stop() == 0
        check(collector, clean)


def test_a_full_store_disk(start_collector: Start, requests: list[Request], clean: Rows, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "24m") as disk:
        store = disk / "openfuse.db"
        collector = start_collector(sets={"exporters.sqlite.path": str(store)})
        collector.store = store
        ballast = disk / "ballast"
        with pytest.raises(OSError, match="No space left"):
            _fill(ballast)
        client = Client(collector)
        client.send(requests)
        assert not client.unanswered, "the journal is on another disk"
        wait_until(lambda: "disk is full" in collector.log, lambda: collector.log[-4000:], PATIENCE)
        ballast.unlink()
        wait_stored(collector, requests)
        assert collector.stop() == 0
        check(collector, clean)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))


def _obey_modes() -> None:
    """Root passes over permission bits; without CAP_DAC_OVERRIDE it does not."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE


def test_a_read_only_journal(start_collector: Start, requests: list[Request], clean: Rows) -> None:
    """No new segment can be made: what does not fit the old one is refused until the directory can be written again."""
    collector = start_collector(sets=JOURNAL, before_exec=_obey_modes)
    collector.journal.chmod(0o500)
    client = Client(collector)
    client.send(requests)
    assert client.unanswered, "more than one segment's worth was sent"
    collector.journal.chmod(0o700)
    client.resend()
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)


def test_a_journal_that_cannot_be_made_is_a_clear_error(start_collector: Start, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a directory")
    with pytest.raises(
        AssertionError, match=r"exit code 1(.|\n)*cannot use journal directory(.|\n)*service::journal::directory"
    ):
        start_collector(sets={"service.journal.directory": str(in_the_way / "journal")})


def test_a_journal_that_is_gone(start_collector: Start, requests: list[Request], clean: Rows) -> None:
    """Nothing is acknowledged that a kill would lose: a request after the removal is either refused or in a new directory."""
    collector = start_collector()
    client, half = Client(collector), len(requests) // 2
    client.send(requests[:half])
    wait_stored(collector, client.acknowledged)
    shutil.rmtree(collector.journal)
    with locked(collector.store):
        client.send(requests[half:])
        collector.kill()
    collector.start()
    wait_stored(collector, client.acknowledged)
    client.resend()
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)
    assert os.stat(collector.journal).st_mode & 0o777 == 0o700


def spans_of(requests: list[Request]) -> frozenset[str]:
    return frozenset[str]().union(*(request.spans for request in requests))


def test_what_is_refused_after_the_journal_is_gone(start_collector: Start, requests: list[Request]) -> None:
    """The dead letters were in its directory: those that come then are on disk, where commands and the next start look."""
    collector = start_collector()
    poison, half = refused(requests), len(requests) // 2
    before, after = requests[:half], requests[half:]
    refuse(collector.store, poison)
    client = Client(collector)
    client.send(before)
    wait_letters(collector, poison & spans_of(before))
    shutil.rmtree(collector.journal)
    client.send(after)
    client.resend()
    wait_stored(collector, others(requests))
    wait_letters(collector, poison & spans_of(after))
    found = letters(collector)
    collector.kill()
    collector.start()
    assert letters(collector) == found
    assert collector.stop() == 0
    assert "the file of the dead letters was removed" in collector.log
    assert os.stat(collector.journal).st_mode & 0o777 == 0o700


def test_refusals_come_at_once(start_collector: Start, requests: list[Request]) -> None:
    """A sender's own timeout is ten seconds; one that is told to come back has long been told by then."""
    collector = start_collector(
        sets={**JOURNAL, "service.journal.segment_size": "1MiB", "service.journal.max_size": "2MiB"}
    )
    with locked(collector.store):
        answers = [post(collector.http_port, request.body, timeout=10) for request in requests * 3]
    assert set(answers) == {200, 503}

"""The journal on the real file system: lock, modes, kill -9, short writes, start-up."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from journal_kit import Opened, everything, origin, payloads

from openfuse_collector.journal import JournalError, JournalLocked, OsFiles
from openfuse_collector.journal.segment import segment_name

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

HOLD = """
from journal_kit import Opened
import sys
with Opened(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""

APPEND_FOR_EVER = """
import asyncio, itertools, sys
from journal_kit import Opened, everything, origin

async def send(opened, sender):
    for number in itertools.count():
        name = b"%d:%d" % (sender, number)
        offset = await opened.journal.append(origin(), name + bytes(900), name)
        print(offset, name.decode(), flush=True)

async def main():
    opened = Opened(sys.argv[1], segment_size=100_000)
    opened.journal.reader("all", start=None, wants=everything)
    await asyncio.gather(*(send(opened, sender) for sender in range(8)))

asyncio.run(main())
"""

WRITE_PAST_A_LIMIT = """
import asyncio, resource, sys
from journal_kit import Opened, everything, origin
from openfuse_collector.errors import OverloadError

async def main():
    with Opened(sys.argv[1]) as opened:
        opened.journal.reader("all", start=None, wants=everything)
        await opened.journal.append(origin(), b"kept" * 1000, None)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        try:
            await opened.journal.append(origin(), b"lost" * 10_000, None)
        except OverloadError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await opened.journal.append(origin(), b"more" * 1000, None)

asyncio.run(main())
"""


def python(script: str, directory: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_a_directory_in_use_names_itself_and_the_process(tmp_path: Path) -> None:
    with python(HOLD, tmp_path / "journal") as holder:
        assert holder.stdout and holder.stdout.readline() == "open\n"
        with pytest.raises(JournalLocked, match=f"{tmp_path}.*process {holder.pid}"):
            Opened(tmp_path / "journal")
        holder.kill()
    Opened(tmp_path / "journal").journal.close()


def test_one_process_cannot_open_it_twice(tmp_path: Path) -> None:
    with Opened(tmp_path), pytest.raises(JournalLocked, match=str(os.getpid())):
        Opened(tmp_path)
    Opened(tmp_path).journal.close()


def test_close_is_idempotent(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    opened.journal.close()
    opened.journal.close()


async def test_only_the_owner_may_read(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        with Opened(tmp_path / "deep" / "journal", segment_size=300) as opened:
            opened.journal.reader("all", start=None, wants=everything)
            for _ in range(4):
                await opened.journal.append(origin(), bytes(200), None)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep" / "journal").iterdir()}
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "deep" / "journal").stat().st_mode) == 0o700
    assert len(modes) > 5
    assert set(modes.values()) == {0o600}


def test_a_file_in_place_of_the_directory_says_so(tmp_path: Path) -> None:
    (tmp_path / "journal").touch()
    with pytest.raises(JournalError, match="journal"):
        Opened(tmp_path / "journal")


async def test_reopening_continues_offsets_and_identity(tmp_path: Path) -> None:
    ends, instances = [], set()
    for _ in range(4):
        with Opened(tmp_path) as opened:
            instances.add(opened.journal.instance)
            opened.journal.reader("all", start=None, wants=everything)
            ends.append((await opened.journal.append(origin(), b"x" * 50, None), opened.journal.end))
    assert [start for start, _ in ends] == [0, *(end for _, end in ends[:-1])]
    assert len(instances) == 1
    with Opened(tmp_path) as opened:
        assert payloads(opened.journal.reader("all", start=None, wants=everything)) == [b"x" * 50] * 4


def test_kill_9_under_load_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with python(APPEND_FOR_EVER, tmp_path / "journal") as victim:
        assert victim.stdout
        lines = [victim.stdout.readline() for _ in range(1500)]
        victim.send_signal(signal.SIGKILL)
        lines += victim.stdout.readlines()
    acknowledged = dict(line.split() for line in lines if line.endswith("\n") and " " in line)
    with Opened(tmp_path / "journal", segment_size=100_000) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        found = {
            str(item.position): item.data.rstrip(b"\0").decode()
            for item in reader.take(10**6, 1 << 30, 0, 0, lambda _: 1)[0]
        }
        assert len(acknowledged) >= 1500
        assert acknowledged.items() <= found.items()
        assert opened.sample("openfuse_journal_corrupt_records_total") == 0


def test_a_short_write_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    with python(WRITE_PAST_A_LIMIT, tmp_path / "journal") as process:
        output, _ = process.communicate()
        assert process.returncode == 0
    assert "File too large" in output
    with Opened(tmp_path / "journal") as opened:
        assert payloads(opened.journal.reader("all", start=None, wants=everything)) == [b"kept" * 1000, b"more" * 1000]
        assert opened.sample("openfuse_journal_corrupt_records_total") == 0


def test_a_write_of_more_parts_than_the_system_takes_at_once(tmp_path: Path) -> None:
    files, parts = OsFiles(), [b"%d," % number for number in range(5000)]
    handle = files.create(tmp_path / "parts")
    files.write(handle, parts)
    files.close(handle)
    assert (tmp_path / "parts").read_bytes() == b"".join(parts)


def test_a_full_device_is_an_error() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    files = OsFiles()
    handle = files.append_to(full)
    with pytest.raises(OSError, match="No space left"):
        files.write(handle, [b"x", b"y"])
    files.close(handle)


async def test_without_fsync_everything_else_is_the_same(tmp_path: Path) -> None:
    with Opened(tmp_path, fsync=False, segment_size=300) as opened:
        opened.journal.reader("all", start=None, wants=everything)
        for number in range(5):
            await opened.journal.append(origin(), bytes([number]) * 200, None)
        assert opened.sample("openfuse_journal_fsync_seconds_count") == 0
    assert (tmp_path / segment_name(0)).exists()
    with Opened(tmp_path, fsync=False) as opened:
        assert len(payloads(opened.journal.reader("all", start=None, wants=everything))) == 5


async def test_what_it_measures(tmp_path: Path) -> None:
    with Opened(tmp_path) as opened:
        reader = opened.journal.reader("all", start=None, wants=everything)
        for _ in range(3):
            await opened.journal.append(origin(), bytes(100), None)
        opened.journal.tidy()
        end = opened.journal.end
        assert opened.sample("openfuse_journal_bytes") == end
        assert opened.sample("openfuse_journal_records_total") == 3
        assert opened.sample("openfuse_journal_appended_bytes_total") == end
        assert opened.sample("openfuse_journal_fsync_seconds_count") == 3
        assert opened.sample("openfuse_journal_cursor_lag_bytes", pipeline="all") == end
        reader.commit(end)
        opened.journal.tidy()
        assert opened.sample("openfuse_journal_cursor_lag_bytes", pipeline="all") == 0

"""A log that cannot be written ends nothing: the process goes on, with the work and with the lines that can be written later."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openfuse_collector.telemetry.logs import LossyStream

PROGRAM = """
import logging, sys
from openfuse_collector.telemetry.logs import configure_logs
log = configure_logs("info", sys.argv[1])
for number in range(1000):
    log.warning("a line", number=number)
    logging.getLogger("aiohttp").warning("a line of a library")
try:
    raise KeyError("missing")
except KeyError:
    log.error("a traceback", exc_info=True)
print("done")
"""


def full_disk() -> int:
    if not Path("/dev/full").exists():
        pytest.skip("NO /dev/full: a Linux device")
    return os.open("/dev/full", os.O_WRONLY)


def no_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("encoding", ["console", "json"])
@pytest.mark.parametrize("target", [full_disk, no_reader])
def test_a_process_that_cannot_log_goes_on(target: Callable[[], int], encoding: str) -> None:
    stderr = target()
    try:
        command = [sys.executable, "-c", PROGRAM, encoding]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True, check=False)
    finally:
        os.close(stderr)
    assert done.stdout == "done\n"


class Sometimes(io.StringIO):
    """Full for a while."""

    full = False

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_lines_come_again_once_there_is_room() -> None:
    stream = Sometimes()
    lossy = LossyStream(stream)
    lossy.write("before\n")
    stream.full = True
    assert lossy.write("lost\n") == len("lost\n")
    stream.full = False
    lossy.write("after\n")
    lossy.flush()
    assert stream.getvalue() == "before\nafter\n"
    stream.close()
    lossy.write("closed\n")
    lossy.flush()

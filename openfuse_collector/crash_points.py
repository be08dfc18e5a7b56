"""Places where the process can be made to die at once, as by kill -9 or a power cut: how tests prove that nothing is lost there.

`OPENFUSE_CRASH_AT=POINT` kills the process the first time it passes that point, `OPENFUSE_CRASH_AT=POINT:3` the third time. Without the
variable a point is an empty function, passed a few times per batch.
"""

from __future__ import annotations

import os
import signal
from itertools import product
from threading import Lock

from openfuse_collector.errors import CollectorError

VARIABLE = "OPENFUSE_CRASH_AT"

_DISK = ("create", "write", "sync", "sync_directory", "truncate", "rename", "remove")
_GREPTIMEDB = ("insert", "delete", "mark", "unmark", "epoch")
POINTS = (
    *(f"journal.{step}.{side}" for step, side in product(_DISK, ("before", "after"))),
    "journal.write.torn",
    "journal.cursor.before",
    "journal.cursor.after",
    "pipeline.read",
    "exporter.export.before",
    "exporter.export.after",
    "sqlite.write.before",
    "sqlite.commit.before",
    "sqlite.commit.after",
    "dead_letters.write.before",
    "dead_letters.write.after",
    "dead_letters.copied.before",
    "dead_letters.replay.before",
    "dead_letters.remove.before",
    "dead_letters.remove.after",
    "journal.give_up.before",
    "journal.give_up.after",
    *(f"greptimedb.{step}.{side}" for step, side in product(_GREPTIMEDB, ("before", "after"))),
)
"""Every point there is. `torn` writes half of the bytes first; `cursor` is the move in memory, the file is written by the steps
above. `mark` and `unmark` are writes of what is still to be gone over (`settle`), `epoch` is what a command tells collectors."""


def _chosen(text: str) -> tuple[str, int]:
    name, _, times = text.partition(":")
    return name, int(times) if times.isdigit() else 1


_name, _left = _chosen(os.environ.get(VARIABLE, ""))
_lock = Lock()


def check() -> None:
    """Raises CollectorError when the variable names a point that does not exist: the test would prove nothing."""
    if _name and _name not in POINTS:
        raise CollectorError(f"{VARIABLE}: there is no crash point {_name!r}; there are {', '.join(POINTS)}")


def due(name: str) -> bool:
    """Whether the process is to die here and now. Counts the passage."""
    global _left
    if name != _name:
        return False
    with _lock:
        _left -= 1
        return _left == 0


def die() -> None:
    """No handler, no flush, no finally."""
    os.kill(os.getpid(), signal.SIGKILL)


def crash_point(name: str) -> None:
    """Die here when this point was chosen."""
    if _name and due(name):
        die()


def on_disk() -> bool:
    """Whether a step of the journal's files was chosen."""
    return _name.startswith("journal.")

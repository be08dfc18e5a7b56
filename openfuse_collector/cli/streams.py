"""Standard streams that were closed when the process was started (`openfuse-collector run 2>&-`)."""

from __future__ import annotations

import os
import sys


def open_standard_streams() -> None:
    """Open /dev/null in place of each that is closed, before anything else gets its descriptor.

    A socket or a file of the journal would, and libuv, on which the event loop runs, ends the process when it closes one of those three.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: that of the stream
            setattr(sys, name, open(nowhere, mode, closefd=False))  # noqa: SIM115  (for as long as the process lives)

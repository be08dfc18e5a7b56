"""Threads that do something now and then beside the pipelines, until they are told to stop."""

from __future__ import annotations

from threading import Event, Thread


def end(stop: Event, *threads: Thread, patience: float = 1.0) -> None:
    """Tell threads to stop and wait for those that run, each `patience` seconds: a call under way may end with the process.

    Idempotent, and safe for threads that were never started.
    """
    stop.set()
    for thread in threads:
        if thread.is_alive():
            thread.join(patience)

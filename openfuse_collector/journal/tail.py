"""The end of the log as readers wait for it."""

from __future__ import annotations

from threading import Condition


class Tail:
    """Offset behind the last record that may be read. Thread-safe."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.closed = False
        self._changed = Condition()

    def advance(self, end: int) -> None:
        """Records up to `end` are durable and cached: wake the readers."""
        with self._changed:
            self.end = end
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def wait_beyond(self, offset: int, timeout: float) -> bool:
        """Block until there is something at `offset`, at most `timeout` seconds; False when there is not."""
        if self.end > offset:
            return True
        if timeout <= 0 or self.closed:
            return False
        with self._changed:
            self._changed.wait_for(lambda: self.end > offset or self.closed, timeout)
            return self.end > offset

    def pause(self, timeout: float) -> None:
        """Wait `timeout` seconds, less when the journal closes."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed, max(timeout, 0))

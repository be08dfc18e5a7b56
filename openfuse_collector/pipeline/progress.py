"""The low-water mark of a pipeline: how far everything before an offset is finished, whatever order batches finish in."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition

from openfuse_collector.signals import Delivery


class Progress:
    """Hands out a delivery per batch and moves the cursor to the end of the oldest unbroken run of finished ones. Thread-safe."""

    def __init__(self, commit: Callable[[int], None]) -> None:
        self._commit = commit
        self._changed = Condition()
        self._unfinished: dict[int, bool] = {}  # end offset -> finished, in the order the batches were read

    def begin(self, end: int, finished: Callable[[], None] = lambda: None) -> Delivery:
        """A new batch that ends at `end`, behind all earlier ones; `finished` is called when it is dealt with."""
        with self._changed:
            self._unfinished[end] = False

        def on_done() -> None:
            finished()
            self._finish(end)

        return Delivery(on_done)

    def _finish(self, end: int) -> None:
        with self._changed:
            self._unfinished[end] = True
            low_water = None
            for oldest in list(self._unfinished):
                if not self._unfinished[oldest]:
                    break
                low_water = oldest
                del self._unfinished[oldest]
            if low_water is not None:
                self._commit(low_water)
            self._changed.notify_all()

    @property
    def idle(self) -> bool:
        """True when every batch handed out is finished."""
        return not self._unfinished

    def wait_idle(self, timeout: float) -> bool:
        """Block until everything is finished or `timeout` seconds passed; tells which."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._unfinished, timeout)

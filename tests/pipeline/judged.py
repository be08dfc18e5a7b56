"""A destination that takes or fails with a batch as a test has it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from openfuse_collector.errors import SuspectError
from openfuse_collector.signals import Batch

WAIT = 60.0


class Destination:
    """Fails with a batch for which `judge` gives a reason; takes it otherwise."""

    def __init__(self, judge: Callable[[list[str]], Exception | None]) -> None:
        self.judge = judge
        self.taken: list[str] = []
        self.ends: list[int | None] = []
        self.calls: list[list[str]] = []
        self.called = threading.Condition()

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...

    def cursor(self, pipeline: str) -> int | None:
        return None

    def export(self, some: Batch) -> None:
        names = [one.entity.id for request in some.items for one in request.data]
        error = self.judge(names)
        with self.called:
            self.calls.append(names)
            if error is None:
                self.taken += names
                self.ends.append(some.end)
            self.called.notify_all()
        if error is not None:
            raise error

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.called:
            assert self.called.wait_for(condition, WAIT), self.calls[-5:]


def fails_with(*poison: str) -> Callable[[list[str]], Exception | None]:
    return lambda names: SuspectError("internal error", kind="server") if set(poison) & set(names) else None

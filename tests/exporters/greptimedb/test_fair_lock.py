"""The lock goes to whoever has waited longest, and on to the next one when somebody gives up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import pytest

from openfuse_collector.exporters.greptimedb import fair_lock
from openfuse_collector.exporters.greptimedb.fair_lock import FairLock
from tests.collector_process import wait_until


def test_whoever_waits_gets_it_in_turn_and_before_the_one_who_had_it() -> None:
    lock, order = FairLock(), list[int]()

    def enter(number: int) -> None:
        with lock:
            order.append(number)

    with ThreadPoolExecutor(5) as pool:
        with lock:
            for number in range(5):
                pool.submit(enter, number)
                wait_until(lambda number=number: lock.waiting == number + 1, lambda: "nobody waits", 60)  # type: ignore[misc]
            assert order == []
        enter(5)
    assert order == [0, 1, 2, 3, 4, 5]
    assert not lock.locked()


def test_one_at_a_time_has_it() -> None:
    lock, inside = FairLock(), Lock()

    def enter(_: int) -> None:
        for _ in range(300):
            with lock:
                assert inside.acquire(blocking=False)
                inside.release()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(4)))
    assert not lock.locked()


@pytest.mark.parametrize("handed_over", [False, True])
def test_it_goes_on_to_the_next_when_waiting_is_interrupted(monkeypatch: pytest.MonkeyPatch, handed_over: bool) -> None:
    """A signal comes before the lock is handed over, or just after."""
    lock = FairLock()

    class Interrupted:
        """The turn of one who does not wait for it to the end."""

        def __init__(self) -> None:
            self._taken = False

        def acquire(self) -> None:
            if self._taken:
                if handed_over:
                    lock.__exit__()
                raise KeyboardInterrupt
            self._taken = True

        def release(self) -> None:
            pass

    lock.__enter__()
    monkeypatch.setattr(fair_lock, "Lock", Interrupted)
    with pytest.raises(KeyboardInterrupt), lock:
        pass
    monkeypatch.undo()
    if not handed_over:
        assert lock.locked()
        lock.__exit__()
    assert not lock.locked()
    assert lock.waiting == 0
    with lock:
        assert lock.locked()

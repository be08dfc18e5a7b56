"""The cursor never passes anything unfinished, whatever order batches finish in."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.pipeline.progress import Progress
from openfuse_collector.signals import Delivery


@given(st.permutations(range(6)))
def test_cursor_is_the_low_water_mark(order: list[int]) -> None:
    commits: list[int] = []
    progress = Progress(commits.append)
    deliveries = [progress.begin(end) for end in range(10, 70, 10)]
    finished: set[int] = set()
    for index in order:
        deliveries[index].done()
        finished.add(index)
        unbroken = next((i for i in range(6) if i not in finished), 6)
        assert (commits[-1] if commits else 0) == unbroken * 10
    assert commits == sorted(commits)
    assert progress.idle


def test_fork_waits_for_every_branch() -> None:
    done: list[str] = []
    delivery = Delivery(lambda: done.append("done"))
    delivery.fork(3)
    delivery.done()
    delivery.done()
    assert not done
    delivery.done()
    assert done == ["done"]


def test_fork_to_nobody_finishes() -> None:
    done: list[str] = []
    Delivery(lambda: done.append("done")).fork(0)
    assert done == ["done"]


def test_wait_idle_wakes_up() -> None:
    progress = Progress(lambda end: None)
    delivery = progress.begin(1)
    assert not progress.wait_idle(0.01)
    thread = threading.Thread(target=delivery.done)
    thread.start()
    assert progress.wait_idle(10)
    thread.join()

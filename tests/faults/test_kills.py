"""SIGKILL and SIGTERM at random moments under load, and a second collector on the same journal."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

import pytest

from tests.collector_process import CollectorProcess, wait_until
from tests.faults.fault_kit import PATIENCE, Client, Request, Rows, check, wait_stored

Start = Callable[..., CollectorProcess]
CLIENTS = 3


@contextmanager
def load(collector: CollectorProcess, requests: list[Request]) -> Iterator[list[Client]]:
    """Several clients send everything between them, each request until it is acknowledged; waits for them at the end."""
    todo: SimpleQueue[Request] = SimpleQueue()
    for request in requests:
        todo.put(request)
    clients = [Client(collector) for _ in range(CLIENTS)]

    def run(client: Client) -> None:
        while True:
            try:
                client.send([todo.get_nowait()])
            except Empty:
                return
            client.resend()

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    yield clients
    for thread in threads:
        thread.join(PATIENCE)


def acknowledged(clients: list[Client]) -> int:
    return sum(len(client.acknowledged) for client in clients)


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.long)])
def test_kills_at_random(kills: int, start_collector: Start, requests: list[Request], clean: Rows) -> None:
    collector, rng = start_collector(), random.Random(kills)
    marks = sorted(rng.sample(range(1, len(requests) - 5), kills))
    with load(collector, requests) as clients:
        for mark in marks:
            wait_until(lambda mark=mark: acknowledged(clients) >= mark, lambda: collector.log[-4000:], PATIENCE)  # type: ignore[misc]
            collector.kill()
            collector.start()
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)


def test_a_stop_under_load(start_collector: Start, requests: list[Request], clean: Rows) -> None:
    collector = start_collector()
    with load(collector, requests) as clients:
        wait_until(lambda: acknowledged(clients) >= 10, lambda: collector.log[-4000:], PATIENCE)
        assert collector.stop() == 0
        collector.start()
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)


def test_a_second_collector_on_the_same_journal_is_refused(start_collector: Start) -> None:
    first = start_collector("first")
    with pytest.raises(AssertionError, match=r"exit code 1(.|\n)*is in use by"):
        start_collector("second", sets={"service.journal.directory": str(first.journal)})
    assert first.running


def test_a_second_signal_does_not_wait(start_collector: Start, requests: list[Request], clean: Rows) -> None:
    """Whoever asks twice gets out at once, and the journal still has everything."""
    collector = start_collector()
    client = Client(collector)
    client.send(requests)
    subprocess.run(["kill", "-TERM", str(collector.pid)], check=True)
    subprocess.run(["kill", "-TERM", str(collector.pid)], check=False)
    wait_until(lambda: not collector.running, lambda: collector.log[-4000:], PATIENCE)
    collector.start()
    wait_stored(collector, requests)
    assert collector.stop() == 0
    check(collector, clean)

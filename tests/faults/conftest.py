"""Fixtures of the fault tests: the work, and what a collector makes of it that nothing happens to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collector_process import CollectorProcess, start_collector
from tests.faults.fault_kit import TALLY, Client, Request, Rows, Tally, rows, wait_stored, work

__all__ = ["start_collector"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder carry the marker."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(autouse=True)
def tally(record_property: Callable[[str, object], None]) -> Iterator[Tally]:
    """What the test does is counted, and becomes properties in the JUnit report."""
    TALLY.clear()
    yield TALLY
    for name, value in TALLY.items():
        record_property(name, value)


@pytest.fixture(scope="session")
def requests() -> list[Request]:
    """The same numbered requests for every test."""
    return work()


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory, requests: list[Request]) -> Rows:
    """The rows of a collector that got every request once and in order."""
    collector = CollectorProcess(tmp_path_factory.mktemp("clean")).start()
    client = Client(collector)
    client.send(requests)
    assert not client.unanswered
    wait_stored(collector, requests)
    assert collector.stop() == 0
    return rows(collector)

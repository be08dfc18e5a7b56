"""One line of a kind per interval, whoever writes it, and none forgotten in the count."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import structlog
from structlog.testing import capture_logs

from openfuse_collector.telemetry.limited import MOST_KINDS, Limited, Seldom


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_line_of_a_kind_per_interval_with_the_number_left_out() -> None:
    clock = Clock()
    with capture_logs() as logs:
        limited = Limited(structlog.get_logger(), every=60, clock=clock)
        written = []
        for second in range(0, 150, 10):
            clock.now = float(second)
            written.append(limited.warning("away", "export failed", attempt=second))
        assert [second * 10 for second, passed in enumerate(written) if passed] == [0, 60, 120]
    assert [(line["attempt"], line.get("not_logged")) for line in logs] == [(0, None), (60, 5), (120, 5)]


def test_kinds_do_not_hide_each_other() -> None:
    with capture_logs() as logs:
        limited = Limited(structlog.get_logger(), clock=Clock())
        for _ in range(3):
            limited.warning(("greptimedb", "busy"), "export failed")
            limited.error(("greptimedb", "credentials"), "export failed")
    assert [line["log_level"] for line in logs] == ["warning", "error"]


def test_every_happening_of_several_threads_is_counted() -> None:
    clock = Clock()
    seldom = Seldom(60, clock)
    with ThreadPoolExecutor(4) as pool:
        passed = [found for found in pool.map(lambda _: seldom.due("flood"), range(400)) if found is not None]
    clock.now = 60.0
    assert passed == [0]
    assert seldom.due("flood") == 399


def test_memory_is_bounded_and_the_latest_kinds_are_kept() -> None:
    seldom = Seldom(60, Clock())
    for kind in range(3 * MOST_KINDS):
        assert seldom.due(kind) == 0
        assert seldom.due(0) is None
    assert seldom.due(2 * MOST_KINDS - 1) == 0

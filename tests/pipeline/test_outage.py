"""One line a minute and kind of trouble, one when it is over, and no lines from a destination that fails now and then."""

from __future__ import annotations

from threading import Event

import structlog
from structlog.testing import capture_logs

from openfuse_collector.errors import PartialError, RetryableError
from openfuse_collector.pipeline.outage import Outage
from openfuse_collector.signals import Batch, Delivery
from openfuse_collector.testing.machine import Surroundings
from tests.builders import batch, event, item


def test_an_outage_is_told_once_a_minute_and_when_it_is_over() -> None:
    now = [0.0]
    with capture_logs() as logs:
        outage = Outage(structlog.get_logger(), clock=lambda: now[0])
        for second in range(0, 125, 5):
            now[0] = float(second)
            outage.failed(RetryableError("no answer", kind="unreachable"), 5.0)
        now[0] = 130.0
        outage.succeeded()
        outage.succeeded()
    assert [(line["event"], line["attempts"]) for line in logs] == [
        ("export failed, will retry", 1),
        ("export failed, will retry", 13),
        ("export failed, will retry", 25),
        ("exporting works again", 25),
    ]
    assert [line["failing_for"] for line in logs[:-1]] == [0.0, 60.0, 120.0]
    assert logs[1]["not_logged"] == 11
    assert logs[-1]["failed_for"] == 130.0


def test_another_kind_of_trouble_is_told_at_once() -> None:
    with capture_logs() as logs:
        outage = Outage(structlog.get_logger(), clock=lambda: 0.0)
        for kind in ("unreachable", "credentials", "unreachable", "credentials"):
            outage.failed(RetryableError(f"{kind}!", kind=kind), 1.0)
    assert [line["error"] for line in logs] == ["unreachable!", "credentials!"]


def test_every_second_attempt_failing_is_one_line_a_minute_too() -> None:
    with capture_logs() as logs:
        outage = Outage(structlog.get_logger(), clock=lambda: 0.0)
        for _ in range(100):
            outage.failed(RetryableError("busy"), 1.0)
            outage.succeeded()
    assert [line["event"] for line in logs] == ["export failed, will retry", "exporting works again"]


def test_a_destination_that_takes_part_of_a_batch_is_no_longer_away() -> None:
    answers = [RetryableError("no answer"), PartialError(1, "one is too long"), RetryableError("no answer"), None]

    class Destination:
        def export(self, batch: Batch) -> None:
            answer = answers.pop(0)
            if answer is not None:
                raise answer

    surroundings = Surroundings()
    with capture_logs() as logs, surroundings.worker(Destination(), 60.0) as worker:  # type: ignore[arg-type]
        for name in ("a", "b"):
            finished = Event()
            worker.consume(batch(item([event(name)]), delivery=Delivery(finished.set)))
            assert finished.wait(60)
    surroundings.close()
    assert [line["attempts"] for line in logs if line["event"] == "exporting works again"] == [1]
    assert logs[1]["event"] == "exporting works again"

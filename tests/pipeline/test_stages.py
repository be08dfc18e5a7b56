"""A stage that fails on one request passes all the others on."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest
import structlog

from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.pipeline.retry import Stopped
from openfuse_collector.pipeline.stages import FanOut, Step, Steps
from openfuse_collector.signals import Batch, Delivery, Signal
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import batch, event, item, kept_letters


class Collect:
    """The end of a pipeline."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def consume(self, batch: Batch) -> None:
        self.batches.append(batch)
        batch.delivery.done()


def step(run, tmp_path: Path) -> Step:  # type: ignore[no-untyped-def]
    log = structlog.get_logger()
    return Step("rename", run, DeadLetters(tmp_path, threading.Event(), Metrics(), log), log)


def names(collected: Collect) -> list[str]:
    return [one.entity.id for some in collected.batches for request in some.items for one in request.data]


def test_a_failing_request_leaves_alone(tmp_path: Path) -> None:
    def run(some: Batch) -> Batch:
        if any(one.entity.id == "bad" for request in some.items for one in request.data):
            raise KeyError("bad")
        return some

    done: list[str] = []
    end = Collect()
    some = batch(
        item([event("a")], 1),
        item([event("bad")], 2),
        item([event("b")], 3),
        delivery=Delivery(lambda: done.append("done")),
    )
    Steps([step(run, tmp_path)], end).consume(some)
    assert names(end) == ["a", "b"]
    assert done == ["done"]
    assert [letter.reason for letter in kept_letters(tmp_path)] == ["KeyError: 'bad'"]


@pytest.mark.parametrize("order", [("bad", "a", "b"), ("a", "bad", "b"), ("a", "b", "bad")], ids="-".join)
def test_what_a_connector_makes_beside_a_failing_request_is_of_its_own_signal(
    order: tuple[str, ...], tmp_path: Path
) -> None:
    """Of events it can be told which of them a store cannot take; of anything else the whole request is at fault."""

    def convert(some: Batch) -> Batch:
        if any(request.data == "bad" for request in some.items):
            raise MemoryError
        made = [msgspec.structs.replace(request, data=[event(request.data)]) for request in some.items]
        return msgspec.structs.replace(some, items=made, signal=Signal.EVENTS)

    end = Collect()
    requests = [item(name, signal=Signal.TRACES) for name in order]
    given = DeadLetters(tmp_path, threading.Event(), Metrics(), structlog.get_logger())
    made = Step("genai", convert, given, structlog.get_logger())(batch(*requests, signal=Signal.TRACES))
    end.consume(made)
    assert (names(end), made.signal) == (["a", "b"], Signal.EVENTS)


def test_what_is_filtered_out_is_finished(tmp_path: Path) -> None:
    done: list[str] = []
    end = Collect()
    drop = step(lambda some: msgspec.structs.replace(some, items=[]), tmp_path)
    Steps([drop], end).consume(batch(item([event("a")]), delivery=Delivery(lambda: done.append("done"))))
    assert end.batches == []
    assert done == ["done"]


def test_fan_out_finishes_when_all_have(tmp_path: Path) -> None:
    done: list[str] = []
    ends = [Collect(), Collect()]
    FanOut(ends).consume(batch(item([event("a")]), delivery=Delivery(lambda: done.append("done"))))
    assert [names(end) for end in ends] == [["a"], ["a"]]
    assert done == ["done"]


def test_going_down_is_not_a_fault_of_the_data(tmp_path: Path) -> None:
    def run(some: Batch) -> Batch:
        raise Stopped

    with pytest.raises(Stopped):
        step(run, tmp_path)(batch(item([event("a")])))
    assert list(tmp_path.iterdir()) == []

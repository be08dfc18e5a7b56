"""The contract of processors and connectors: every item goes on, none is written to, the delivery stays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from openfuse_collector.component import Component, Connector, Processor, Settings
from openfuse_collector.dead_letters.letter import payload_of
from openfuse_collector.pipeline.stages import Step, Steps
from openfuse_collector.signals import Batch, Signal
from openfuse_collector.testing.answers import Answers, RandomExporter
from openfuse_collector.testing.loop import PATIENCE, ComponentLoop
from openfuse_collector.testing.machine import Surroundings, delivered
from openfuse_collector.testing.outcome import NUMBERS, assert_outcome, batches, nothing

Run = Callable[[Batch], Batch]
T = TypeVar("T", bound=Component)


def check_processor(
    make: Callable[[Settings], Processor],
    *,
    signal: Signal,
    filtered: Callable[[int], bool] = nothing,
    seed: int = 0,
    count: int = NUMBERS,
    patience: float = PATIENCE,
) -> None:
    """A processor in a pipeline whose destination answers at random. `filtered` tells which numbers it means to remove.

    Every other item must reach the destination or the dead letters, and what the processor is given must stay as it is. Raises
    AssertionError.
    """
    step = _WatchedStep(signal, signal)
    _check(make, step, lambda made: made.process, filtered, seed, count, patience)


def check_connector(
    make: Callable[[Settings], Connector],
    *,
    signal: Signal,
    emits: Signal = Signal.EVENTS,
    filtered: Callable[[int], bool] = nothing,
    seed: int = 0,
    count: int = NUMBERS,
    patience: float = PATIENCE,
) -> None:
    """As for a processor; what comes out must be a batch of the signal `emits`."""
    step = _WatchedStep(signal, emits)
    _check(make, step, lambda made: made.convert, filtered, seed, count, patience)


class _WatchedStep:
    """`process` or `convert`, looked at before and after each call."""

    def __init__(self, signal: Signal, emits: Signal) -> None:
        self.signal = signal
        self.wrong: list[str] = []
        self._emits = emits
        self._under_way = False
        self.run: Run = lambda batch: batch

    def doing(self) -> str:
        """For messages about a batch that does not come to its end."""
        if self._under_way:
            return "process or convert has not returned"
        return "it came out of process or convert, and nobody called delivery.done()"

    def __call__(self, batch: Batch) -> Batch:
        before = [payload_of(item.data) for item in batch.items]
        self._under_way = True
        try:
            after = self.run(batch)
        finally:
            self._under_way = False
        if [payload_of(item.data) for item in batch.items] != before:
            self.wrong.append("it wrote to an item it was given; others read the same one")
        if after.delivery is not batch.delivery:
            self.wrong.append("the batch that came out has another delivery")
        if after.signal is not self._emits:
            self.wrong.append(f"a batch of {after.signal} came out, {self._emits} was announced")
        return after


def _check(
    make: Callable[[Settings], T],
    step: _WatchedStep,
    method: Callable[[T], Run],
    filtered: Callable[[int], bool],
    seed: int,
    count: int,
    patience: float,
) -> None:
    answers = Answers(seed)
    with closing(Surroundings()) as around, ComponentLoop(patience) as loop:
        made = loop.make(lambda: make(around.settings()))
        step.run = method(made)
        with loop.living(made), around.worker(RandomExporter(answers), patience) as worker:
            first = Steps([Step("contract", step, around.letters, around.log)], worker)
            with delivered(first, batches(step.signal, count, seed), patience, step.doing) as wait:
                try:
                    wait()
                except AssertionError as error:  # a wrong delivery is never finished: say so rather than that
                    raise AssertionError(step.wrong[0] if step.wrong else str(error)) from None
            assert not step.wrong, step.wrong[0]
        assert_outcome(around, answers, count, answers.accepted, filtered)

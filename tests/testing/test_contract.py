"""The checks of exporters, processors and connectors: sound components pass, and each broken promise is found and named."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import msgspec
import pytest

from openfuse_collector.component import Processor as AnyProcessor
from openfuse_collector.component import Settings
from openfuse_collector.errors import PartialError, PermanentError, RetryableError
from openfuse_collector.signals import Batch, Delivery, Signal
from openfuse_collector.testing import (
    Answer,
    Answers,
    RandomExporter,
    check_connector,
    check_exporter,
    check_processor,
    numbered,
)
from openfuse_collector.testing.loop import PATIENCE


class Processor:
    """A processor made of one function, which is a connector as well."""

    def __init__(self, process: Callable[[Batch], Batch]) -> None:
        self.process = self.convert = process

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...


def with_items(batch: Batch, keep: Callable[[int], bool]) -> Batch:
    """The batch with the events whose number passes."""
    items = [
        msgspec.structs.replace(item, data=[one for one in item.data if keep(int(one.entity.id, 16))])
        for item in batch.items
    ]
    return msgspec.structs.replace(batch, items=items)


# sound ones


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.LOGS, Signal.EVENTS])
def test_the_worker_in_front_of_any_exporter(signal: Signal, seed: int) -> None:
    answers = Answers(seed)
    check_exporter(lambda settings: RandomExporter(answers), answers.accepted.elements, answers, signal=signal)
    assert set(answers.said) == set(Answer), "partial success was among the answers"


def test_processors_that_keep_the_contract() -> None:
    check_processor(lambda settings: Processor(lambda batch: batch), signal=Signal.EVENTS)
    only_even = Processor(lambda batch: with_items(batch, lambda number: number % 2 == 0))
    check_processor(lambda settings: only_even, signal=Signal.EVENTS, filtered=lambda number: number % 2 == 1)


class OneByOne(RandomExporter):
    """Its destination takes one event a call; what that refuses, the exporter sets aside itself."""

    def __init__(self, settings: Settings, answers: Answers) -> None:
        super().__init__(answers)
        self.settings = settings
        self.dealt_with: set[int] = set()

    def export(self, batch: Batch) -> None:
        for item in batch.items:
            for event in item.data:
                number = int(event.entity.id, 16)
                if number in self.dealt_with:
                    continue
                answer = self.answers.judge([number])
                if answer is Answer.RETRYABLE:
                    raise RetryableError("later")
                if answer is Answer.PERMANENT:
                    one = msgspec.structs.replace(item, data=[event])
                    self.settings.dead_letters.add(one, batch.pipeline, "contract", "poison", batch.signal)
                self.dealt_with.add(number)


def test_an_exporter_may_divide_and_set_aside_by_itself() -> None:
    answers = Answers(seed=7, partial_share=0)
    check_exporter(lambda settings: OneByOne(settings, answers), answers.accepted.elements, answers)


class Started(RandomExporter):
    """Has what it needs from `start` to `shutdown` only."""

    up = False

    async def start(self) -> None:
        self.up = True

    async def shutdown(self) -> None:
        self.up = False

    def export(self, batch: Batch) -> None:
        assert self.up
        super().export(batch)


def test_an_exporter_is_started_and_stopped() -> None:
    answers, made = Answers(seed=8), []

    def make(settings: Settings) -> Started:
        made.append(Started(answers))
        return made[-1]

    check_exporter(make, answers.accepted.elements, answers)
    assert [exporter.up for exporter in made] == [False]


# broken processors


def writes(batch: Batch) -> Batch:
    for item in batch.items:
        for one in item.data:
            one.body["name"] = "redacted"
    return batch


def finishes(batch: Batch) -> Batch:
    batch.delivery.done()
    return batch


def buggy(batch: Batch) -> Batch:
    if any(number % 97 == 0 for number in numbered.numbers_of(batch)):
        raise KeyError("97")
    return batch


BROKEN_STEPS: dict[str, tuple[Callable[[Batch], Batch], str]] = {
    "loses an item": (lambda batch: with_items(batch, lambda number: number != 77), "^neither delivered.*: 77$"),
    "delivers twice": (
        lambda batch: msgspec.structs.replace(batch, items=[*batch.items, *batch.items]),
        "^delivered more than once: 1, ",
    ),
    "writes to its input": (writes, "^it wrote to an item it was given"),
    "takes the delivery away": (
        lambda batch: msgspec.structs.replace(batch, delivery=Delivery(batch.delivery.done)),
        "^the batch that came out has another delivery",
    ),
    "drops the delivery": (
        lambda batch: msgspec.structs.replace(batch, delivery=Delivery()),
        "^the batch that came out has another delivery",
    ),
    "calls the batch finished": (finishes, r"^delivery.done\(\) was called 2 times"),
    "changes the signal": (lambda batch: msgspec.structs.replace(batch, signal=Signal.METRICS), "^a batch of metrics"),
    "has a bug": (buggy, r"^set aside although the destination would have taken it: \d"),
}
HANGS = 1.0
"""Seconds of patience for those that never come to an end."""


@pytest.mark.parametrize("check", [check_processor, check_connector])
@pytest.mark.parametrize("name", BROKEN_STEPS)
def test_a_broken_step_is_found(name: str, check: Callable[..., None]) -> None:
    process, complaint = BROKEN_STEPS[name]
    patience = HANGS if name == "drops the delivery" else PATIENCE
    with pytest.raises(AssertionError, match=complaint):
        check(lambda settings: Processor(process), signal=Signal.EVENTS, patience=patience)


def test_a_step_that_hangs_is_found() -> None:
    end = threading.Event()

    def hangs(batch: Batch) -> Batch:
        end.wait()
        return batch

    def make(settings: Settings) -> AnyProcessor:
        return Processor(hangs)

    with pytest.raises(AssertionError, match=r"^a batch was not finished .*: process or convert has not returned"):
        check_processor(make, signal=Signal.EVENTS, patience=HANGS)
    end.set()


# broken exporters


class Careless(RandomExporter):
    """Exporters that get one part of the contract wrong."""

    def __init__(self, answers: Answers, react: Callable[[Answer, Sequence[int]], None]) -> None:
        super().__init__(answers)
        self.react = react

    def export(self, batch: Batch) -> None:
        numbers = numbered.numbers_of(batch)
        self.react(self.answers.judge(numbers), numbers)


def swallows(answer: Answer, numbers: Sequence[int]) -> None:
    if answer is Answer.RETRYABLE:
        raise RetryableError("later")


def loses_what_may_come_later(answer: Answer, numbers: Sequence[int]) -> None:
    if answer in (Answer.PERMANENT, Answer.PARTIAL):
        raise PermanentError("poison") if answer is Answer.PERMANENT else PartialError(1, "some are poison")


def gives_up(answer: Answer, numbers: Sequence[int]) -> None:
    if answer is Answer.PARTIAL:
        raise PartialError(1, "some are poison")
    if answer is not Answer.SUCCESS:
        raise PermanentError("anything is permanent")


def divides_what_was_taken(answer: Answer, numbers: Sequence[int]) -> None:
    """Forgets that a partial success must not be repeated."""
    if answer is Answer.RETRYABLE:
        raise RetryableError("later")
    if answer is not Answer.SUCCESS:
        raise PermanentError("poison")


def repeats_what_is_refused(answer: Answer, numbers: Sequence[int]) -> None:
    """Like a bug: three times, then the machine gives up."""
    if answer is Answer.RETRYABLE:
        raise RetryableError("later")
    if answer is not Answer.SUCCESS:
        raise ConnectionError(answer)


class LosesAnItem(RandomExporter):
    """Never tells its destination of number 77."""

    def export(self, batch: Batch) -> None:
        super().export(with_items(batch, lambda number: number != 77))


class AcknowledgesFirst(RandomExporter):
    """Keeps what it is given until the next call or the end; its destination gets everything in time."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(answers)
        self.waiting: Batch | None = None

    def export(self, batch: Batch) -> None:
        self.flush()
        self.waiting = batch

    async def shutdown(self) -> None:
        self.flush()

    def flush(self) -> None:
        if self.waiting is not None:
            super().export(self.waiting)
        self.waiting = None


class WritesLater(RandomExporter):
    """Its destination has an item when it is written, which is when the next one comes, or at the end."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(answers)
        self.buffer: list[int] = []
        self.written: list[int] = []

    def export(self, batch: Batch) -> None:
        numbers = numbered.numbers_of(batch)
        super().export(batch)
        self.written += self.buffer
        self.buffer = numbers

    async def shutdown(self) -> None:
        self.written += self.buffer


def test_an_exporter_that_writes_later_is_found() -> None:
    answers = Answers(seed=5, partial_share=0)
    exporter = WritesLater(answers)
    with pytest.raises(AssertionError, match=r"^export returned although the destination does not have \d.* yet$"):
        check_exporter(lambda settings: exporter, lambda: exporter.written, answers)


class RefusesByItself(RandomExporter):
    def export(self, batch: Batch) -> None:
        raise PartialError(1, "without asking")


class Writes(RandomExporter):
    def export(self, batch: Batch) -> None:
        super().export(batch)
        writes(batch)


class Finishes(RandomExporter):
    def export(self, batch: Batch) -> None:
        super().export(batch)
        batch.delivery.done()


class Hangs(RandomExporter):
    def __init__(self, answers: Answers) -> None:
        super().__init__(answers)
        self.end = threading.Event()

    def export(self, batch: Batch) -> None:
        self.end.wait()

    async def shutdown(self) -> None:
        self.end.set()


class NeverThere(RandomExporter):
    def export(self, batch: Batch) -> None:
        raise RetryableError("nobody listens")


class HangsOnStop(RandomExporter):
    async def shutdown(self) -> None:
        await asyncio.Event().wait()


BROKEN_EXPORTERS: dict[str, tuple[Callable[[Answers], RandomExporter], str]] = {
    "loses an item": (LosesAnItem, "^export returned although the destination had neither taken nor refused 77$"),
    "acknowledges first": (
        AcknowledgesFirst,
        r"^export returned although the destination had neither taken nor refused 1, 2",
    ),
    "refuses by itself": (
        RefusesByItself,
        "^export raised PartialError although the destination had neither taken nor refused 1",
    ),
    "swallows errors": (
        lambda answers: Careless(answers, swallows),
        r"^export returned although the destination had neither taken nor refused \d",
    ),
    "swallows what may come later": (
        lambda answers: Careless(answers, loses_what_may_come_later),
        r"^export returned although the destination had neither taken nor refused \d",
    ),
    "gives up": (
        lambda answers: Careless(answers, gives_up),
        r"^set aside although the destination would have taken it: \d",
    ),
    "divides what was taken": (
        lambda answers: Careless(answers, divides_what_was_taken),
        r"^delivered more than once: \d|^refused for good and sent again: \d",
    ),
    "repeats what is refused": (
        lambda answers: Careless(answers, repeats_what_is_refused),
        r"^delivered more than once: \d|^refused for good and sent again: \d",
    ),
    "writes to its input": (Writes, "^it wrote to an item it was given"),
    "calls the batch finished": (Finishes, r"^delivery.done\(\) was called 2 times"),
    "hangs": (Hangs, "^a batch was not finished .*: export has not returned; it was given 1, "),
    "is never there": (NeverThere, "^a batch was not finished .*: export is called again and again"),
    "hangs on stop": (HangsOnStop, "^shutdown did not return within 1 seconds"),
}
"""Broken promise -> exporter, and the sentence about it."""
ENDLESS = {"hangs", "is never there", "hangs on stop"}


@pytest.mark.parametrize("name", BROKEN_EXPORTERS)
def test_a_broken_exporter_is_found(name: str) -> None:
    (make, complaint), answers = BROKEN_EXPORTERS[name], Answers(seed=5)
    patience = HANGS if name in ENDLESS else PATIENCE
    with pytest.raises(AssertionError, match=complaint):
        check_exporter(lambda settings: make(answers), answers.accepted.elements, answers, count=150, patience=patience)


def test_copies_are_allowed_where_a_destination_cannot_tell_them() -> None:
    answers = Answers(seed=6)

    def stored() -> list[int]:
        return [number for number in answers.accepted.elements() for _ in range(2)]

    check_exporter(lambda settings: RandomExporter(answers), stored, answers, exactly_once=False)
    answers = Answers(seed=6)
    with pytest.raises(AssertionError, match=r"^delivered more than once: 1, "):
        check_exporter(lambda settings: RandomExporter(answers), stored, answers)


def test_a_stand_in_that_never_refuses_is_found() -> None:
    answers = Answers(seed=9)
    taken: list[int] = []

    class Lenient(RandomExporter):
        def export(self, batch: Batch) -> None:
            numbers = [number for number in numbered.numbers_of(batch) if not self.answers.is_poison(number)]
            taken.extend(numbers)

    with pytest.raises(AssertionError, match="neither taken nor refused 1"):
        check_exporter(lambda settings: Lenient(answers), lambda: taken, answers)

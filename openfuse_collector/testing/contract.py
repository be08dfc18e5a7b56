"""Checks of the contract between the machine and its components, for every kind; see docs/extending.md.

Each raises AssertionError with a sentence that says which part of the contract does not hold.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import closing
from enum import StrEnum

from openfuse_collector.component import Component, Connector, Consumer, Exporter, Processor, Settings
from openfuse_collector.dead_letters.letter import payload_of
from openfuse_collector.pipeline.stages import Step, Steps
from openfuse_collector.signals import Batch, Signal
from openfuse_collector.testing import numbered
from openfuse_collector.testing.answers import Answers, RandomExporter, RandomIntake
from openfuse_collector.testing.machine import Surroundings, deliver

NUMBERS = 400
ATTEMPTS = 1000
"""A sender that is told to retry this often in a row would never get through."""


class Reply(StrEnum):
    """What a sender reads out of a receiver's answer."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """Never to be sent again."""
    RETRY = "retry"


async def check_receiver(
    make: Callable[[Settings, RandomIntake], Component],
    send: Callable[[int], Awaitable[Reply]],
    *,
    seed: int = 0,
    count: int = NUMBERS,
) -> None:
    """A receiver in front of a journal that answers at random, and a sender that does what it is told.

    `send` sends the item of that number (`numbered.spans`, …) over the receiver's own protocol, and says what the answer means in it.
    What was accepted must be in the journal, what the journal refused must neither be called accepted nor sent again.
    """
    answers = Answers(seed)
    with closing(Surroundings()) as around:
        receiver = make(around.settings(), RandomIntake(answers))
        await receiver.start()
        try:
            replies = {number: await _persist(send, number) for number in range(1, count + 1)}
        finally:
            await receiver.shutdown()
    for number, reply in replies.items():
        taken = answers.accepted[number]
        assert (reply is Reply.ACCEPTED) == (taken > 0), f"item {number}: {reply}, but taken {taken} times"
        assert taken <= 1, f"item {number} went into the journal {taken} times"
    assert not answers.resent, f"refused for good and sent again: {_some(answers.resent)}"
    _assert_all_was_tried(answers)


def check_exporter(
    make: Callable[[Settings], Exporter],
    stored: Callable[[], Iterable[int]],
    answers: Answers,
    *,
    signal: Signal = Signal.EVENTS,
    count: int = NUMBERS,
    exactly_once: bool = True,
) -> None:
    """An exporter in front of a destination that answers at random, driven by the machine's own worker.

    The stand-in for the destination asks `answers.judge(numbers)` about every call and does what it says; `stored` gives the numbers
    that are in it at the end. Every item must be there or in the dead letters, and nothing may be sent again that was refused for good.
    `exactly_once=False` allows an item to be stored more than once (destinations that cannot tell a copy).
    """
    with closing(Surroundings()) as around:
        exporter = make(around.settings())
        with around.worker(exporter) as worker:
            deliver(worker, _batches(signal, count, answers.seed, largest=5 if signal is Signal.EVENTS else 1))
        _check_outcome(around, answers, count, lambda number: False, Counter(stored()), exactly_once)


def check_processor(
    make: Callable[[Settings], Processor],
    *,
    signal: Signal,
    filtered: Callable[[int], bool] = lambda number: False,
    seed: int = 0,
    count: int = NUMBERS,
) -> None:
    """A processor in a pipeline whose destination answers at random. `filtered` tells which numbers it means to remove.

    Every other item must reach the destination or the dead letters, and what the processor is given must stay as it is.
    """
    _check_step(lambda settings: make(settings).process, signal, signal, filtered, seed, count)


def check_connector(
    make: Callable[[Settings], Connector],
    *,
    signal: Signal,
    emits: Signal = Signal.EVENTS,
    filtered: Callable[[int], bool] = lambda number: False,
    seed: int = 0,
    count: int = NUMBERS,
) -> None:
    """As for a processor; what comes out must be a batch of the signal `emits`."""
    _check_step(lambda settings: make(settings).convert, signal, emits, filtered, seed, count)


def _check_step(
    make: Callable[[Settings], Callable[[Batch], Batch]],
    signal: Signal,
    emits: Signal,
    filtered: Callable[[int], bool],
    seed: int,
    count: int,
) -> None:
    answers = Answers(seed)
    with closing(Surroundings()) as around:
        run = make(around.settings())
        wrong: list[str] = []

        def watched(batch: Batch) -> Batch:
            before = [payload_of(item.data) for item in batch.items]
            after = run(batch)
            if [payload_of(item.data) for item in batch.items] != before:
                wrong.append("it wrote to an item it was given; others read the same one")
            if after.delivery is not batch.delivery:
                wrong.append("the batch that came out has another delivery")
            if after.signal is not emits:
                wrong.append(f"a batch of {after.signal} came out, {emits} was announced")
            return after

        with around.worker(RandomExporter(answers)) as worker:
            first: Consumer = Steps([Step("contract", watched, around.letters, around.log)], worker)
            deliver(first, _batches(signal, count, seed))
        assert not wrong, wrong[0]
        _check_outcome(around, answers, count, filtered, answers.accepted, exactly_once=True)


def _check_outcome(
    around: Surroundings,
    answers: Answers,
    count: int,
    filtered: Callable[[int], bool],
    stored: Counter[int],
    exactly_once: bool,
) -> None:
    wanted = {number for number in range(1, count + 1) if not filtered(number)}
    dead = set(around.dead_numbers())
    lost = wanted - set(stored) - dead
    assert not lost, f"neither delivered nor in the dead letters: {_some(lost)}"
    poison = {number for number in wanted if answers.is_poison(number)}
    assert poison <= dead, f"refused for good and not in the dead letters: {_some(poison - dead)}"
    missing = {number for number in wanted - poison if not stored[number]}
    assert not missing, f"set aside although the destination would have taken it: {_some(missing)}"
    foreign = set(stored) - wanted
    assert not foreign, f"delivered although it should not have been: {_some(foreign)}"
    twice = [number for number, times in stored.items() if times > 1]
    assert not (exactly_once and twice), f"delivered more than once: {_some(twice)}"
    assert not answers.resent, f"refused for good and sent again: {_some(answers.resent)}"
    _assert_all_was_tried(answers)


def _assert_all_was_tried(answers: Answers) -> None:
    missing = {"success", "permanent", "retryable"} - {answer.value for answer in answers.said}
    assert not missing, f"the consumer never had to answer {', '.join(sorted(missing))}: the check has seen too little"


async def _persist(send: Callable[[int], Awaitable[Reply]], number: int) -> Reply:
    for _ in range(ATTEMPTS):
        reply = await send(number)
        if reply is not Reply.RETRY:
            return reply
    raise AssertionError(f"item {number} was told to come again {ATTEMPTS} times")


def _batches(signal: Signal, count: int, seed: int, largest: int = 5) -> Iterator[Batch]:
    """The numbers in requests of one to `largest`, those in batches of one to eight. Only requests of events can be divided."""
    rng = random.Random(seed)
    numbers = list(range(1, count + 1))
    while numbers:
        requests = []
        for _ in range(rng.randint(1, 8)):
            size = rng.randint(1, largest)
            some, numbers = numbers[:size], numbers[size:]
            requests += [some] if some else []
        yield numbered.batch(signal, requests)


def _some(numbers: Iterable[int]) -> str:
    found = sorted(numbers)
    return ", ".join(map(str, found[:10])) + (f" and {len(found) - 10} more" if len(found) > 10 else "")

"""The check of receivers: a sound one passes, and each broken promise is found and named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from openfuse_collector.component import Settings
from openfuse_collector.errors import PartialError, PermanentError, RetryableError
from openfuse_collector.signals import Signal
from openfuse_collector.testing import Partial, RandomIntake, Reply, check_receiver, numbered

Answer = Reply | Partial | dict[int, Reply]
Receive = Callable[["Receiver", Sequence[int]], Awaitable[Answer]]


class Receiver:
    """A receiver with an in-process protocol: `receive` is its client."""

    def __init__(self, intake: RandomIntake) -> None:
        self.intake = intake
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...

    async def keep(self, numbers: Sequence[int]) -> None:
        item = numbered.batch(Signal.EVENTS, [numbers]).items[0]
        await self.intake.accept(item.origin, b"", item.data, len(numbers))

    async def keep_for_ever(self, numbers: Sequence[int]) -> None:
        """Again and again, unless it is refused for good."""
        while True:
            try:
                return await self.keep(numbers)
            except RetryableError:
                continue
            except PermanentError:
                return


async def sound(receiver: Receiver, numbers: Sequence[int]) -> Answer:
    try:
        await receiver.keep(numbers)
    except PartialError as error:
        return Partial(error.rejected)
    except RetryableError:
        return Reply.RETRY
    except PermanentError:
        return Reply.REFUSED
    return Reply.ACCEPTED


async def acknowledges_first(receiver: Receiver, numbers: Sequence[int]) -> Answer:
    task = asyncio.create_task(receiver.keep_for_ever(numbers))
    receiver.tasks.add(task)
    task.add_done_callback(receiver.tasks.discard)
    return Reply.ACCEPTED


async def never_asks(receiver: Receiver, numbers: Sequence[int]) -> Answer:
    return Reply.ACCEPTED


def answers(**replies: Reply) -> Receive:
    """Says so when the journal raises an error of that name."""

    async def receive(receiver: Receiver, numbers: Sequence[int]) -> Answer:
        try:
            await receiver.keep(numbers)
        except PermanentError as error:
            return replies.get(type(error).__name__, Reply.REFUSED)
        except RetryableError:
            return replies.get("RetryableError", Reply.RETRY)
        return replies.get("none", Reply.ACCEPTED)

    return receive


async def counts_wrong(receiver: Receiver, numbers: Sequence[int]) -> Answer:
    answer = await sound(receiver, numbers)
    return Partial(answer.rejected + 1) if isinstance(answer, Partial) else answer


async def forgets_one(receiver: Receiver, numbers: Sequence[int]) -> Answer:
    answer = await sound(receiver, numbers)
    return dict.fromkeys(numbers[1:], answer) if isinstance(answer, Reply) else answer


async def repeats(receiver: Receiver, numbers: Sequence[int]) -> Answer:
    """Once more after it was refused for good."""
    answer = await sound(receiver, numbers)
    return await sound(receiver, numbers) if answer is Reply.REFUSED else answer


async def keeps_twice(receiver: Receiver, numbers: Sequence[int]) -> Answer:
    answer = await sound(receiver, numbers)
    return await sound(receiver, numbers) if answer is Reply.ACCEPTED else answer


async def refuses_without_asking(receiver: Receiver, numbers: Sequence[int]) -> Answer:
    return Reply.REFUSED


async def is_always_busy(receiver: Receiver, numbers: Sequence[int]) -> Answer:
    return Reply.RETRY


async def hangs(receiver: Receiver, numbers: Sequence[int]) -> Answer:
    await asyncio.Event().wait()
    return Reply.ACCEPTED


async def breaks(receiver: Receiver, numbers: Sequence[int]) -> Answer:
    raise ConnectionError("reset by peer")


BROKEN: dict[str, tuple[Receive, str]] = {
    "acknowledges first": (acknowledges_first, "^item 1: it was called accepted before the journal had answered"),
    "never asks": (never_asks, "^item 1: it was called accepted before the journal had answered"),
    "accepts what is refused": (
        answers(PermanentError=Reply.ACCEPTED),
        r"^item \d+: it was called accepted although the journal refused it for good",
    ),
    "accepts all of a part": (
        answers(PartialError=Reply.ACCEPTED),
        r"^item \d+: it was called accepted although the journal refused it for good",
    ),
    "accepts what is not taken": (
        answers(RetryableError=Reply.ACCEPTED),
        r"^item \d+: it was called accepted although the journal has not taken it",
    ),
    "has what is refused sent again": (
        answers(PermanentError=Reply.RETRY),
        r"^item \d+: it is to be sent again although the journal refused it for good",
    ),
    "has a part sent again": (
        answers(PartialError=Reply.RETRY),
        r"^item \d+: it is to be sent again although the journal has dealt with it by a partial success",
    ),
    "has what is taken sent again": (
        answers(none=Reply.RETRY),
        r"^item \d+: it is to be sent again although the journal has it",
    ),
    "loses what may come later": (
        answers(RetryableError=Reply.REFUSED),
        r"^item \d+: it was refused for good although the journal would have taken it later",
    ),
    "refuses what is taken": (
        answers(none=Reply.REFUSED),
        r"^item \d+: it was refused for good although the journal has it",
    ),
    "refuses without asking": (refuses_without_asking, "^item 1: it was refused for good although nobody asked"),
    "counts wrong": (counts_wrong, r"^\d items were called rejected, \d were"),
    "forgets one": (forgets_one, r"^the answer says nothing of item \d+"),
    "repeats what is refused": (repeats, r"^refused for good and sent again: \d"),
    "keeps twice": (keeps_twice, r"^item \d+ went into the journal \d times"),
    "is always busy": (is_always_busy, "^item 1 was told to come again 1000 times"),
    "hangs": (hangs, "^send of 1.* did not return within 1 seconds"),
    "breaks": (breaks, "^send of 1.* raised ConnectionError: reset by peer"),
}
"""Broken promise -> receiver, and the sentence about it."""


def check(receive: Receive, seed: int = 2, **more: Any) -> None:
    made: list[Receiver] = []

    def make(settings: Settings, intake: RandomIntake) -> Receiver:
        made.append(Receiver(intake))
        return made[-1]

    check_receiver(make, lambda numbers: receive(made[-1], numbers), seed=seed, count=200, **more)


@pytest.mark.parametrize("receive", [sound, answers()])
def test_a_receiver_that_keeps_the_contract(receive: Receive) -> None:
    """Also one that calls a part refused, because its protocol cannot say which part."""
    check(receive, seed=1)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_receiver_is_found(name: str) -> None:
    receive, complaint = BROKEN[name]
    more = {"patience": 1.0} if name == "hangs" else {}
    with pytest.raises(AssertionError, match=complaint):
        check(receive, **more)


def test_faulty_items_must_not_be_kept() -> None:
    with pytest.raises(AssertionError, match=r"^item \d+ went into the journal although it is faulty"):
        check(sound, faulty=lambda number: number % 7 == 0)


async def whole(receiver: Receiver, numbers: Sequence[int]) -> Reply:
    """A part counts as refused."""
    answer = await sound(receiver, numbers)
    return answer if isinstance(answer, Reply) else Reply.REFUSED


async def overlooks_what_is_faulty(receiver: Receiver, numbers: Sequence[int]) -> Answer:
    """Leaves it out, and does not say so."""
    good = [number for number in numbers if number % 7]
    answer = await whole(receiver, good) if good else Reply.ACCEPTED
    return dict.fromkeys(good, answer) | dict.fromkeys(set(numbers) - set(good), Reply.ACCEPTED)


def test_faulty_items_must_not_be_called_accepted() -> None:
    with pytest.raises(AssertionError, match=r"^item 7: it was called accepted although it is faulty"):
        check(overlooks_what_is_faulty, faulty=lambda number: number % 7 == 0)

"""The contract of receivers: accepted means in the journal, refused for good is not to be sent again, anything else is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from enum import StrEnum
from typing import NamedTuple

from openfuse_collector.component import Component, Settings
from openfuse_collector.testing.answers import Answer, Answers, RandomIntake
from openfuse_collector.testing.loop import PATIENCE, ComponentLoop
from openfuse_collector.testing.machine import Surroundings
from openfuse_collector.testing.outcome import LARGEST, NUMBERS, assert_nothing_in_vain, nothing, requests, some

ATTEMPTS = 1000
"""A sender that is told to retry this often in a row would never get through."""


class Reply(StrEnum):
    """What a sender reads out of a receiver's answer about an item."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """Never to be sent again."""
    RETRY = "retry"


class Partial(NamedTuple):
    """So many items of a request were refused for good, the others accepted; which, the protocol does not say."""

    rejected: int


Received = Reply | Partial | Mapping[int, Reply]
"""One answer for all items of a request, a count, or an answer for each."""

FALSE: dict[tuple[Reply, Answer | None], str] = {
    (Reply.ACCEPTED, None): "it was called accepted before the journal had answered",
    (Reply.ACCEPTED, Answer.PERMANENT): "it was called accepted although the journal refused it for good",
    (Reply.ACCEPTED, Answer.RETRYABLE): "it was called accepted although the journal has not taken it",
    (Reply.REFUSED, None): "it was refused for good although nobody asked the journal",
    (Reply.REFUSED, Answer.SUCCESS): "it was refused for good although the journal has it",
    (Reply.REFUSED, Answer.RETRYABLE): "it was refused for good although the journal would have taken it later",
    (Reply.RETRY, Answer.SUCCESS): "it is to be sent again although the journal has it",
    (Reply.RETRY, Answer.PERMANENT): "it is to be sent again although the journal refused it for good",
    (Reply.RETRY, Answer.PARTIAL): "it is to be sent again although the journal has dealt with it by a partial success",
}
"""(what the sender was told of an item, what the journal had said by then) -> what is wrong with that. None: it was not asked."""


def check_receiver(
    make: Callable[[Settings, RandomIntake], Component],
    send: Callable[[Sequence[int]], Awaitable[Received]],
    *,
    faulty: Callable[[int], bool] = nothing,
    seed: int = 0,
    count: int = NUMBERS,
    largest: int = LARGEST,
    patience: float = PATIENCE,
) -> None:
    """A receiver in front of a journal that answers at random, and a sender that does what it is told. Raises AssertionError.

    `send` sends one request with the items of these numbers, at most `largest`, over the receiver's own protocol (`numbered.spans`, …),
    and says what the answer means in it. What is called accepted must be in the journal by then; what the journal refused must neither
    be called accepted nor be sent again; what it could not take yet must be. `faulty` tells which items `send` makes such that the
    receiver itself refuses them. No request may take `patience` seconds.
    """
    answers = Answers(seed)
    intake = RandomIntake(answers)
    with closing(Surroundings()) as around, ComponentLoop(patience) as loop:
        receiver = loop.make(lambda: make(around.settings(), intake))
        with loop.living(receiver):
            for numbers in requests(count, seed, largest):
                _persist(loop, intake, send, list(numbers), faulty)
    for number, times in answers.accepted.items():
        assert times == 1, f"item {number} went into the journal {times} times"
        assert not faulty(number), f"item {number} went into the journal although it is faulty"
    assert_nothing_in_vain(answers)


def _persist(
    loop: ComponentLoop,
    intake: RandomIntake,
    send: Callable[[Sequence[int]], Awaitable[Received]],
    numbers: list[int],
    faulty: Callable[[int], bool],
) -> None:
    """A sender: what is to be sent again is sent again, until everything has its answer."""
    for _ in range(ATTEMPTS):
        received, verdicts = _request(loop, intake, send, numbers)
        replies = _replies(received, numbers, verdicts, intake.answers)
        for number in numbers:
            _assert_true(number, replies[number], verdicts.get(number), intake.answers, faulty(number))
        numbers = [number for number in numbers if replies[number] is Reply.RETRY]
        if not numbers:
            return
    raise AssertionError(f"item {numbers[0]} was told to come again {ATTEMPTS} times")


def _request(
    loop: ComponentLoop, intake: RandomIntake, send: Callable[[Sequence[int]], Awaitable[Received]], numbers: list[int]
) -> tuple[Received, dict[int, Answer]]:
    return loop.run(f"send of {some(numbers)}", lambda: intake.during(send(numbers)))


def _replies(
    received: Received, numbers: Sequence[int], verdicts: Mapping[int, Answer], answers: Answers
) -> Mapping[int, Reply]:
    """The reply to each number. AssertionError when a count of rejected items is wrong."""
    if isinstance(received, Reply):
        return dict.fromkeys(numbers, received)
    if isinstance(received, Mapping):
        silent = set(numbers) - set(received)
        assert not silent, f"the answer says nothing of item {min(silent)}"
        return received
    taken = {number for number in numbers if _is_taken(number, verdicts.get(number), answers)}
    rejected = len(numbers) - len(taken)
    assert received.rejected == rejected, f"{received.rejected} items were called rejected, {rejected} were"
    return {number: Reply.ACCEPTED if number in taken else Reply.REFUSED for number in numbers}


def _is_taken(number: int, verdict: Answer | None, answers: Answers) -> bool:
    return verdict is Answer.SUCCESS or (verdict is Answer.PARTIAL and not answers.is_poison(number))


def _assert_true(number: int, reply: Reply, verdict: Answer | None, answers: Answers, faulty: bool) -> None:
    """After a partial success an item may be called refused although it was taken: not every protocol can say which were."""
    if faulty and verdict is None:
        assert reply is not Reply.ACCEPTED, f"item {number}: it was called accepted although it is faulty"
        return
    if reply is Reply.ACCEPTED and verdict is Answer.PARTIAL and answers.is_poison(number):
        verdict = Answer.PERMANENT
    complaint = FALSE.get((reply, verdict))
    assert complaint is None, f"item {number}: {complaint}"

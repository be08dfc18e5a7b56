"""A consumer that answers at random: success, permanent, retryable, partial; and a record of what it said to whom."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock

from openfuse_collector.component import Intake
from openfuse_collector.errors import ConsumeError, OverloadError, PartialError, PermanentError, RetryableError
from openfuse_collector.pipeline.split import parts
from openfuse_collector.signals import Batch, Origin, Signal
from openfuse_collector.testing.numbered import numbers_in, numbers_of

POISON_SHARE = 0.08
RETRY_SHARE = 0.3
PARTIAL_SHARE = 0.3


class Answer(StrEnum):
    """What a call came to."""

    SUCCESS = "success"
    PERMANENT = "permanent"
    RETRYABLE = "retryable"
    PARTIAL = "partial"


@dataclass
class Answers:
    """Judges calls that carry numbers. The same seed gives the same judgements to the same calls. Thread-safe.

    Some numbers are poison: a call that holds one is refused for good, or, now and then, taken without its poison. Any call may be
    told to come again. Use it inside a stand-in for a destination: call `judge` and act as it says.
    """

    seed: int = 0
    poison_share: float = POISON_SHARE
    retry_share: float = RETRY_SHARE
    partial_share: float = PARTIAL_SHARE
    accepted: Counter[int] = field(default_factory=Counter)
    """How often each number was taken."""
    refused: set[int] = field(default_factory=set)
    """Numbers refused for good by themselves: alone in a call, or rejected by a partial success."""
    resent: list[int] = field(default_factory=list)
    """Numbers that came again after they had been refused for good, or dealt with by a partial success."""
    said: Counter[Answer] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._lock = Lock()
        self._settled: set[int] = set()

    def is_poison(self, number: int) -> bool:
        """Whether that number can never be taken."""
        return random.Random(f"{self.seed}/{number}").random() < self.poison_share

    def judge(self, numbers: Sequence[int], alone: bool | None = None) -> Answer:
        """What to answer to a call with these numbers. `alone` tells that nobody could divide the call any further, by default
        that it has one number."""
        with self._lock:
            answer = self._judge(numbers, len(numbers) == 1 if alone is None else alone)
            self.said[answer] += 1
            return answer

    def _judge(self, numbers: Sequence[int], alone: bool) -> Answer:
        self.resent += [number for number in numbers if number in self._settled]
        if self._rng.random() < self.retry_share:
            return Answer.RETRYABLE
        poison = {number for number in numbers if self.is_poison(number)}
        if not poison:
            self.accepted.update(numbers)
            return Answer.SUCCESS
        partial = len(numbers) > len(poison) and self._rng.random() < self.partial_share
        if partial:
            self.accepted.update(number for number in numbers if number not in poison)
            self.refused |= poison
            self._settled.update(numbers)
            return Answer.PARTIAL
        if alone:
            self.refused |= poison
            self._settled |= poison
        return Answer.PERMANENT

    def error(self, answer: Answer, numbers: Sequence[int]) -> ConsumeError | None:
        """The error of this project's tree that stands for an answer, None for success."""
        if answer is Answer.SUCCESS:
            return None
        if answer is Answer.RETRYABLE:
            return RetryableError("told to come again")
        if answer is Answer.PARTIAL:
            return PartialError(sum(map(self.is_poison, numbers)), "some are poison")
        return PermanentError("poison")


class RandomExporter:
    """A destination that answers at random."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    async def start(self) -> None:
        """Nothing to prepare."""

    async def shutdown(self) -> None:
        """Nothing to release."""

    def cursor(self, pipeline: str) -> int | None:
        """It keeps none."""
        return None

    def export(self, batch: Batch) -> None:
        """Raises what the answer stands for."""
        numbers = numbers_of(batch)
        error = self.answers.error(self.answers.judge(numbers, alone=not parts(batch)), numbers)
        if error is not None:
            raise error


class RandomIntake(Intake):
    """A journal that answers at random, for receivers."""

    def __init__(self, answers: Answers, signals: frozenset[Signal] = frozenset(Signal)) -> None:
        self.answers = answers
        self._signals = signals

    @property
    def signals(self) -> frozenset[Signal]:
        """What some pipeline takes."""
        return self._signals

    async def accept(self, origin: Origin, payload: bytes, data: object, items: int) -> None:
        """Raises what the answer stands for; full is what a journal is when it says retry."""
        numbers = numbers_in(data)
        error = self.answers.error(self.answers.judge(numbers), numbers)
        if isinstance(error, RetryableError):
            raise OverloadError(str(error), after=0.0)
        if error is not None:
            raise error

"""A consumer that answers at random: success, permanent, retryable, partial; and a record of what it said to whom."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import TypeVar

from openfuse_collector.component import Intake
from openfuse_collector.errors import ConsumeError, OverloadError, PartialError, PermanentError, RetryableError
from openfuse_collector.pipeline.split import parts
from openfuse_collector.signals import Batch, Origin, Signal
from openfuse_collector.testing.numbered import numbers_in, numbers_of

POISON_SHARE = 0.08
RETRY_SHARE = 0.3
PARTIAL_SHARE = 0.3
HELD = 3
"""So many requests are kept waiting by the journal until their sender has an answer, which must not be, or `HOLD` is over."""
HOLD = 0.1
"""Seconds; well below what receivers are patient for."""

T = TypeVar("T")


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
    told to come again. Use it inside a stand-in for a destination: call `judge` and act as it says. A share of 0 is for answers the
    destination does not have.
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
    divisible: bool | None = None
    """Whether the batch under way can be divided; written by `check_exporter`, None outside of it."""

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._lock = Lock()
        self._settled: set[int] = set()

    def is_poison(self, number: int) -> bool:
        """Whether that number can never be taken."""
        return random.Random(f"{self.seed}/{number}").random() < self.poison_share

    def judge(self, numbers: Sequence[int], alone: bool | None = None) -> Answer:
        """What to answer to a call with these numbers.

        `alone` tells that nobody could divide the call any further. By default the check knows, or it has one number.
        """
        if alone is None:
            alone = len(numbers) == 1 if self.divisible is None else not self.divisible
        with self._lock:
            answer = self._judge(numbers, alone)
            self.said[answer] += 1
            return answer

    def settled(self, numbers: Iterable[int]) -> None:
        """These are dealt with: those of them that were refused for good must not come again."""
        with self._lock:
            self._settled.update(self.refused.intersection(numbers))

    @property
    def unsaid(self) -> set[Answer]:
        """Answers that should have been given and never were."""
        shares = {Answer.PERMANENT: self.poison_share, Answer.RETRYABLE: self.retry_share}
        partial = {Answer.PARTIAL: min(self.poison_share, self.partial_share)}
        possible = {Answer.SUCCESS, *(answer for answer, share in {**shares, **partial}.items() if share > 0)}
        return possible - set(self.said)

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
        if alone or len(numbers) == 1:
            self.refused |= poison
        if alone:
            self._settled.update(numbers)
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
    """A journal that answers at random, for receivers. It lives on one event loop."""

    def __init__(self, answers: Answers, signals: frozenset[Signal] = frozenset(Signal)) -> None:
        self.answers = answers
        self._verdicts: dict[int, Answer] = {}
        self._signals = signals
        self._answered = asyncio.Event()
        self._holds = HELD

    @property
    def signals(self) -> frozenset[Signal]:
        """What some pipeline takes."""
        return self._signals

    async def during(self, request: Awaitable[T]) -> tuple[T, dict[int, Answer]]:
        """Sees a request through. Gives what its sender got, and what had been said here about its numbers by then."""
        self._answered, self._verdicts = asyncio.Event(), {}
        try:
            return await request, dict(self._verdicts)
        finally:
            self._answered.set()

    async def accept(self, origin: Origin, payload: bytes, data: object, items: int) -> None:
        """Raises what the answer stands for; full is what a journal is when it says retry."""
        verdicts = self._verdicts
        await self._hold()
        numbers = numbers_in(data)
        answer = self.answers.judge(numbers, alone=True)
        verdicts.update(dict.fromkeys(numbers, answer))
        error = self.answers.error(answer, numbers)
        if isinstance(error, RetryableError):
            raise OverloadError(str(error), after=0.0)
        if error is not None:
            raise error

    async def _hold(self) -> None:
        """A sync of the disk takes its time: whoever answers without waiting for it has answered by now."""
        if self._holds:
            self._holds -= 1
            try:
                await asyncio.wait_for(self._answered.wait(), HOLD)
            except TimeoutError:
                pass
        else:
            await asyncio.sleep(0)

"""What must hold once every batch is finished: nothing lost, nothing set aside or doubled that need not be, nothing sent in vain."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from openfuse_collector.signals import Batch, Signal
from openfuse_collector.testing import numbered
from openfuse_collector.testing.answers import Answers
from openfuse_collector.testing.machine import Surroundings

NUMBERS = 400
LARGEST = 5
"""Numbers in a request."""


def nothing(number: int) -> bool:
    """Nothing is filtered."""
    return False


def assert_outcome(
    around: Surroundings,
    answers: Answers,
    count: int,
    stored: Counter[int],
    filtered: Callable[[int], bool] = nothing,
    exactly_once: bool = True,
) -> None:
    """Every number from 1 to `count` that is not `filtered` must be in the destination or the dead letters, and where it belongs."""
    wanted = {number for number in range(1, count + 1) if not filtered(number)}
    dead = set(around.dead_numbers())
    lost = wanted - set(stored) - dead
    assert not lost, f"neither delivered nor in the dead letters: {some(lost)}"
    poison = {number for number in wanted if answers.is_poison(number)}
    assert poison <= dead, f"refused for good and not in the dead letters: {some(poison - dead)}"
    missing = {number for number in wanted - poison if not stored[number]}
    assert not missing, f"set aside although the destination would have taken it: {some(missing)}"
    foreign = set(stored) - wanted
    assert not foreign, f"delivered although it should not have been: {some(foreign)}"
    twice = [number for number, times in stored.items() if times > 1]
    assert not (exactly_once and twice), f"delivered more than once: {some(twice)}"
    assert_nothing_in_vain(answers)


def assert_nothing_in_vain(answers: Answers) -> None:
    """Nothing was sent again after it had been refused for good, and the check has seen every answer."""
    assert not answers.resent, f"refused for good and sent again: {some(answers.resent)}"
    unsaid = ", ".join(sorted(answers.unsaid))
    assert not unsaid, f"the consumer never had to answer {unsaid}: the check has seen too little"


def requests(count: int, seed: int, largest: int = LARGEST) -> Iterator[Sequence[int]]:
    """The numbers from 1 to `count`, one to `largest` at a time."""
    rng = random.Random(seed)
    first = 1
    while first <= count:
        size = rng.randint(1, largest)
        yield range(first, min(first + size, count + 1))
        first += size


def batches(signal: Signal, count: int, seed: int, largest: int = LARGEST) -> Iterator[Batch]:
    """Those requests in batches of one to eight."""
    rng = random.Random(seed)
    left = list(requests(count, seed, largest))
    while left:
        size = rng.randint(1, 8)
        yield numbered.batch(signal, left[:size])
        left = left[size:]


def some(numbers: Iterable[int]) -> str:
    """The first ten, and how many more."""
    found = sorted(numbers)
    return ", ".join(map(str, found[:10])) + (f" and {len(found) - 10} more" if len(found) > 10 else "")

"""Tells data that makes its destination fail from a destination that is sick, when the destination itself does not say.

A batch that keeps failing is tried in parts. What is taken is done. A single entity is at fault when it goes on failing alone, over the
pauses of a back-off, while others of its type are taken, more of them than fail. Where nothing of that type is taken, or most of it
fails, the destination is at fault: all of it is tried again for as long as it takes. Batches that come meanwhile pass, so one entity
holds up nobody, and a batch that fails as a whole asks for new proof.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic

from openfuse_collector.config.types import MIB
from openfuse_collector.pipeline.retry import RetryConfig
from openfuse_collector.pipeline.split import parts
from openfuse_collector.signals import Batch, Delivery, Signal

PROOFS = 10
"""Failures alone, each while others are taken, that make an entity the cause. With the pauses of a store about ten seconds."""
HOPELESS = 16
"""So many failures in a row, more than halving a large batch down to one entity takes, mean that there is no hurry."""
MOST_SUSPECTS = 1000
"""Entities that wait here at most before no further batch is let through: they are in memory."""
MOST_BYTES = 64 * MIB
"""The same in bytes of the requests they are of, unless that is a single one."""


@dataclass(eq=False)
class Part:
    """Something to try: a batch, or what is left of one."""

    batch: Batch
    share: Delivery
    """Finished with the part; told when it has to wait."""
    delays: Iterator[float]
    whole: bool = False
    proofs: int = 0
    due: float = 0.0
    type: str = field(init=False)
    """What others have to be to prove anything about this one: of the same signal and entity type."""

    def __post_init__(self) -> None:
        item = self.batch.items[0]
        self.type = item.data[0].entity.type if self.batch.signal is Signal.EVENTS and item.data else self.batch.signal


class Search:
    """The state of a search; whoever exports tells how each part fared. It is over when it is false."""

    def __init__(self, retry: RetryConfig, clock: Callable[[], float] = monotonic) -> None:
        self._retry = retry
        self._clock = clock
        self._untried: list[Part] = []
        self._suspects: list[Part] = []
        self._taken: Counter[str] = Counter()
        """Entities taken since a batch failed as a whole, by type."""
        self._failures = 0

    def __bool__(self) -> bool:
        return bool(self._untried or self._suspects)

    def add(self, batch: Batch, share: Delivery) -> None:
        """A batch to try whole."""
        self._untried.append(Part(batch, share, self._retry.delays(), whole=True))

    def begin(self, batch: Batch, share: Delivery) -> None:
        """A batch that was tried whole often enough. One that is a single entity is a suspect at once."""
        self.failed(Part(batch, share, self._retry.delays()))

    def next(self) -> Part | None:
        """What to try now, None when everything left has to wait."""
        if self._untried:
            return self._untried.pop()
        first = min(self._suspects, key=lambda part: part.due, default=None)
        if first is None or first.due > self._clock():
            return None
        self._suspects.remove(first)
        return first

    def wait(self) -> float:
        """Seconds until something is due; to be asked while the search goes on."""
        return 0.0 if self._untried else max(0.0, min(part.due for part in self._suspects) - self._clock())

    @property
    def has_room(self) -> bool:
        """Whether another batch may be added."""
        waiting = {item.position: item.size for part in self._suspects for item in part.batch.items}
        few = len(waiting) <= 1 or sum(waiting.values()) < MOST_BYTES
        return few and not self._untried and len(self._suspects) < MOST_SUSPECTS

    @property
    def hopeless(self) -> bool:
        """Nothing is taken any more: the destination should be asked less often."""
        return self._failures >= HOPELESS

    def taken(self, part: Part) -> None:
        """The destination has it."""
        self._failures = 0
        for item in part.batch.items:
            if part.batch.signal is Signal.EVENTS and item.data:
                self._taken.update(entity.type for entity in {event.entity for event in item.data})
            else:
                self._taken[part.batch.signal] += 1
        part.share.done()

    def again(self, part: Part) -> None:
        """It could not be tried; next time."""
        self._untried.append(part)

    def failed(self, part: Part) -> bool:
        """The destination failed with it. True when that is proved to be the fault of `part`, which is then the caller's again."""
        self._failures += 1
        part.share.waits()
        if self.divide(part):
            if part.whole:
                self._taken.clear()
            return False
        rivals = sum(other.type == part.type for other in self._suspects) + 1
        part.proofs += self._taken[part.type] >= rivals
        if part.proofs >= PROOFS:
            return True
        self.later(part)
        return False

    def later(self, part: Part) -> None:
        """It has to wait its pause."""
        part.due = self._clock() + next(part.delays)
        self._suspects.append(part)

    def divide(self, part: Part) -> bool:
        """Go on with halves of it; False when it is a single entity."""
        smaller = parts(part.batch)
        if smaller:
            part.share.fork(len(smaller))
            self._untried += [Part(half, part.share, self._retry.delays()) for half in reversed(smaller)]
        return bool(smaller)

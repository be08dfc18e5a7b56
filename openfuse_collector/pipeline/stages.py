"""The stages a batch passes: processors, connectors, fan-out. Each calls the next one directly, on the pipeline's thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock

import msgspec
import structlog

from openfuse_collector.component import Consumer, Kind
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.pipeline.retry import Stopped
from openfuse_collector.signals import Batch, Item
from openfuse_collector.telemetry.limited import Limited


class Step:
    """A processor's `process` or a connector's `convert`, guarded.

    A step that raises has a bug. It is run again request by request, and the requests it cannot take go to the dead letters.
    """

    def __init__(
        self,
        component: str,
        run: Callable[[Batch], Batch],
        dead_letters: DeadLetters,
        log: structlog.stdlib.BoundLogger,
        kind: Kind = Kind.CONNECTOR,
    ) -> None:
        self.name = component
        self.dead_letters = dead_letters
        self._component = component
        self._kind = kind
        self._run = run
        self._one_at_a_time = Lock()
        """Replayed dead letters come on a thread of their own."""
        self._log = Limited(log)

    def __call__(self, batch: Batch) -> Batch:
        """The batch that comes out; its delivery is that of `batch`."""
        try:
            with self._one_at_a_time:
                return self._run(batch)
        except Stopped:
            raise
        except Exception as error:
            if len(batch.items) == 1:
                kind = (self._component, type(error).__name__)
                self._log.error(kind, "cannot process a request", component=self._component, exc_info=True)
                self._set_aside(batch, f"{type(error).__name__}: {error}")
                return msgspec.structs.replace(batch, items=[])
        singles = [self(msgspec.structs.replace(batch, items=[item])) for item in batch.items]
        items: list[Item] = [item for single in singles for item in single.items]
        # What was refused is of the signal it came with.
        taken = next((single for single in singles if single.items), singles[0])
        return msgspec.structs.replace(taken, items=items)

    def _set_aside(self, batch: Batch, reason: str) -> None:
        item = batch.items[0]
        self.dead_letters.add(item, batch.pipeline, self._component, reason, batch.signal, kind=self._kind)


class Steps:
    """Runs steps in order, then hands over to the next stage. A batch that comes out empty is finished here.

    What a step sets aside is on disk before anybody behind it can call the batch finished.
    """

    def __init__(self, steps: Sequence[Step], following: Consumer) -> None:
        self._steps = steps
        self._following = following

    def consume(self, batch: Batch) -> None:
        """Run every step and pass the result on."""
        for step in self._steps:
            batch = step(batch)
            step.dead_letters.sync()
            if not batch.items:
                batch.delivery.done()
                return
        self._following.consume(batch)

    def entries(self) -> Iterator[tuple[str, Consumer]]:
        """Every step by name, and the way from it onwards: where what it has refused can be offered to it again."""
        for number, step in enumerate(self._steps):
            yield step.name, Steps(self._steps[number:], self._following)


class FanOut:
    """Hands one batch to several consumers; the delivery is finished when all of them are."""

    def __init__(self, consumers: Sequence[Consumer]) -> None:
        self._consumers = consumers

    def consume(self, batch: Batch) -> None:
        """Give every consumer its share."""
        batch.delivery.fork(len(self._consumers))
        for consumer in self._consumers:
            consumer.consume(batch)

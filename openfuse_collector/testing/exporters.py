"""The contract of exporters: what `export` returned from is where it belongs, what is refused for good is not sent again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing

from openfuse_collector.component import Exporter, Settings
from openfuse_collector.dead_letters.letter import payload_of
from openfuse_collector.errors import PartialError, PermanentError
from openfuse_collector.pipeline.split import parts
from openfuse_collector.signals import Batch, Signal
from openfuse_collector.testing.answers import Answers
from openfuse_collector.testing.loop import PATIENCE, ComponentLoop
from openfuse_collector.testing.machine import Surroundings, delivered
from openfuse_collector.testing.numbered import numbers_of
from openfuse_collector.testing.outcome import LARGEST, NUMBERS, assert_outcome, batches, some


def check_exporter(
    make: Callable[[Settings], Exporter],
    stored: Callable[[], Iterable[int]],
    answers: Answers,
    *,
    signal: Signal = Signal.EVENTS,
    count: int = NUMBERS,
    exactly_once: bool = True,
    patience: float = PATIENCE,
) -> None:
    """An exporter in front of a destination that answers at random, driven by the machine's own worker. Raises AssertionError.

    The stand-in for the destination asks `answers.judge(numbers)` about every call and does what it says; `stored` gives the numbers
    that are in it, after each batch and at the end. Every item must be there or in the dead letters, from the moment its batch counts
    as finished, and nothing may be sent again that was refused for good. `exactly_once=False` allows an item to be stored more than
    once (destinations that cannot tell a copy). No batch may take `patience` seconds.
    """
    largest = LARGEST if signal is Signal.EVENTS else 1  # only requests of events can be divided
    with closing(Surroundings()) as around, ComponentLoop(patience) as loop:
        watched = _Watched(loop.make(lambda: make(around.settings())), stored, answers)
        with loop.living(watched.exporter), around.worker(watched, patience) as worker:
            feed = delivered(worker, batches(signal, count, answers.seed, largest), patience, watched.doing)
            with feed as wait:
                wait()
            assert not watched.wrong, watched.wrong[0]
        assert_outcome(around, answers, count, Counter(stored()), exactly_once=exactly_once)


class _Watched:
    """The exporter, looked at before and after each call."""

    def __init__(self, exporter: Exporter, stored: Callable[[], Iterable[int]], answers: Answers) -> None:
        self.exporter = exporter
        self.wrong: list[str] = []
        self._stored = stored
        self._answers = answers
        self._under_way: list[int] = []

    def doing(self) -> str:
        """For messages about a batch that does not come to its end."""
        if self._under_way:
            return f"export has not returned; it was given {some(self._under_way)}"
        return "export is called again and again, and always asks for more time"

    async def start(self) -> None:
        """The exporter is started by itself."""

    async def shutdown(self) -> None:
        """The exporter is stopped by itself."""

    def cursor(self, pipeline: str) -> int | None:
        return self.exporter.cursor(pipeline)

    def idle(self) -> None:
        getattr(self.exporter, "idle", lambda: None)()

    def export(self, batch: Batch) -> None:
        numbers, before = numbers_of(batch), [payload_of(item.data) for item in batch.items]
        self._answers.divisible = bool(parts(batch))
        self._under_way = numbers
        try:
            self.exporter.export(batch)
        except PartialError:
            self._finished(numbers, "export raised PartialError")
            raise
        except PermanentError:
            if not self._answers.divisible:
                self._answers.settled(numbers)
            raise
        else:
            self._finished(numbers, "export returned")
        finally:
            self._under_way, self._answers.divisible = [], None
            if [payload_of(item.data) for item in batch.items] != before:
                self.wrong.append("it wrote to an item it was given; others read the same one")

    def _finished(self, numbers: list[int], how: str) -> None:
        answers = self._answers
        unknown = [number for number in numbers if not answers.accepted[number] and number not in answers.refused]
        if unknown:
            self.wrong.append(f"{how} although the destination had neither taken nor refused {some(unknown)}")
        unwritten = {number for number in numbers if answers.accepted[number]} - set(self._stored())
        if unwritten:
            self.wrong.append(f"{how} although the destination does not have {some(unwritten)} yet")
        answers.settled(numbers)

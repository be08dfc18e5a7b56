"""Several collectors in front of one database, and who of them is next: their calls to the server in any order one likes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from threading import Condition, Thread
from typing import Any

from greptimedb_kit import Server, export, exporter

from openfuse_collector.config.types import Duration
from openfuse_collector.enrich import Enrich
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.reference import fold
from openfuse_collector.events.rows import row
from openfuse_collector.exporters.greptimedb import compared, stored
from openfuse_collector.exporters.greptimedb.config import SettleConfig
from openfuse_collector.exporters.greptimedb.exporter import GreptimedbExporter
from openfuse_collector.store.enrichment import configured_enrichment
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import metric, settings

AT_ONCE = SettleConfig(after=Duration(0), rate=1_000_000)
"""Everything is quiet at once; the thread is not started, so tests say when."""
ENRICH: Enrich = configured_enrichment(settings())


class Died(BaseException):
    """A collector that ends in the middle of a call."""


class Collector:
    """One collector. `before` is called before every call it makes to the server."""

    def __init__(self, made: GreptimedbExporter, metrics: Metrics) -> None:
        self.made = made
        self._metrics = metrics
        self.before: Callable[[], None] = lambda: None
        sql, ingester = made._sql, made._writer._ingester
        for owner, name in ((sql, "_ask"), (ingester, "_send_chunk")):
            setattr(owner, name, self._gated(getattr(owner, name)))

    def _gated(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def gated(*arguments: Any) -> Any:
            self.before()
            return call(*arguments)

        return gated

    def export(self, events: Sequence[Event]) -> None:
        """One batch."""
        export(self.made, events)

    def settle(self) -> int:
        """Goes over what is quiet. How many entities were made again."""
        before = self.refolded
        self.made.settle()
        return self.refolded - before

    @property
    def refolded(self) -> int:
        return int(metric(self._metrics, "openfuse_settle_refolded_total", exporter="greptimedb"))

    @property
    def missing(self) -> int:
        return int(metric(self._metrics, "openfuse_settle_missing_total", exporter="greptimedb"))

    @property
    def checked(self) -> int:
        return int(metric(self._metrics, "openfuse_settle_checked_total", exporter="greptimedb"))


@contextmanager
def collector(server: Server, instance: str = "one", **config: Any) -> Iterator[Collector]:
    """A collector from its start to its end; the next one of the same instance is the same after a restart."""
    metrics = Metrics()
    with exporter(server, metrics, instance, **{"settle": AT_ONCE, "encoder_workers": 1, **config}) as made:
        yield Collector(made, metrics)


class Turns:
    """Lets the calls of several collectors through in a given order; those who are alone run freely."""

    def __init__(self, order: Iterable[int]) -> None:
        self._order = deque(order)
        self._done: set[int] = set()
        self._changed = Condition()

    def step(self, who: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._next() in (who, None), 60)
            if self._next() == who:
                self._order.popleft()
            self._changed.notify_all()

    def end(self, who: int) -> None:
        with self._changed:
            self._done.add(who)
            self._changed.notify_all()

    def _next(self) -> int | None:
        while self._order and self._order[0] in self._done:
            self._order.popleft()
        return self._order[0] if self._order else None


def together(order: Iterable[int], *work: tuple[Collector, Callable[[], Any]]) -> None:
    """Runs the work of several collectors at once, their calls in that order: 0 is the first of them."""
    turns, failed = Turns(order), list[BaseException]()

    def run(who: int, which: Collector, do: Callable[[], Any]) -> None:
        which.before = lambda: turns.step(who)
        try:
            do()
        except BaseException as error:
            failed.append(error)
        finally:
            which.before = lambda: None
            turns.end(who)

    threads = [Thread(target=run, args=(who, *each)) for who, each in enumerate(work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def dying(which: Collector, number: int, events: list[Event]) -> list[Event]:
    """Exports and settles, and dies at the n-th call. What has to be repeated."""
    calls = count(1)

    def die() -> None:
        if next(calls) >= number:
            raise Died

    which.before = die
    try:
        which.export(events)
        events = []
        which.settle()
    except Died:
        pass
    finally:
        which.before = lambda: None
    return events


def settle(*collectors: Collector) -> None:
    """Until nobody finds anything any more."""
    for _ in range(10):
        if not sum(each.settle() for each in collectors):
            return
    raise AssertionError("the collectors go on for ever")


def assert_settled(server: Server, events: Sequence[Event]) -> None:
    """For each entity one row, that of the reference fold of all its events, side rows of its generation and no others in sight."""
    entities: dict[Entity, list[Event]] = {}
    for event in events:
        entities.setdefault(event.entity, []).append(event)
    rows = stored.rows_of(server.ask, list(entities))
    sides = compared.side_rows_of(server.ask, list(entities))
    for entity, said in entities.items():
        record = fold(said)
        expected = None
        if record is not None and not record["is_deleted"]:
            expected = row(entity.type, ENRICH(entity.type, record))
        found = rows.get(entity, []), sides.get(entity, {})
        assert compared.is_right(entity, expected, *found), (expected, found)

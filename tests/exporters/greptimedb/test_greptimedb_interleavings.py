"""Two collectors with halves of the same entities, their calls to the server in any order, and what is left when both have settled."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from greptimedb_kit import Server
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from settle_kit import assert_settled, collector, dying, settle, together
from test_greptimedb_settle import KINDS, said, tombstone

from openfuse_collector.config.types import Size
from openfuse_collector.events.event import Event
from openfuse_collector.exporters.greptimedb import epoch
from tests.greptimedb_double import Double

sys.path.insert(0, str(Path(__file__).parents[2] / "events"))
from event_sets import histories

projects = (f"p{number}" for number in itertools.count())


def in_project(events: list[Event], project: str) -> list[Event]:
    """The same events of another project: tests share a server."""
    return [
        Event(
            one.entity._replace(project_id=project),
            one.id,
            one.type,
            one.timestamp,
            one.body,
            one.ingested_at,
            one.metadata,
        )
        for one in events
    ]


HALVES = {
    "times that move": lambda kind: ([said(kind, 1, 30)], [said(kind, 2, 20)], [said(kind, 3, 10)]),
    "keys that go": lambda kind: (
        [said(kind, 5, 30, usageDetails={"cached": 1}, tags=["a"])],
        [said(kind, 4, 40, usageDetails={"read": 1}, name="n")],
        [said(kind, 5, 50, id="e1", usageDetails={"write": 1}, name=None)],
    ),
    "a deletion": lambda kind: ([said(kind, 1, 30)], [said(kind, 2, 20)], [tombstone(kind, 3)]),
}


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cache", [Size(0), Size(1 << 20)], ids=["no cache", "cache"])
def test_one_batch_of_the_other_between_any_two_calls(faulty: Server, kind: str, name: str, cache: Size) -> None:
    """The whole batch of one collector happens between the n-th call of the other and the next one, for every n."""
    with collector(faulty, "one", fold_cache_size=cache) as one, collector(faulty, "two", fold_cache_size=cache) as two:
        for number in range(12):
            first, second, third = (in_project(some, f"project-{number}") for some in HALVES[name](kind))
            one.export(first)
            two.export([said(kind, number, id="warm")])
            turns = [0] * number + [1] * 99
            together(turns, (one, partial(one.export, third)), (two, partial(two.export, second)))
            settle(one, two)
            assert_settled(faulty, [*first, *second, *third])


ORDERS = st.lists(st.integers(0, 1), max_size=60)


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Server]:
    with Double() as double:
        made = Server(double.grpc, double.http, double)
        yield made
        made.sql.close()


@given_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_halves_in_any_order_settle_to_the_fold_of_the_whole_set(
    shared_server: Server, data: st.DataObject
) -> None:
    """Also the settle passes of both, at once; and a collector that forgets in between, as after a restart."""
    server, events = shared_server, in_project(data.draw(histories()), next(projects))
    whose = data.draw(st.lists(st.integers(0, 3), min_size=len(events), max_size=len(events)))
    halves = [[one for one, number in zip(events, whose, strict=True) if number == which] for which in range(4)]
    cache = data.draw(st.sampled_from((Size(0), Size(1 << 20))))
    with collector(server, "one", fold_cache_size=cache) as one, collector(server, "two", fold_cache_size=cache) as two:
        together(data.draw(ORDERS), (one, lambda: one.export(halves[0])), (two, lambda: two.export(halves[1])))
        if data.draw(st.booleans()):
            epoch.bump(server.sql, "somebody")
        together(data.draw(ORDERS), (one, lambda: one.export(halves[2])), (two, lambda: two.export(halves[3])))
        together(data.draw(ORDERS), (one, one.settle), (two, two.settle))
        settle(one, two)
    assert_settled(server, events)


@given_settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_collectors_that_die_at_any_call_and_come_back(shared_server: Server, data: st.DataObject) -> None:
    """Batches that were not finished are repeated from the journal; what was finished is gone over by whoever comes after."""
    server, events = shared_server, in_project(data.draw(histories()), next(projects))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), min_size=2, max_size=2)))
    parts = [events[: cuts[0]], events[cuts[0] : cuts[1]], events[cuts[1] :]]
    dies_at = data.draw(st.lists(st.integers(1, 14), min_size=2, max_size=2))
    with collector(server, "two") as two:
        with collector(server, "one") as one:
            one.export(parts[0])
            two.export(parts[1])
            unfinished = dying(one, dies_at[0], parts[2])
        with collector(server, "one") as one:
            unfinished = dying(one, dies_at[1], unfinished)
        with collector(server, "one") as one:
            one.export(unfinished)
            settle(one, two)
    assert_settled(server, events)

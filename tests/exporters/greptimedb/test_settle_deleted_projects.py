"""A project is deleted while a batch is under way: its rows go with the next look at what was written, and others are not read for it."""

from __future__ import annotations

from itertools import count

import pytest
from greptimedb_kit import Server
from settle_kit import Collector, collector

from openfuse_collector.events.event import Event
from openfuse_collector.exporters.greptimedb import horizons
from openfuse_collector.exporters.greptimedb.operations import GreptimedbOperations
from openfuse_collector.store.horizon import Horizon
from tests.builders import event

TABLES = (
    "observations",
    "observations_metadata",
    "traces",
    "traces_metadata",
    "traces_tags",
    "scores",
    "scores_metadata",
)


def said(kind: str, id: str, project: str) -> Event:
    made = event(id, kind, metadata={"k": "v"}, tags=["a"], name="n", value=1)
    made.entity = made.entity._replace(project_id=project)
    return made


def conversation(project: str) -> list[Event]:
    return [said(kind, f"{project}-{kind}", project) for kind in ("trace", "observation", "score")]


def delete(server: Server, project: str) -> None:
    """As the command does it, from its first bump of the epoch to its last."""
    operations = GreptimedbOperations(server.config())
    try:
        with operations.changing("delete"):
            list(operations.deletion(erase=False, dry_run=False).project(project))
    finally:
        operations.close()


def deleted_at_call(server: Server, one: Collector, number: int, project: str, others: list[Event]) -> bool:
    """Exports while a project is deleted before the n-th call. False when there were fewer calls."""
    calls = count(1)

    def look() -> None:
        if next(calls) == number:
            one.before = lambda: None
            delete(server, project)

    one.before = look
    one.export([*conversation(project), *others])
    one.before = lambda: None
    return next(calls) > number


def projects(server: Server) -> set[str]:
    """Those that have rows or side rows anywhere."""
    return {row["project_id"] for table in TABLES for row in server.table(table)}


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside others"])
def test_a_batch_that_overtakes_the_deletion_of_a_project_brings_nothing_back(faulty: Server, alone: bool) -> None:
    """Whichever call of the batch the command comes before."""
    number, left = 1, 0
    with collector(faulty) as one:
        one.export(conversation("other"))
        while deleted_at_call(faulty, one, number, f"shop{number}", [] if alone else conversation("other")):
            left += f"shop{number}" in projects(faulty)
            one.settle()
            assert projects(faulty) == {"other"}, number
            number += 1
    assert left > 2


def test_only_what_is_listed_of_the_deleted_project_is_read_for_it(faulty: Server) -> None:
    """Nor does a limit of retention, which moves all the time, make anything be read."""
    with collector(faulty) as one:
        one.export([*conversation("shop"), *conversation("other")])
        horizons.expire(faulty.sql, "other", 5)
        before = len(faulty.double.calls)
        delete(faulty, "shop")
        one.settle()
        read = [call.sql for call in faulty.double.calls[before:] if call.sql and "`body`" in call.sql]
    assert read
    assert not any("other" in sql for sql in read)
    assert projects(faulty) == {"other"}


def test_which_projects_were_deleted_between_two_readings() -> None:
    before = {"gone": Horizon(5), "again": Horizon(5), "expired": Horizon(5, 3)}
    now = {
        "gone": Horizon(5),
        "again": Horizon(6),
        "expired": Horizon(5, 4),
        "new": Horizon(7),
        "old": Horizon(expired=9),
    }
    assert horizons.newly_deleted(before, now) == {"again", "new"}

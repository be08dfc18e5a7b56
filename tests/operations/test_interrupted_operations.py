"""A command that fails half-way, at whichever call, leaves nothing that running it again does not finish."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from operations_kit import (
    NOW,
    GreptimedbKit,
    conversation,
    deleted,
    expired,
    ids,
    rebuilt,
    said,
    side_entities,
    store,
    verified,
)

from openfuse_collector.config.types import Duration
from openfuse_collector.exporters.greptimedb.errors import CallError
from openfuse_collector.store.retention import RetentionConfig
from tests.greptimedb_double import Double, StatusCode, faults

LIMIT = RetentionConfig(default=Duration(60))
LATE = 10**12
SECOND = {"t2", "t2-o", "t2-s"}


def damage(kit: GreptimedbKit) -> None:
    """A row lost, one doubled, side rows lost."""
    kit.tamper("DELETE FROM observations WHERE id = 't1-o'")
    names = "`timestamp`, project_id, id, environment, created_at, updated_at, is_deleted"
    kit.tamper(f"INSERT INTO traces ({names}) VALUES (5, 'p', 't1', 'e', 5, 5, false)")
    kit.tamper("DELETE FROM scores_metadata WHERE TRUE")


COMMANDS: dict[str, tuple[Callable[[GreptimedbKit], object], set[str]]] = {
    "delete trace": (lambda kit: deleted(kit, "t1"), SECOND),
    "delete project": (lambda kit: deleted(kit, project="p"), SECOND),
    "retention": (lambda kit: expired(kit, LIMIT, NOW + 100_000), SECOND),
    "rebuild": (lambda kit: (damage(kit), rebuilt(kit)), {"t1", "t1-o", "t1-s", *SECOND}),
}
FAULTS = {
    "not done": lambda: faults.unavailable_status(),
    "done, not answered": lambda: faults.status(StatusCode.DEADLINE_EXCEEDED, applied=1),
    "half done": lambda: faults.status(StatusCode.DEADLINE_EXCEEDED, applied=0.5),
}


CALLS = (2, 5, 9, 14, 20, 27)
"""Which call of a command fails, counted from 1."""


@pytest.fixture
def double() -> Iterator[Double]:
    with Double() as double:
        yield double


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", COMMANDS)
def test_running_it_again_finishes_it(double: Double, name: str, fault: str) -> None:
    """The call that fails is one of the first, and some of the later ones."""
    run, shown = COMMANDS[name]
    failed = 0
    for number in CALLS:
        kit = GreptimedbKit(double)
        store(kit, conversation("t1"), [said("t1", at=1, name="more")], conversation("t2", at=LATE, project="q"))
        double.fail(FAULTS[fault]().nth(number))
        try:
            run(kit)
        except CallError:
            failed += 1
        double.heal()
        run(kit)
        assert ids(kit) == shown, number
        assert side_entities(kit) <= shown, number
        report = verified(kit)
        assert (report.discrepancies, report.failures) == (0, []), (number, report)
        kit.sql.close()
    assert failed >= 3

"""How files are merged: in windows that are few, however old the data is, and not again and again where that changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

import pytest
from greptimedb_kit import Server, export, exporter
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from openfuse_collector.config.types import Duration
from openfuse_collector.exporters.greptimedb import migrations
from openfuse_collector.exporters.greptimedb.compaction import DAY, FEW, days, windows
from openfuse_collector.exporters.greptimedb.config import MaintenanceConfig
from openfuse_collector.exporters.greptimedb.maintenance import FLUSH, Maintenance
from tests.builders import event, settings
from tests.greptimedb_double import StatusCode, faults

NANOSECONDS = 10**9
NOW = 20_000
"""Days since 1970."""
MERGING = "strict_window"
"""Only statements that merge files have this word in them."""


def at(first: float, last: float | None = None) -> tuple[int, int]:
    """The times of a file, from days since 1970."""
    return int(first * DAY * NANOSECONDS), int((first if last is None else last) * DAY * NANOSECONDS)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], 1),
        ([at(NOW)] * 1000, 1),
        ([at(NOW + day) for day in range(FEW)], 1),
        ([at(NOW, NOW + FEW - 0.1)], 1),
        ([at(NOW + day) for day in range(FEW + 1)], 2),
        ([at(NOW, NOW + 250)] * 250, 3),
        ([at(NOW + day, NOW + day + 1) for day in range(729)], 8),
        ([at(0.5), *(at(NOW + day) for day in range(90))], 1),  # a clock that was wrong, in a file of its own
        ([at(0.5, NOW)], 201),  # and with all the others
    ],
)
def test_the_length_of_a_window(files: Sequence[tuple[int, int]], expected: int) -> None:
    assert days(files) == expected


BOUNDS = st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
NEAR = st.tuples(st.integers(-900, 900), st.integers(0, 900)).map(lambda pair: at(pair[0] / 3, (pair[0] + pair[1]) / 3))


@given(st.lists(BOUNDS.map(lambda pair: (min(pair), max(pair)))), st.integers(2, FEW))
def test_windows_are_few_whatever_the_times(files: list[tuple[int, int]], most: int) -> None:
    assert windows(sorted(files), days(files, most)) <= most


@given(st.lists(NEAR), st.integers(1, 20))
def test_windows_are_counted_once(files: list[tuple[int, int]], length: int) -> None:
    window = length * DAY * NANOSECONDS
    touched = {number for first, last in files for number in range(first // window, last // window + 1)}
    assert windows(sorted(files), length) == len(touched)


@pytest.fixture
def old(faulty: Server) -> Iterator[Server]:
    """Traces and observations of two years."""
    migrations.apply(faulty.sql, faulty.config(), "test")
    for table, time in (("traces", "timestamp"), ("observations", "start_time")):
        rows = ", ".join(f"('p', 'old-{day}', {(NOW + day) * DAY * 1000})" for day in range(730))
        faulty.sql.run(f"INSERT INTO {table} (project_id, id, `{time}`) VALUES {rows}")
    yield faulty
    faulty.double.heal()


def merging(server: Server) -> list[str]:
    """The tables whose files were to be merged, in that order, whatever became of it."""
    return [call.sql.split("'")[1] for call in server.double.calls if MERGING in call.sql]


def files(server: Server, table: str) -> int:
    of_table = f"(SELECT table_id FROM information_schema.tables WHERE table_name = '{table}')"
    (found,) = server.double.query(
        f"SELECT sst_num FROM information_schema.region_statistics WHERE table_id = {of_table}"
    )
    return int(found["sst_num"])


def checked(maintenance: Maintenance, times: int = 1) -> list[MutableMapping[str, Any]]:
    """The warnings."""
    with capture_logs() as logs:
        for _ in range(times):
            maintenance.check()
    return [line for line in logs if line["log_level"] == "warning"]


def test_old_data_is_left_in_few_files(old: Server) -> None:
    """Also where there are more than can be read: nothing is asked of the table itself."""
    old.double.set_files("traces", 2000)
    old.double.set_files("observations", 231)
    maintenance = Maintenance(settings(), old.config(), old.sql)
    warnings = checked(maintenance, times=3)
    assert {line["table"]: line["files"] for line in warnings} == {"traces": 2000, "observations": 231}
    assert len(merging(old)) == 2
    for table in ("traces", "observations"):
        assert 50 <= files(old, table) <= FEW
        assert old.sql.rows(f"SELECT count(*) FROM {table}") == [[730]]
    for line in warnings:
        old.sql.run(line["advice"])
        assert 50 <= files(old, line["table"]) <= FEW


def test_what_merging_leaves_is_not_merged_again(old: Server) -> None:
    """Before there is more of it; and nobody is told so every ten minutes."""
    now = [0.0]
    bound = old.config(maintenance=MaintenanceConfig(warn_at_files=1))
    maintenance = Maintenance(settings(), bound, old.sql, lambda: now[0])
    old.double.set_files("traces", 20)
    assert [line["files"] for line in checked(maintenance, times=5)] == [20]
    assert (merging(old), files(old, "traces")) == (["traces"], 2)
    now[0] += DAY - 1
    assert checked(maintenance) == []
    now[0] += 1
    assert [line["files"] for line in checked(maintenance, times=5)] == [2]
    assert merging(old) == ["traces"]
    old.double.set_files("traces", 3)
    assert [line["files"] for line in checked(maintenance, times=5)] == [3]
    assert merging(old) == ["traces"] * 2
    old.double.set_files("traces", 0)
    checked(maintenance)
    old.double.set_files("traces", 2)
    assert [line["files"] for line in checked(maintenance, times=5)] == [2], "it had fewer in between"


def test_a_table_that_cannot_be_merged_does_not_keep_the_others_from_it(old: Server) -> None:
    for table in ("traces", "observations"):
        old.double.set_files(table, 231)
    maintenance = Maintenance(settings(), old.config(), old.sql)
    old.double.fail(faults.region_busy().over("http").on(MERGING).nth(1))
    assert len(checked(maintenance)) == 2
    first, second = merging(old)
    assert {first, second} == {"traces", "observations"}
    assert files(old, first) > FEW >= files(old, second)
    assert checked(maintenance, times=2) == []
    assert merging(old)[2:] == [first], "what failed is tried again"
    assert files(old, first) <= FEW


def test_a_table_that_may_be_being_merged_is_left_alone(old: Server) -> None:
    now = [0.0]
    old.double.set_files("traces", 231)
    maintenance = Maintenance(settings(), old.config(), old.sql, lambda: now[0])
    old.double.fail(faults.status(StatusCode.DEADLINE_EXCEEDED).over("http").on(MERGING))
    checked(maintenance, times=5)
    assert merging(old) == ["traces"]
    now[0] += DAY
    old.double.heal()
    checked(maintenance, times=5)
    assert merging(old) == ["traces"] * 2
    assert files(old, "traces") <= FEW


def test_raw_events_are_flushed_while_files_are_merged(faulty: Server) -> None:
    often = MaintenanceConfig(flush_interval=Duration(0.01), check_interval=Duration(0.01))
    stuck = faults.stuck().over("http").on(MERGING)

    def flushes() -> int:
        return sum(call.sql == FLUSH and call.outcome == "ok" for call in faulty.double.calls)

    with exporter(faulty, maintenance=often) as made:
        export(made, [event("o1")])
        faulty.double.set_files("observations", 231)
        faulty.double.fail(stuck)
        asyncio.run(made.start())
        faulty.double.wait(lambda: faulty.double.struck(stuck) == 1)
        before = flushes()
        export(made, [event("o2")])
        faulty.double.wait(lambda: flushes() > before)
        assert faulty.double.struck(stuck) == 1
        faulty.double.heal()

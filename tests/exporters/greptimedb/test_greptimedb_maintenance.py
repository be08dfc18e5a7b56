"""The thread beside the writer: flushes what is new, warns about files."""

from __future__ import annotations

import asyncio

import pytest
from greptimedb_kit import Server, export, exporter
from structlog.testing import capture_logs

from openfuse_collector.config.types import Address, Duration
from openfuse_collector.exporters.greptimedb.config import MaintenanceConfig
from openfuse_collector.exporters.greptimedb.errors import CallError
from openfuse_collector.exporters.greptimedb.maintenance import FLUSH, Maintenance
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import event, metric, settings
from tests.greptimedb_double import faults


def flushes(server: Server) -> int:
    return sum(call.sql == FLUSH and call.outcome == "ok" for call in server.double.calls)


def test_raw_events_are_flushed_while_there_is_something_new(faulty: Server) -> None:
    often = MaintenanceConfig(flush_interval=Duration(0.01), check_interval=Duration(0))
    with exporter(faulty, maintenance=often) as made:
        asyncio.run(made.start())
        export(made, [event("o1")])
        faulty.double.wait(lambda: flushes(faulty) == 1)
        export(made, [event("o2")])
        faulty.double.wait(lambda: flushes(faulty) == 2)


def test_nothing_is_flushed_twice(faulty: Server) -> None:
    maintenance = Maintenance(settings(), faulty.config(), faulty.sql)
    with exporter(faulty) as made:
        export(made, [event("o1")])
    maintenance.flush()
    assert flushes(faulty) == 0
    maintenance.wrote()
    maintenance.flush()
    maintenance.flush()
    assert flushes(faulty) == 1


def test_a_flush_that_failed_is_due_again(faulty: Server) -> None:
    """Also where nothing is written any more."""
    maintenance = Maintenance(settings(), faulty.config(), faulty.sql)
    with exporter(faulty) as made:
        export(made, [event("o1")])
    faulty.double.fail(faults.region_busy().over("http").times(1))
    maintenance.wrote()
    with pytest.raises(CallError):
        maintenance.flush()
    assert flushes(faulty) == 0
    maintenance.flush()
    assert flushes(faulty) == 1


def test_a_table_with_many_files_is_warned_about_and_how_to_help(faulty: Server) -> None:
    metrics = Metrics()
    told_only = faulty.config(maintenance=MaintenanceConfig(compact=False))
    maintenance = Maintenance(settings("greptimedb", metrics), told_only, faulty.sql)
    with exporter(faulty) as made:
        export(made, [event("o1")])
    faulty.double.set_files("observations", 231)
    faulty.double.set_files("traces", 199)
    with capture_logs() as logs:
        maintenance.check()
    (warning,) = (line for line in logs if line["log_level"] == "warning")
    assert (warning["table"], warning["files"]) == ("observations", 231)
    faulty.sql.run(warning["advice"])
    assert metric(metrics, "openfuse_greptimedb_files", exporter="greptimedb", table="observations") == 231
    maintenance.check()
    assert metric(metrics, "openfuse_greptimedb_files", exporter="greptimedb", table="observations") == 1


def test_a_table_with_many_files_is_compacted(faulty: Server) -> None:
    metrics = Metrics()
    maintenance = Maintenance(settings("greptimedb", metrics), faulty.config(), faulty.sql)
    with exporter(faulty) as made:
        export(made, [event("o1")])
    faulty.double.set_files("observations", 231)
    faulty.double.set_files("traces", 199)
    with capture_logs() as logs:
        maintenance.check()
        maintenance.check()
    assert [line["table"] for line in logs if line["log_level"] == "warning"] == ["observations"]
    files = {
        table: metric(metrics, "openfuse_greptimedb_files", exporter="greptimedb", table=table)
        for table in ("observations", "traces")
    }
    assert files == {"observations": 1, "traces": 199}


def test_a_server_that_is_away_does_not_end_the_thread(faulty: Server) -> None:
    often = MaintenanceConfig(flush_interval=Duration(0), check_interval=Duration(0.01))
    with exporter(faulty, maintenance=often, http_endpoints=(Address("127.0.0.1:1"), faulty.http)) as made:
        export(made, [event("o1")])
        asyncio.run(made.start())
        before = len(faulty.double.calls)
        faulty.double.wait(lambda: len(faulty.double.calls) > before + 4)

"""Retention in a running collector: the thread outlives whatever keeps a pass from being made."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from openfuse_collector.config.types import Duration
from openfuse_collector.errors import CollectorError
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.operations import SqliteOperations
from openfuse_collector.exporters.sqlite.store import Store
from openfuse_collector.store.operations import Operations
from openfuse_collector.store.retention import RetentionConfig
from openfuse_collector.store.upkeep import Upkeep
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import event, metric, settings
from tests.collector_process import wait_until
from tests.exporters.sqlite_kit import execute

OFTEN = RetentionConfig(default=Duration(3600), interval=Duration(0.005))
ERRORS = [CollectorError("tls: cannot use the certificate files"), OSError("too many open files")]


def failing_at_first(config: SqliteConfig, error: Exception) -> Callable[[], Operations]:
    """A store that cannot be had the first three times."""
    attempts = itertools.count()

    def made() -> Operations:
        if next(attempts) < 3:
            raise error
        return SqliteOperations(config)

    return made


def test_what_a_pass_has_removed_counts_whatever_becomes_of_the_rest(tmp_path: Path) -> None:
    config, metrics = SqliteConfig(path=str(tmp_path / "openfuse.db")), Metrics()
    with closing(Store(config)) as store:
        for project in ("a", "b"):
            one = event("o1")
            store.write([structs.replace(one, ingested_at=0, entity=one.entity._replace(project_id=project))])
    stuck = "CREATE TRIGGER stuck BEFORE DELETE ON raw_events WHEN old.project_id = 'b' BEGIN SELECT raise(ABORT, 'bad page'); END"
    execute(Path(config.path), stuck)
    with capture_logs() as logs:
        upkeep = Upkeep(settings("sqlite", metrics), OFTEN, lambda: SqliteOperations(config))
        upkeep.start()
        wait_until(
            lambda: len([line for line in logs if "bad page" in line.get("error", "")]) > 2, lambda: str(logs), 60
        )
        upkeep.stop()
    for table in ("raw_events", "observations"):
        assert metric(metrics, "openfuse_store_expired_rows_total", exporter="sqlite", table=table) == 1


@pytest.mark.parametrize("error", ERRORS, ids=["on purpose", "unforeseen"])
def test_a_store_that_cannot_be_had_is_asked_again_at_the_next_interval(tmp_path: Path, error: Exception) -> None:
    config, metrics = SqliteConfig(path=str(tmp_path / "openfuse.db")), Metrics()
    store = Store(config)
    store.write([structs.replace(event("o1"), ingested_at=0)])
    store.close()
    with capture_logs() as logs:
        upkeep = Upkeep(settings("sqlite", metrics), OFTEN, failing_at_first(config, error))
        upkeep.start()
        expired = {"exporter": "sqlite", "table": "observations"}
        wait_until(lambda: metric(metrics, "openfuse_store_expired_rows_total", **expired) == 1, lambda: str(logs), 60)
        upkeep.stop()
    assert len([line for line in logs if line["log_level"] in ("warning", "error")]) == 3

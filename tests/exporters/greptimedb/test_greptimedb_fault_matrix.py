"""The fault matrix in short: every fault once, on for as long as it takes the collector to meet it.

The long form, by the clock and with more load, is `make faults-greptimedb`.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from openfuse_collector.exporters.greptimedb.errors import Cause
from tests.collector_process import wait_until
from tests.exporters.greptimedb.fault_matrix import CASES, PASSWORD, PATIENCE, USER, Run, agent_load
from tests.greptimedb_double import Double

QUICK = {
    "exporters.greptimedb.retry_on_failure.initial_interval": "10ms",
    "exporters.greptimedb.retry_on_failure.max_interval": "100ms",
    "service.pipelines.traces.batch.timeout": "20ms",
}
PASSING = [name for name, case in CASES.items() if Cause.CREDENTIALS not in case.causes]
"""After refused credentials a collector waits a minute; that is in the long form, and in the tests of the exporter."""
LINES = 4
"""In a minute. A fault has one or two causes, and a search for the row at fault is told as well."""


@pytest.mark.parametrize("name", PASSING)
def test_every_row_is_there_once_in_the_end(tmp_path: Path, name: str) -> None:
    case, began = CASES[name], time.monotonic()
    with Double(USER, PASSWORD) as double:
        run = Run(double, tmp_path, case, agent_load(280, batch=14), more=QUICK)
        try:
            outcome = run.run(5, lambda run: wait_until(run.struck, lambda: run.collector.log, PATIENCE))
        finally:
            run.collector.kill()
    assert outcome.faults(case) == []
    minutes = 1 + (time.monotonic() - began) // 60
    assert len(outcome.lines) <= LINES * minutes, outcome.lines

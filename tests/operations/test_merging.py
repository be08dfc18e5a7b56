"""The end of `rebuild` and `delete` on GreptimeDB: files are merged, and where that does not work what was done stays done and is told."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from operations_kit import CONFIG, GreptimedbKit, StoreKit, call, conversation, ids, said, store, verified

from openfuse_collector.cli import rebuild as rebuild_module
from openfuse_collector.config.types import Duration
from openfuse_collector.exporters.greptimedb import compaction
from openfuse_collector.exporters.greptimedb.operations import GreptimedbOperations
from tests.greptimedb_double import faults

MERGING = "strict_window"
"""Only statements that merge files have this word in them."""
CHANGED = ["observations", "observations_metadata", "scores", "traces", "traces_metadata", "traces_tags"]

INTERRUPTIBLE = """
import signal
from openfuse_collector.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have turned off for what it runs in the background
main()
"""
STRAY = "INSERT INTO traces (project_id, id, `timestamp`, updated_at, input) VALUES ('p', 'stray', 5, 5, 'secret')"


def merged(kit: GreptimedbKit) -> list[str]:
    """The tables whose files were merged, in that order."""
    done = (call.sql for call in kit.double.calls if call.outcome == "ok" and call.database == kit.config.database)
    return [sql.split("'")[1] for sql in done if MERGING in sql]


def refuse(kit: GreptimedbKit, fault: faults.Fault) -> None:
    kit.double.fail(fault.over("http").on(MERGING))


@pytest.fixture(autouse=True)
def healed(greptimedb: GreptimedbKit) -> Iterator[None]:
    yield
    greptimedb.double.heal()


def test_a_deletion_is_done_before_files_are_merged(greptimedb: GreptimedbKit) -> None:
    """One table cannot be merged: the others are, and what was deleted is told."""
    store(greptimedb, conversation("t1"))
    refuse(greptimedb, faults.region_busy().nth(1))
    done = call(greptimedb, "delete", "trace", "t1", "--yes")
    assert done.exit_code == 0, done.output
    assert "1 trace, 1 observation, 1 score deleted" in done.stdout
    assert "files are not merged yet" in done.stderr
    assert "observations: GreptimeDB is busy" in done.stderr
    assert merged(greptimedb) == CHANGED[1:]
    assert ids(greptimedb) == set()


def test_what_lies_in_files_is_not_erased(greptimedb: GreptimedbKit) -> None:
    """A row without raw events is all there is of the project: merging alone would erase it."""
    greptimedb.tamper(STRAY)
    refuse(greptimedb, faults.region_busy())
    kept = call(greptimedb, "delete", "project", "p", "--erase", "--yes")
    assert kept.exit_code == 3, kept.output
    assert "1 trace deleted" in kept.stdout
    assert "not erased: what was deleted is in files of traces" in kept.stdout
    assert ids(greptimedb) == set()
    greptimedb.double.heal()
    greptimedb.tamper(STRAY)
    assert call(greptimedb, "delete", "project", "p", "--erase", "--yes").exit_code == 0


def test_a_rebuild_is_done_before_files_are_merged(greptimedb: GreptimedbKit, tmp_path: Path) -> None:
    """And the next of the same name begins at the front."""
    state = tmp_path / "state.json"
    store(greptimedb, [said(f"t{number}", name="chat") for number in range(3)])
    refuse(greptimedb, faults.region_busy())
    for number in range(2):
        greptimedb.tamper(f"DELETE FROM traces WHERE id = 't{number}'")
        done = call(greptimedb, "rebuild", "--resume", str(state))
        assert (done.exit_code, "3 entities, 1 row changed" in done.stdout) == (0, True), done.output
        assert "  traces: GreptimeDB is busy" in done.stderr
        assert not state.exists()
    assert merged(greptimedb) == []
    assert verified(greptimedb).discrepancies == 0


def test_old_data_is_left_in_files_that_can_be_read(greptimedb: GreptimedbKit) -> None:
    """A file for each day would be more than one scan may open."""
    store(greptimedb, conversation("t1"))
    days = ", ".join(f"('q', 'stray-{day}', {day * 86_400_000})" for day in range(400))
    greptimedb.tamper(f"INSERT INTO traces (project_id, id, `timestamp`) VALUES {days}")
    assert call(greptimedb, "delete", "trace", "t1", "--yes").exit_code == 0
    assert merged(greptimedb) == CHANGED
    assert greptimedb.query("SELECT count(*) FROM traces") == [(400,)]
    numbers = dict(greptimedb.query("SELECT table_id, sst_num FROM information_schema.region_statistics"))
    of_traces = f"table_name = 'traces' AND table_schema = '{greptimedb.config.database}'"
    ((table,),) = greptimedb.query(f"SELECT table_id FROM information_schema.tables WHERE {of_traces}")
    assert 50 < numbers[table] <= 100


def test_files_that_take_long_are_waited_for(greptimedb: GreptimedbKit) -> None:
    """Longer than `timeout`, which is that of other calls."""
    stuck = faults.stuck().over("http").on(MERGING)
    greptimedb.double.fail(stuck)
    with closing(GreptimedbOperations(replace(greptimedb.config, timeout=Duration(0.001)))) as operations:
        waiting = Thread(target=operations.merge, args=("traces",))
        waiting.start()
        greptimedb.double.wait(lambda: greptimedb.double.struck(stuck) == 1)
        greptimedb.double.heal()
        waiting.join()
    assert merged(greptimedb) == ["traces"]


def test_files_that_take_too_long_are_not(greptimedb: GreptimedbKit, monkeypatch: pytest.MonkeyPatch) -> None:
    store(greptimedb, conversation("t1"))
    monkeypatch.setattr(compaction, "PATIENCE", 0.1)
    refuse(greptimedb, faults.stuck())
    done = call(greptimedb, "delete", "trace", "t1", "--yes")
    assert (done.exit_code, "1 trace, 1 observation, 1 score deleted" in done.stdout) == (0, True), done.output
    assert [
        line.split(":")[0].strip() for line in done.stderr.splitlines() if "no answer within 0.1s" in line
    ] == CHANGED


def test_nobody_has_to_wait(greptimedb: GreptimedbKit) -> None:
    """Ctrl-C while files are merged ends the waiting: the work is done."""
    store(greptimedb, conversation("t1"))
    greptimedb.tamper("DELETE FROM traces WHERE TRUE")
    stuck = faults.stuck().over("http").on(MERGING)
    greptimedb.double.fail(stuck)
    sets = [part for key, value in greptimedb.sets.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-c", INTERRUPTIBLE, "rebuild", "--config", str(CONFIG["greptimedb"]), *sets]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        greptimedb.double.wait(lambda: greptimedb.double.struck(stuck) == 1, timeout=300)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert (process.returncode, "3 entities, 1 row changed" in out) == (0, True), out + err
    assert "  traces: not waited for" in err
    assert merged(greptimedb) == []


def test_nothing_is_merged_where_nothing_was_written(kit: StoreKit) -> None:
    store(kit, conversation("t1"))
    for command in (("rebuild",), ("rebuild", "--dry-run"), ("delete", "trace", "t1", "--dry-run")):
        done = call(kit, *command)
        assert (done.exit_code, "merging" in done.output) == (0, False), done.output
    if isinstance(kit, GreptimedbKit):
        assert merged(kit) == []


def test_a_rebuild_that_was_stopped_merges_nothing(greptimedb: GreptimedbKit, monkeypatch: pytest.MonkeyPatch) -> None:
    store(greptimedb, conversation("t1"))
    greptimedb.tamper("DELETE FROM traces WHERE TRUE")

    def interrupted(step: str, shares: Iterator[float], log: object) -> None:
        for _ in shares:
            pass
        raise KeyboardInterrupt

    monkeypatch.setattr(rebuild_module, "follow", interrupted)
    stopped = call(greptimedb, "rebuild")
    assert (stopped.exit_code, "run it again for the rest" in stopped.stderr) == (1, True), stopped.output
    assert ids(greptimedb) == {"t1", "t1-o", "t1-s"}
    assert merged(greptimedb) == []

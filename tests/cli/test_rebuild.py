"""The `rebuild` command: what it says, what it ends with, and that it gets along with a collector under load."""

from __future__ import annotations

import http.client
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event as Flag
from threading import Semaphore

import click
import pytest
from click.testing import CliRunner, Result

from openfuse_collector.cli import rebuild as rebuild_module
from openfuse_collector.cli.main import main
from openfuse_collector.cli.options import default_config
from openfuse_collector.cli.rebuild import rebuild
from openfuse_collector.enrich import enrichment
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.store import Store
from openfuse_collector.pricing import Catalogue
from tests.builders import RECEIVED_AT, event
from tests.collector_process import CollectorProcess, wait_until
from tests.exporters.sqlite_kit import execute, ingest, query, reference_rows, rows
from tests.mapping.span_requests import request, span

SPANS = 10
REQUESTS = 100
PATIENCE = 600.0
"""Seconds to wait for what takes a few on an idle machine."""
PRICED = enrichment(Catalogue())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with one priced observation, written as a collector without extensions does."""
    path = tmp_path / "openfuse.db"
    with closing(Store(SqliteConfig(path=str(path)), PRICED)) as store:
        priced = event("o1", model="gpt-4o", usageDetails={"input": 1000, "output": 100})
        store.write([priced, event("o2", name="chat"), event("t", "trace")])
    return path


def call(path: Path | None, *arguments: str) -> Result:
    store = [] if path is None else ["--store", str(path)]
    return CliRunner().invoke(rebuild, [*store, *arguments])


def test_nothing_to_do(path: Path) -> None:
    result = call(path)
    assert result.exit_code == 0, result.output
    assert f"{path}: 3 entities, 0 rows changed" in result.stdout
    assert "column" not in result.stdout


def test_changes_are_told_by_table_and_column(path: Path) -> None:
    execute(path, "UPDATE observations SET name = 'x'")
    execute(path, "DELETE FROM traces")
    told = call(path, "--dry-run")
    assert "2 rows" not in told.stdout
    assert "3 entities, 3 rows would change (dry run)" in told.stdout
    assert query(path, "SELECT 1 FROM traces") == []
    done = call(path)
    cells = [line.split() for line in done.stdout.splitlines()]
    assert ["traces", "1", "0", "1", "0", "0"] in cells
    assert ["observations", "2", "2", "0", "0", "0"] in cells
    assert ["observations.name", "2"] in cells
    assert done.exit_code == told.exit_code == 0
    assert rows(path) == reference_rows(path, PRICED)


def test_rows_without_events(path: Path) -> None:
    execute(path, "INSERT INTO traces (project_id, id, timestamp) VALUES ('p', 'ghost', 5)")
    assert "1 row without a raw event; --prune removes what has none" in call(path).stdout
    assert "--prune removes" not in call(path, "--prune").stdout
    assert query(path, "SELECT 1 FROM traces WHERE id = 'ghost'") == []


def test_repricing_uses_the_configured_tables(path: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        """
        receivers: {otlp: {protocols: {http: {endpoint: "localhost:4318"}}}}
        exporters: {debug: }
        extensions: {pricing: {models: [{name: house, match: ^gpt-4o$, prices: {input: 100, output: 200}}]}}
        service:
          extensions: [pricing]
          pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
        """
    )
    result = call(path, "--reprice", "--config", str(config))
    assert result.exit_code == 0, result.output
    assert "2 entities, 1 row changed" in result.stdout
    assert "cost of these observations: $0.003500 before, $0.120000 after (+0.116500)" in result.stdout
    assert [row["total_cost"] for row in query(path, "SELECT total_cost FROM observations ORDER BY id")] == [0.12, None]
    assert "$0.120000 before, $0.003500 after (-0.116500)" in call(path, "--reprice").stdout
    execute(path, "UPDATE traces SET name = 'x'")
    assert "2 entities, 0 rows changed" in call(path, "--reprice", "--set", "exporters.sqlite.path=/nowhere").stdout


async def test_mapping_again(path: Path) -> None:
    await ingest(path, [request(span(), span(span_id=""))])
    result = call(path, "--remap")
    assert "2 spans mapped again (1 cannot be mapped), 0 events added" in result.stdout
    assert result.exit_code == 0


def test_a_selection(path: Path) -> None:
    assert ": 0 entities" in call(path, "--project", "nobody").stdout
    assert ": 3 entities" in call(path, "--trace", "t", "--project", "default", "--since", "2020-01-01").stdout
    assert ": 3 entities" in call(path, "--since", "2020-01-01").stdout
    assert ": 0 entities" in call(path, "--since", "2126-01-01").stdout


def test_the_store_of_the_configuration(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert f"{path}: 3 entities" in call(None, "--set", f"exporters.sqlite.path={path}").stdout
    monkeypatch.chdir(tmp_path)
    assert "openfuse.db: 3 entities" in call(None).stdout
    monkeypatch.setenv("OPENFUSE_STORE", str(path))
    assert f"{path}: 3 entities" in call(None, "--set", "exporters.sqlite.path=/nowhere").stdout


def test_options_come_before_the_variable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENFUSE_STORE", "/nowhere")
    named = ("--set", f"exporters.sqlite.path={path}")
    assert f"{path}: 3 entities" in call(None, "--exporter", "sqlite", *named).stdout
    assert f"{path}: 3 entities" in call(None, "--config", str(default_config()), *named).stdout
    assert "no store at /nowhere" in call(None, *named).output


def test_wrong_usage(path: Path) -> None:
    assert call(path, "--since", "yesterday").exit_code == 2
    assert call(path, "--unknown").exit_code == 2
    two = "exporters.sqlite/other.path=/other.db"
    result = call(None, "--set", two, "--set", "service.pipelines.events.exporters=[sqlite, sqlite/other]")
    assert result.exit_code == 2
    assert "name the store with --exporter" in result.stderr


def test_a_store_that_is_none(tmp_path: Path) -> None:
    missing = call(tmp_path / "missing.db")
    assert (missing.exit_code, "no store at" in missing.stderr) == (1, True)
    assert not (tmp_path / "missing.db").exists()
    other = tmp_path / "other.db"
    execute(other, "CREATE TABLE theirs (x)")
    for arguments in ((), ("--dry-run",)):
        result = call(other, *arguments)
        assert (result.exit_code, "is no store of this program" in result.stderr) == (1, True)
    assert [row["name"] for row in query(other, "SELECT name FROM sqlite_master")] == ["theirs"]
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to be looked at " * 40)
    assert call(text).exit_code == 1


def test_a_configuration_with_mistakes(path: Path) -> None:
    result = call(path, "--set", "exporters.sqlite.pth=x")
    assert (result.exit_code, "pth" in result.stderr) == (1, True)


def test_what_cannot_be_rebuilt_is_told(path: Path) -> None:
    execute(path, "UPDATE raw_events SET body = json_set(body, '$.timestamp', 17) WHERE entity_id = 'o2'")
    result = call(path)
    assert result.exit_code == 1
    assert "1 could not be rebuilt and stay as they are:\n  observation o2: " in result.stdout


def test_an_interrupt_keeps_what_was_done(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(path, "UPDATE observations SET name = 'x'")

    def interrupted(step: str, shares: Iterator[float], log: object) -> None:
        if step == "folding events":
            for _ in shares:
                raise KeyboardInterrupt

    monkeypatch.setattr(rebuild_module, "follow", interrupted)
    result = call(path)
    assert result.exit_code == 1
    assert "2 rows changed" in result.stdout
    assert "run it again for the rest" in result.stderr
    assert rows(path) == reference_rows(path, PRICED)


def test_the_command_is_registered() -> None:
    command = main.get_command(click.Context(main), "rebuild")
    assert command is rebuild
    assert "rebuild" in CliRunner().invoke(main, ["--help"]).output


def test_progress(path: Path) -> None:
    """A bar on a terminal, log lines elsewhere; neither in the way of the report."""
    lines = call(path)
    assert "folding events" not in lines.stdout
    assert "percent=" in lines.stderr
    forced = CliRunner(env={"FORCE_COLOR": "1", "TERM": "xterm"}).invoke(rebuild, ["--store", str(path)])
    assert "folding events" in forced.stderr
    assert "percent=" not in forced.stderr
    assert forced.stdout == lines.stdout


def body(trace: int) -> bytes:
    spans = [
        span(
            {"gen_ai.request.model": "gpt-4o-mini", "gen_ai.usage.input_tokens": 10, "user.id": f"u{number}"},
            trace_id=f"{trace % 40 + 1:032x}",  # traces are written to again and again, so they are in memory
            span_id=f"{trace * 1000 + number + 1:016x}",
            parent="" if number == 0 else f"{trace * 1000 + 1:016x}",
            start=RECEIVED_AT + trace * 1000 + number,
            end=RECEIVED_AT + trace * 1000 + 500,
        )
        for number in range(SPANS)
    ]
    return request(*spans, resource={"service.name": "load"}).SerializeToString()


def send(collector: CollectorProcess, trace: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", collector.http_port, timeout=PATIENCE)) as connection:
        connection.request("POST", "/v1/traces", body(trace), {"Content-Type": "application/x-protobuf"})
        return connection.getresponse().status == 200


def command(collector: CollectorProcess, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "openfuse_collector", "rebuild", "--store", str(collector.store), *arguments]


def repaired(collector: CollectorProcess, rebuilding: subprocess.Popen[str]) -> bool:
    """Whether a damaged row is right again, by the rebuild or by what the collector received, or the rebuild is over."""
    done = rebuilding.poll() is not None
    return done or bool(collector.query("SELECT 1 FROM traces WHERE environment <> 'damaged'"))


def test_beside_a_collector_under_load(start_collector: Callable[..., CollectorProcess]) -> None:
    """Rebuilds repair rows that somebody keeps damaging while the collector keeps writing the same traces; some are killed.

    In the end every row is what the reference makes of the raw events, and no event is there twice.
    """
    collector = start_collector(sets={"connectors.genai.raw_spans": "true"})
    numbers, more, done = itertools.count(), Semaphore(0), Flag()
    acknowledged: list[int] = []

    def load() -> None:
        while more.acquire() and not done.is_set():
            number = next(numbers)
            assert send(collector, number)
            acknowledged.append(number)

    def acknowledge(count: int) -> None:
        wait_until(lambda: len(acknowledged) >= count, lambda: collector.log, PATIENCE)

    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(load) for _ in range(3)]
        try:
            more.release(REQUESTS)
            for round in range(1, 5):
                acknowledge(round * REQUESTS)
                more.release(REQUESTS)
                execute(collector.store, "UPDATE traces SET name = 'damaged', environment = 'damaged'")
                execute(collector.store, "DELETE FROM observations WHERE rowid % 3 = 0")
                process = subprocess.Popen(
                    command(collector, "--remap"),
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                if killed := round == 2:
                    wait_until(partial(repaired, collector, process), lambda: collector.log, PATIENCE)
                    process.send_signal(signal.SIGKILL)
                out, err = process.communicate(timeout=PATIENCE)
                assert killed or process.returncode == 0, out + err
        finally:
            done.set()
            more.release(len(clients))
        for client in clients:
            client.result()
    assert collector.stop() == 0
    have = rows(collector.store)
    assert have == reference_rows(collector.store, PRICED)
    expected = {f"{trace * 1000 + number + 1:016x}" for trace in acknowledged for number in range(SPANS)}
    assert {id for kind, _, id in have if kind == "observation"} == expected
    assert not any(row["environment"] == "damaged" for row in have.values())
    doubled = "SELECT 1 FROM raw_events GROUP BY project_id, entity_type, entity_id, event_id HAVING count(*) > 1"
    assert query(collector.store, doubled) == []
    assert len(query(collector.store, "SELECT 1 FROM openfuse_raw_spans")) == len(expected)
    assert collector.log.count("[error") == 0
    last = subprocess.run(command(collector, "--remap"), env=environment, check=True, capture_output=True, text=True)
    assert ", 0 rows changed" in last.stdout
    assert "0 events added" in last.stdout

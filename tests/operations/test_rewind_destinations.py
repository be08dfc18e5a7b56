"""`rewind` for a pipeline with several destinations: each has a cursor of its own, and each of them goes back."""

from __future__ import annotations

from pathlib import Path

import structlog
from click.testing import CliRunner, Result

from openfuse_collector.cli.main import main
from openfuse_collector.config.service import CollectorConfig, load
from openfuse_collector.journal.rewind import stopped
from tests.pipeline.test_graph import Machine, count, request

CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: localhost:0}}}}
connectors: {genai: {}, genai/other: {}}
exporters:
  sqlite: {path: PATH/a.db}
  sqlite/other: {path: PATH/b.db}
  debug: {}
service:
  journal: {directory: PATH/journal, retain: 1h, min_free_disk: 1MiB}
  pipelines:
    traces: {receivers: [otlp], exporters: [genai, genai/other, debug]}
    events: {receivers: [genai], exporters: [sqlite]}
    events/other: {receivers: [genai/other], exporters: [sqlite/other]}
"""
DESTINATIONS = ["traces", "traces@debug", "traces@genai/other"]


def configured(tmp_path: Path) -> CollectorConfig:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("PATH", str(tmp_path)))
    return load([str(path)], [])


async def stored(tmp_path: Path, *traces: int) -> None:
    """A collector takes these traces and stops."""
    running = Machine(configured(tmp_path))
    await running.graph.start()
    for trace in traces:
        await running.accept(request(trace))
    assert await running.stop()


def rewound(tmp_path: Path, *options: str) -> Result:
    arguments = ["rewind", "--config", str(tmp_path / "config.yaml"), "--since", "2020-01-01", *options]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.stderr
    return done


async def test_the_store_behind_the_second_destination_gets_everything_again(tmp_path: Path) -> None:
    await stored(tmp_path, *range(1, 6))
    for file in tmp_path.glob("b.db*"):
        file.unlink()
    told = rewound(tmp_path)
    assert sorted(line.split()[0] for line in told.stdout.splitlines() if line.startswith("traces")) == DESTINATIONS
    assert "note: debug will get these requests a second time" in told.stderr
    await stored(tmp_path)
    assert (count(tmp_path / "a.db", "traces"), count(tmp_path / "b.db", "traces")) == (5, 5)


async def test_what_the_journal_does_not_know_to_be_stored_is_told(tmp_path: Path) -> None:
    """As after a crash: stores commit their cursor with the data, the journal's follows seconds later."""
    await stored(tmp_path, 1, 2)
    with stopped(tmp_path / "journal", structlog.get_logger()) as journal:
        journal.rewind(DESTINATIONS, 0)
    told = rewound(tmp_path, "--dry-run")
    requests = {line.split()[0]: line.split()[1] for line in told.stdout.splitlines() if line.startswith("traces")}
    assert requests == {"traces": "2", "traces@genai/other": "2", "traces@debug": "0"}


async def test_a_dry_run_moves_none_of_them(tmp_path: Path) -> None:
    await stored(tmp_path, 1)
    before = (tmp_path / "journal" / "cursors.json").read_bytes()
    told = rewound(tmp_path, "--dry-run")
    assert all(line.split()[1] == "1" for line in told.stdout.splitlines() if line.startswith("traces"))
    assert (tmp_path / "journal" / "cursors.json").read_bytes() == before

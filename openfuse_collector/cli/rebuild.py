"""`rebuild`: make the rows of a store again from raw events, map kept spans again, compute costs with today's prices."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import click
import structlog

from openfuse_collector.cli.options import config_options, load_config
from openfuse_collector.cli.traces import Since
from openfuse_collector.cli.views.rebuild import follow, report_lines
from openfuse_collector.component import Kind, Settings
from openfuse_collector.components import factory
from openfuse_collector.config.service import CollectorConfig
from openfuse_collector.config.types import Duration
from openfuse_collector.connectors.genai.raw_spans import remapping
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.rebuild import PATIENCE, Rebuild
from openfuse_collector.exporters.sqlite.store import connect
from openfuse_collector.pipeline.dead_letters import DeadLetters
from openfuse_collector.store.enrichment import configured_enrichment
from openfuse_collector.store.rebuild import Selection
from openfuse_collector.telemetry.logs import configure_logs
from openfuse_collector.telemetry.metrics import Metrics


@click.command()
@click.option(
    "--store",
    "path",
    type=click.Path(path_type=Path),
    envvar="OPENFUSE_STORE",
    show_envvar=True,
    help="The SQLite file. Default: the one in the configuration.",
)
@click.option("--project", help="Only entities of this project.")
@click.option("--trace", help="Only this trace, its observations and its scores.")
@click.option(
    "--since", type=Since(), help="Only what something was received of since: 15m, 2h, 1d, or an ISO 8601 time."
)
@click.option("--remap", is_flag=True, help="Map kept spans again first (needs raw_spans: true on the connector).")
@click.option(
    "--reprice", is_flag=True, help="Say what becomes of the cost; without --remap, look at observations only."
)
@click.option("--prune", is_flag=True, help="Remove rows that no raw event stands behind.")
@click.option("--dry-run", is_flag=True, help="Write nothing, only say what would be written.")
@config_options
def rebuild(path: Path | None, sources: tuple[str, ...], sets: tuple[str, ...], **options: Any) -> None:
    """Make the rows of a store again from its raw events, write those that differ, and say in what.

    The collector may be running or not. A rebuild may be stopped at any time and run again.
    """
    config = load_config(sources, sets)
    store = _store(config, path)
    try:
        with closing(_connect(store, options["dry_run"])) as connection:
            sys.exit(_run(connection, config, Path(store.path), **options))
    except sqlite3.Error as error:
        raise click.ClickException(f"{store.path}: {error}") from error


def _run(
    connection: sqlite3.Connection,
    config: CollectorConfig,
    path: Path,
    *,
    project: str | None,
    trace: str | None,
    since: int | None,
    remap: bool,
    reprice: bool,
    prune: bool,
    dry_run: bool,
) -> int:
    """The exit code: 1 when it was stopped or something could not be rebuilt."""
    log = configure_logs(config.service.telemetry.logs.level, config.service.telemetry.logs.encoding)
    selection = Selection(project, trace, since, "observation" if reprice and not remap else None)
    made = Rebuild(connection, configured_enrichment(ConfiguredExtensions(config, log)), selection, dry_run=dry_run)
    finished = True
    try:
        for step, shares in _steps(made, remap, prune):
            follow(step, shares, log)
    except KeyboardInterrupt:
        finished = False
    for line in report_lines(made.report, path, cost=reprice, pruned=prune, dry_run=dry_run):
        click.echo(line)
    if not finished:
        click.echo("stopped before the end; run it again for the rest", err=True)
    return 0 if finished and not made.report.failures else 1


def _steps(made: Rebuild, remap: bool, prune: bool) -> Iterator[tuple[str, Iterator[float]]]:
    if remap:
        yield "mapping spans again", made.remap(remapping())
    yield "folding events", made.refold()
    yield "looking for rows without events", made.orphans(prune=prune)


def _store(config: CollectorConfig, path: Path | None) -> SqliteConfig:
    """The settings of the store to work on: those of the exporter that has this path, else of the only one."""
    configured = [exporter for exporter in config.exporters.values() if isinstance(exporter, SqliteConfig)]
    if path is not None:
        same = (store for store in configured if Path(store.path).absolute() == path.absolute())
        return replace(next(same, SqliteConfig()), path=str(path))
    if len(configured) == 1:
        return configured[0]
    paths = ", ".join(store.path for store in configured) or "none"
    raise click.UsageError(f"name the store with --store (the configuration has: {paths})")


def _connect(store: SqliteConfig, dry_run: bool) -> sqlite3.Connection:
    """A connection in autocommit mode; read-only for a dry run. Raises ClickException for a file that is no store."""
    path = Path(store.path)
    if not path.is_file():
        raise click.ClickException(
            f"no store at {path}: start one with `openfuse-collector run`, or name it with --store"
        )
    with closing(_reader(path)) as reader:
        found = reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'openfuse_schema_migrations'").fetchone()
    if not found:
        raise click.ClickException(f"{path} is no store of this program")
    if dry_run:
        return _reader(path)
    return connect(replace(store, busy_timeout=Duration(PATIENCE)))


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE, isolation_level=None)


@dataclass(frozen=True)
class ConfiguredExtensions:
    """The extensions a collector with this configuration has; made when asked for, never started."""

    config: CollectorConfig
    log: structlog.stdlib.BoundLogger

    def extension(self, type: str) -> Any | None:
        """The one of that type, None when none is in use."""
        id = next((id for id in self.config.service.extensions if id.type == type), None)
        if id is None:
            return None
        metrics = Metrics()
        letters = DeadLetters(Path(self.config.service.journal.directory) / "dead-letters", Flag(), metrics, self.log)
        settings = Settings(id, self.log, metrics, letters)
        return factory(Kind.EXTENSION, id.type).create(settings, self.config.extensions[id])

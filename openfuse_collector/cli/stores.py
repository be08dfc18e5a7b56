"""Which store a command works on: the exporter of the configuration that is one, or a SQLite file named on the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from threading import Event as Flag
from typing import Any, TypeVar, cast

import click
import structlog

from openfuse_collector.cli.options import config_options, load_config
from openfuse_collector.component import ComponentID, Kind, Settings
from openfuse_collector.components import factory
from openfuse_collector.config.service import CollectorConfig
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.errors import CollectorError
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.store.operations import Operations
from openfuse_collector.store.retention import RetentionConfig
from openfuse_collector.telemetry.logs import configure_logs
from openfuse_collector.telemetry.metrics import Metrics

F = TypeVar("F", bound=Callable[..., Any])

_store = click.option(
    "--store",
    "path",
    type=click.Path(path_type=Path),
    help="A SQLite file. Default: the store in the configuration; without --config and --exporter what OPENFUSE_STORE names.",
)
_exporter = click.option(
    "--exporter",
    metavar="ID",
    help="Which store of the configuration, such as greptimedb/eu. Not needed where there is one.",
)


def store_options(command: F) -> F:
    """Adds `--store`, `--exporter`, `--config` and `--set`; the command takes them as `path`, `exporter`, `sources` and `sets`.

    The variable OPENFUSE_STORE stands in for `--store` where no option says which store is meant.
    """

    @wraps(command)
    def chosen(path: Path | None, exporter: str | None, sources: tuple[str, ...], **others: Any) -> Any:
        variable = None if exporter or sources else os.environ.get("OPENFUSE_STORE")
        if path is None and variable:
            path = Path(variable)
        return command(path=path, exporter=exporter, sources=sources, **others)

    return _store(_exporter(config_options(cast(F, chosen))))


@dataclass(frozen=True)
class Chosen:
    """A store, opened, and the configuration it is from."""

    store: Operations
    retention: RetentionConfig
    config: CollectorConfig
    log: structlog.stdlib.BoundLogger


@contextmanager
def opened(
    path: Path | None, exporter: str | None, sources: tuple[str, ...], sets: tuple[str, ...]
) -> Iterator[Chosen]:
    """The store the options name. What goes wrong with it becomes a message and exit code 1."""
    config = load_config(sources, sets)
    type, settings = choose(config, path, exporter)
    logs = config.service.telemetry.logs
    operations = factory(Kind.EXPORTER, type).operations
    assert operations is not None
    try:
        store: Operations = operations(settings)
    except CollectorError as error:
        raise click.ClickException(str(error)) from error
    with closing(store):
        try:
            store.check()
            yield Chosen(store, settings.retention, config, configure_logs(logs.level, logs.encoding))
        except CollectorError as error:
            raise click.ClickException(str(error)) from error
        except store.failures as error:
            raise click.ClickException(store.explain(error)) from error


def choose(config: CollectorConfig, path: Path | None, exporter: str | None) -> tuple[str, Any]:
    """(exporter type, settings) of the store to work on. Raises UsageError where that is not clear."""
    stores = stores_of(config)
    if path is not None:
        files = [one for one in stores.values() if isinstance(one, SqliteConfig)]
        same = (one for one in files if os.path.realpath(one.path) == os.path.realpath(path))
        return "sqlite", replace(next(same, files[0] if len(files) == 1 else SqliteConfig()), path=str(path))
    named = {str(id): id for id in stores}
    if exporter in named:
        return named[exporter].type, stores[named[exporter]]
    if exporter is None and len(stores) == 1:
        id, settings = next(iter(stores.items()))
        return id.type, settings
    raise click.UsageError(
        f"name the store with --exporter, or with --store for a file (the configuration has: {', '.join(named) or 'none'})"
    )


def stores_of(config: CollectorConfig) -> dict[ComponentID, Any]:
    """The exporters that are stores, with their settings."""
    return {id: one for id, one in config.exporters.items() if factory(Kind.EXPORTER, id.type).operations is not None}


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


def confirmed(question: str, yes: bool) -> None:
    """Goes on when somebody said yes, on the command line or now; ends with 1 otherwise."""
    if yes:
        return
    if not _interactive():
        raise click.ClickException(f"{question} Nobody is there to ask: say --yes, or look first with --dry-run")
    click.confirm(question, abort=True, err=True)


def _interactive() -> bool:
    return sys.stdin.isatty()

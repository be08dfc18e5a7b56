"""`schema`: the tables of a GreptimeDB store, for those who create them by hand, and what a database lacks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from openfuse_collector.cli.options import config_options, load_config
from openfuse_collector.exporters.greptimedb.partitions import COUNTS

if TYPE_CHECKING:
    from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig

T = TypeVar("T")

_exporter = click.option(
    "--exporter",
    metavar="ID",
    help="Which greptimedb exporter of the configuration, such as greptimedb/eu. Not needed where there is one.",
)
_partitions = click.option(
    "--partitions",
    type=click.Choice([str(count) for count in COUNTS]),
    default="1",
    show_default=True,
    help="Divide new tables into so many regions, for a cluster. Tables that are there stay as they are.",
)


@click.group()
def schema() -> None:
    """Print, apply or compare the schema of a GreptimeDB store."""


@schema.command("print")
@config_options
@_exporter
@_partitions
def print_command(sources: tuple[str, ...], sets: tuple[str, ...], exporter: str | None, partitions: str) -> None:
    """Print the SQL that makes database and tables. Asks no server."""
    from openfuse_collector.exporters.greptimedb import ddl

    config = _store(sources, sets, exporter)
    statements = [ddl.create_database(config.database)]
    if config.ttl is not None:
        statements.append(ddl.set_ttl(config.database, config.ttl))
    for statement in (*statements, *ddl.missing({}, int(partitions))):
        click.echo(f"{statement};\n")


@schema.command("apply")
@config_options
@_exporter
@_partitions
def apply_command(sources: tuple[str, ...], sets: tuple[str, ...], exporter: str | None, partitions: str) -> None:
    """Create what is missing of database, tables, columns and indexes. May be run at any time, by several at once."""
    from openfuse_collector.exporters.greptimedb import migrations
    from openfuse_collector.exporters.greptimedb.sql import SqlClient

    config = _store(sources, sets, exporter)
    by = "openfuse-collector schema apply"
    with SqlClient(config) as client:
        statements = _asking(lambda: migrations.apply(client, config, by, int(partitions)))
    click.echo(f"database {config.database}: {statements} statements applied" if statements else "nothing was missing")


@schema.command("diff")
@config_options
@_exporter
def diff_command(sources: tuple[str, ...], sets: tuple[str, ...], exporter: str | None) -> None:
    """Print what a database lacks or has otherwise, and the SQL that mends it. Exits with 1 when there is anything."""
    from openfuse_collector.exporters.greptimedb import migrations
    from openfuse_collector.exporters.greptimedb.sql import SqlClient

    config = _store(sources, sets, exporter)
    with SqlClient(config) as client:
        found = _asking(lambda: list(migrations.differences(client, config.database)))
    for difference in found:
        click.echo(f"-- {difference.what}")
        if difference.statement:
            click.echo(f"{difference.statement};\n")
    sys.exit(1 if found else 0)


def _asking(ask: Callable[[], T]) -> T:
    """What the server answers; what goes wrong is a sentence."""
    from openfuse_collector.exporters.greptimedb.errors import CallError, consume_error

    try:
        return ask()
    except CallError as error:
        raise click.ClickException(str(consume_error(error))) from error


def _store(sources: Sequence[str], sets: Sequence[str], wanted: str | None) -> GreptimedbConfig:
    """The settings of the exporter that is named, else of the only one; without any options the defaults."""
    from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig

    exporters = load_config(sources, sets).exporters if sources or sets else {}
    stores = {str(id): config for id, config in exporters.items() if isinstance(config, GreptimedbConfig)}
    if wanted is not None and wanted in stores:
        return stores[wanted]
    if wanted is None and len(stores) == 1:
        return next(iter(stores.values()))
    if wanted is None and not stores and not sources and not sets:
        return GreptimedbConfig()
    if not stores:
        raise click.UsageError("the configuration has no greptimedb exporter: name one that has with --config")
    raise click.UsageError(f"name the store with --exporter (the configuration has: {', '.join(stores)})")

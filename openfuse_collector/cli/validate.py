"""`validate`: read, expand, decode and check a configuration; start nothing."""

from __future__ import annotations

import click

from openfuse_collector.cli.options import ConfigCommand, config_options, load_config


@click.command(cls=ConfigCommand)
@config_options
def validate(sources: tuple[str, ...], sets: tuple[str, ...]) -> None:
    """Check a configuration without starting anything.

    Prints every mistake with its file, line and path on stderr and exits with 1 when there is one.
    """
    load_config(sources, sets)
    click.echo("configuration is valid")

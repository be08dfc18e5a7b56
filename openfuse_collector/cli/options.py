"""Options that several commands share: where the configuration comes from, and what happens when it is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import openfuse_collector

if TYPE_CHECKING:
    from openfuse_collector.config.service import CollectorConfig

F = TypeVar("F", bound=Callable[..., Any])

_config = click.option(
    "--config",
    "sources",
    multiple=True,
    metavar="SOURCE",
    help="A YAML file, or file:, env: or yaml: and what it names. Repeatable: later ones win. Default: the built-in configuration.",
)
_set = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="One setting on top, such as exporters.sqlite.path=/data/traces.db. Repeatable.",
)

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people or for programs.",
)
"""`--format`, which the command takes as `form`."""


class ConfigCommand(click.Command):
    """A command whose subject is the configuration: a file that stands alone is told the option it belongs to."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it."""
        files = [arg for arg in args if arg.endswith((".yaml", ".yml"))]
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if files and "unexpected extra argument" in error.message:
                raise click.UsageError(f"{error.message}: write --config {files[-1]}", ctx) from None
            raise


def config_options(command: F) -> F:
    """Adds `--config` and `--set`; the command takes them as `sources` and `sets`."""
    return _config(_set(command))


def default_config() -> Path:
    """The built-in configuration: inside the installed package, or in `config/` of a source checkout."""
    package = Path(openfuse_collector.__file__).parent
    installed = package / "config" / "default.yaml"
    return installed if installed.exists() else package.parent / "config" / "default.yaml"


def load_config(sources: Sequence[str], sets: Sequence[str]) -> CollectorConfig:
    """The configuration the options name. Its mistakes are printed on stderr, one a line, and end the process with 1."""
    from openfuse_collector.config.service import load
    from openfuse_collector.errors import ConfigError

    try:
        return load(sources or (f"file:{default_config()}",), sets, warn=_warn)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(1)


def _warn(message: str) -> None:
    click.echo(f"warning: {message}", err=True)

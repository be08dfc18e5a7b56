"""`print-config`: the configuration as it would run, as one document with all defaults."""

from __future__ import annotations

from typing import Any

import click

from openfuse_collector.cli.options import ConfigCommand, config_options, load_config


@click.command(cls=ConfigCommand)
@config_options
@click.option(
    "--mode",
    type=click.Choice(["redacted", "unredacted"]),
    default="redacted",
    show_default=True,
    help="Whether credentials are masked.",
)
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def print_config(sources: tuple[str, ...], sets: tuple[str, ...], mode: str, form: str) -> None:
    """Print the configuration that would run, defaults included.

    All sources are merged, references are expanded and checked. What is printed unredacted can be loaded again.
    """
    from openfuse_collector.config.dump import dump

    tree = dump(load_config(sources, sets), masked=mode == "redacted")
    click.echo(_FORMATS[form](tree), nl=False)


def _yaml(tree: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.dump(tree, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def _json(tree: dict[str, Any]) -> str:
    import json

    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


_FORMATS = {"yaml": _yaml, "json": _json}

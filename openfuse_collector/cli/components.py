"""`components`: every component type that can be configured, built in or plugged in."""

from __future__ import annotations

import sys
from typing import TypedDict

import click

from openfuse_collector.component import Factory, Kind
from openfuse_collector.components import Offer, offers
from openfuse_collector.errors import ConfigError

_WIDE = 200
"""Columns where there is no terminal to ask: wide enough for one line a row."""


class Row(TypedDict):
    """One line of the listing; every value is text."""

    kind: str
    type: str
    signals: str
    stability: str
    distribution: str


@click.command()
@click.option("--format", "form", type=click.Choice(["table", "yaml"]), default="table", show_default=True)
def components(form: str) -> None:
    """List the component types that can be configured."""
    rows = [_row(offer) for offer in offers()]
    if form == "yaml":
        import yaml

        click.echo(yaml.safe_dump(rows, sort_keys=False, allow_unicode=True, width=120), nl=False)
    else:
        _print_table(rows)


def _row(offer: Offer) -> Row:
    """A type that cannot be loaded (a package it needs is missing, say) is listed too; the reason goes to stderr."""
    try:
        factory = offer.load()
        signals, stability = _signals(factory), factory.stability
    except ConfigError as error:
        click.echo(f"{offer.kind}: {error}", err=True)
        signals, stability = "", "unavailable"
    return Row(
        kind=offer.kind.value,
        type=offer.type,
        signals=signals,
        stability=stability,
        distribution=offer.distribution,
    )


def _signals(factory: Factory) -> str:
    names = ", ".join(sorted(factory.signals))
    return f"{names} -> {', '.join(sorted(factory.emits))}" if factory.kind is Kind.CONNECTOR else names


def _print_table(rows: list[Row]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for name in Row.__annotations__:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)

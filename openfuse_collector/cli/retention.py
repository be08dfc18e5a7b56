"""`retention`: one pass of what the running collector does at an interval."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

import click

from openfuse_collector.cli.stores import opened, store_options
from openfuse_collector.cli.views.rebuild import follow
from openfuse_collector.cli.views.removal import removal_lines
from openfuse_collector.clock import epoch_millis


@click.command()
@click.option("--dry-run", is_flag=True, help="Remove nothing, only say what would be removed.")
@store_options
def retention(
    path: Path | None, exporter: str | None, sources: tuple[str, ...], sets: tuple[str, ...], dry_run: bool
) -> None:
    """Remove what is older than the limits in the exporter's `retention` setting. The collector may be running."""
    with opened(path, exporter, sources, sets) as chosen:
        store = chosen.store
        if not chosen.retention.limited:
            click.echo(
                f"{store.where}: nothing expires; set exporters::<id>::retention, such as `retention: {{default: 30d}}`",
                err=True,
            )
            sys.exit(0)
        made = store.expiry(dry_run=dry_run)
        with nullcontext() if dry_run else store.changing("retention"):
            follow("removing what has expired", made.expire(chosen.retention, epoch_millis()), chosen.log)
        for line in removal_lines(made.removed, store.where, "removed", dry_run=dry_run):
            click.echo(line)

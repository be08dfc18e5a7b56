"""`verify`: what a store has against what its raw events say, field by field. Reads only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from openfuse_collector.cli.options import format_option
from openfuse_collector.cli.rebuild import selection_of, selection_options
from openfuse_collector.cli.stores import ConfiguredExtensions, opened, store_options
from openfuse_collector.cli.views.rebuild import follow
from openfuse_collector.cli.views.verify import as_json, verdict_lines
from openfuse_collector.store.enrichment import configured_enrichment


@click.command()
@selection_options
@format_option
@store_options
def verify(
    path: Path | None, exporter: str | None, sources: tuple[str, ...], sets: tuple[str, ...], form: str, **options: Any
) -> None:
    """Compare every row of a store with what its raw events say, and list the discrepancies. Writes nothing.

    The collector may be running. Exits with 1 when there is a discrepancy.
    """
    with opened(path, exporter, sources, sets) as chosen:
        enrich = configured_enrichment(ConfiguredExtensions(chosen.config, chosen.log))
        made = chosen.store.rebuild(enrich, selection_of(options), dry_run=True)
        follow("comparing rows with events", made.refold(), chosen.log)
        follow("looking for rows without events", made.orphans(prune=False), chosen.log)
        if form == "json":
            click.echo(as_json(made.report, chosen.store.where))
        else:
            for line in verdict_lines(made.report, chosen.store.where):
                click.echo(line)
        sys.exit(1 if made.report.discrepancies or made.report.failed else 0)

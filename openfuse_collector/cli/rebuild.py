"""`rebuild`: make the rows of a store again from raw events, map kept spans again, compute costs with today's prices."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from openfuse_collector.cli.merging import merge
from openfuse_collector.cli.resume import Resume
from openfuse_collector.cli.since import Since
from openfuse_collector.cli.stores import Chosen, ConfiguredExtensions, F, opened, store_options
from openfuse_collector.cli.views.rebuild import follow, report_lines
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.text import clean
from openfuse_collector.store.enrichment import configured_enrichment
from openfuse_collector.store.operations import Rebuilding
from openfuse_collector.store.rebuild import Selection

TABLES = {table: kind for kind, table in PROJECTIONS.items()}
"""Table -> entity type."""

_SELECTION: tuple[Callable[[Any], Any], ...] = (
    click.option("--project", help="Only entities of this project."),
    click.option("--trace", help="Only this trace and what belongs to it."),
    click.option("--entity", help="Only the trace, observation, score or run item with this id."),
    click.option("--table", type=click.Choice(list(TABLES)), help="Only rows of this table."),
    click.option(
        "--since", type=Since(), help="Only what something was received of since: 15m, 2h, 1d, or an ISO 8601 time."
    ),
)


def selection_options(command: F) -> F:
    """Adds the options that say which entities to go over; see `selection_of`."""
    for option in reversed(_SELECTION):
        command = option(command)
    return command


def selection_of(options: dict[str, Any], table: str | None = None) -> Selection:
    """The selection that the options make; `table` where none is named."""
    named = options["table"] or table
    kind = None if named is None else TABLES[named]
    # Bytes that are no UTF-8 come from a command line as lone surrogates, which no store has.
    project, trace, entity = (
        None if options[name] is None else clean(options[name]) for name in ("project", "trace", "entity")
    )
    return Selection(project, trace, options["since"], kind, entity)


@click.command()
@selection_options
@click.option(
    "--remap",
    is_flag=True,
    help="Map kept spans again first, those of whole traces (needs raw_spans: true on the connector; not with --table).",
)
@click.option(
    "--reprice", is_flag=True, help="Say what becomes of the cost; without --remap, look at observations only."
)
@click.option("--prune", is_flag=True, help="Remove rows that no raw event stands behind.")
@click.option("--dry-run", is_flag=True, help="Write nothing, only say what would be written.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep in this file how far it is, and go on there if the file exists.",
)
@store_options
def rebuild(
    path: Path | None, exporter: str | None, sources: tuple[str, ...], sets: tuple[str, ...], **options: Any
) -> None:
    """Make the rows of a store again from its raw events, write those that differ, and say in what.

    The collector may be running or not. A rebuild may be stopped at any time and run again.
    """
    if options["remap"] and options["table"]:
        raise click.UsageError(
            "--remap and --table do not go together, because a span makes rows of several tables: leave --table out, and select "
            "by --project, --trace, --entity or --since"
        )
    with opened(path, exporter, sources, sets) as chosen:
        sys.exit(_run(chosen, options))


def _run(chosen: Chosen, options: dict[str, Any]) -> int:
    """The exit code: 1 when it was stopped or something could not be rebuilt."""
    store, dry_run, prune = chosen.store, options["dry_run"], options["prune"]
    remap, reprice = options["remap"], options["reprice"]
    selection = selection_of(options, "observations" if reprice and not remap else None)
    resume = Resume(options["resume"], {"store": store.where, **_about(options)}, selection.since)
    selection = replace(selection, since=resume.since)
    enrich = configured_enrichment(ConfiguredExtensions(chosen.config, chosen.log))
    made = store.rebuild(enrich, selection, dry_run=dry_run)
    finished = True
    try:
        with nullcontext() if dry_run else store.changing("rebuild"):
            for step, shares in _steps(made, resume, remap, prune):
                follow(step, shares, chosen.log)
            resume.done()  # before anything else can go wrong: nothing is left to go on with
    except KeyboardInterrupt:
        finished = False
    for line in report_lines(made.report, store.where, cost=reprice, pruned=prune, dry_run=dry_run):
        click.echo(line)
    if not finished:
        click.echo("stopped before the end; run it again for the rest", err=True)
    elif not dry_run:
        merge(chosen)
    return 0 if finished and not made.report.failed else 1


def _steps(made: Rebuilding, resume: Resume, remap: bool, prune: bool) -> Iterator[tuple[str, Iterator[float]]]:
    if remap and resume.position is None:  # what it maps is written before anything is folded
        from openfuse_collector.connectors.genai.raw_spans import remapping

        yield "mapping spans again", made.remap(remapping())
    yield "folding events", resume.kept(made, made.refold(resume.position))
    yield "looking for rows without events", made.orphans(prune=prune)


def _about(options: dict[str, Any]) -> dict[str, Any]:
    """What has to be the same for one rebuild to go on where another stopped; `--since` is kept as it was."""
    return {name: value for name, value in options.items() if name not in ("resume", "since")}

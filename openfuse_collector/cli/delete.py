"""`delete`: traces or a project leave a store, and do not come back with what is sent or replayed again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import click

from openfuse_collector.cli.merging import merge
from openfuse_collector.cli.stores import Chosen, F, confirmed, opened, store_options
from openfuse_collector.cli.views.rebuild import follow
from openfuse_collector.cli.views.removal import removal_lines
from openfuse_collector.events.event import Entity
from openfuse_collector.events.text import clean
from openfuse_collector.store.operations import Deleting, Removed

Work = Callable[[Deleting], Iterator[float]]

KEPT = 3
"""Exit code: deleted, but payloads that were to be erased are still in the store."""

NOT_STORED_YET = (
    "what a collector has received of it and not stored yet is not deleted: if it shows again later, delete it again"
)
"""Of a trace, and of several. A project's tombstone holds for that as well."""

_FLAGS: tuple[Callable[[F], F], ...] = (
    click.option("--erase", is_flag=True, help="Also remove payloads from the disk, as far as the store can."),
    click.option("--dry-run", is_flag=True, help="Delete nothing, only say what would be deleted."),
    click.option("--yes", is_flag=True, help="Do not ask."),
)


def deletion_options(command: F) -> F:
    """Adds the options both commands have."""
    for option in reversed(_FLAGS):
        command = option(command)
    return store_options(command)


@click.group()
def delete() -> None:
    """Delete traces or a whole project from a store. The collector may be running."""


@delete.command("trace")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--project", help="The project of the traces; needed where several have a trace of that id.")
@deletion_options
def trace_command(
    path: Path | None,
    exporter: str | None,
    sources: tuple[str, ...],
    sets: tuple[str, ...],
    ids: tuple[str, ...],
    project: str | None,
    erase: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Delete traces with their observations, scores and dataset run items.

    A trace stays deleted until something new is received of it; what was received before and is sent again is nothing new.
    Exits with 3 when --erase leaves payloads in the store.
    """
    with opened(path, exporter, sources, sets) as chosen:
        traces, missing = _found(chosen, ids, None if project is None else clean(project))
        for id in missing:
            click.echo(f"{chosen.store.where}: no trace {id} (a deletion takes whole ids)", err=True)
        kept = False
        if traces:
            names = ", ".join(f"{trace.id} of project {trace.project_id}" for trace in traces[:5])
            more = f" and {len(traces) - 5:,} more" if len(traces) > 5 else ""
            question = f"Delete {names}{more} from {chosen.store.where}{_for_good(chosen, erase)}"
            removed = _delete(chosen, question, lambda made: made.traces(traces), erase=erase, dry_run=dry_run, yes=yes)
            kept = removed.kept
            if removed.entities.total() and not dry_run:
                click.echo(f"\n{NOT_STORED_YET}")
        sys.exit(1 if missing else KEPT if kept else 0)


@delete.command("project")
@click.argument("project", metavar="ID")
@deletion_options
def project_command(
    path: Path | None,
    exporter: str | None,
    sources: tuple[str, ...],
    sets: tuple[str, ...],
    project: str,
    erase: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Delete everything received for a project so far. What is received from then on is stored as ever.

    Exits with 3 when --erase leaves payloads in the store.
    """
    with opened(path, exporter, sources, sets) as chosen:
        project = clean(project)
        question = f"Delete everything of project {project} from {chosen.store.where}{_for_good(chosen, erase)}"
        removed = _delete(chosen, question, lambda made: made.project(project), erase=erase, dry_run=dry_run, yes=yes)
        sys.exit(KEPT if removed.kept else 0)


def _delete(chosen: Chosen, question: str, work: Work, *, erase: bool, dry_run: bool, yes: bool) -> Removed:
    """Asks, deletes and tells what was removed."""
    store = chosen.store
    if not dry_run:
        confirmed(question, yes)
    made = store.deletion(erase=erase, dry_run=dry_run)
    with nullcontext() if dry_run else store.changing("delete"):
        follow("deleting", work(made), chosen.log)
    for line in removal_lines(made.removed, store.where, "deleted", dry_run=dry_run):
        click.echo(line)
    unmerged = [] if dry_run else merge(chosen)
    if erase and unmerged:
        made.removed.kept = True
        click.echo(f"\nnot erased: what was deleted is in files of {', '.join(unmerged)} until those are merged")
    return made.removed


def _found(chosen: Chosen, ids: tuple[str, ...], project: str | None) -> tuple[list[Entity], list[str]]:
    """The traces of these ids, and the ids that nobody has. Raises UsageError where it is not clear which trace is meant."""
    traces: list[Entity] = []
    missing: list[str] = []
    for id in dict.fromkeys(map(clean, ids)):
        found = chosen.store.find_traces(id, project)
        if len(found) > 1:
            projects = ", ".join(trace.project_id for trace in found)
            raise click.UsageError(f"trace {id} is in several projects ({projects}): name one with --project")
        traces += found
        missing += [] if found else [id]
    return traces, missing


def _for_good(chosen: Chosen, erase: bool) -> str:
    """The end of the question: what becomes of payloads."""
    if not erase:
        return "?"
    if chosen.store.erases:
        return " and erase its payloads for good?"
    return ", though this store cannot erase payloads (they stay in raw_events)?"

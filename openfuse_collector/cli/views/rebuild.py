"""How a rebuild shows: a bar while it runs (log lines where there is no terminal), and what it has found as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from openfuse_collector.cli.views.counted import counted
from openfuse_collector.cli.views.format import clean
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.store.rebuild import PICO, Report
from openfuse_collector.telemetry.limited import Seldom

LOGGED_EVERY = 5.0
"""Seconds between two log lines of a step."""

SHOWN_FAILURES = 10


def follow(step: str, shares: Iterable[float], log: structlog.stdlib.BoundLogger) -> None:
    """Run a step, given as the shares done so far, to its end."""
    console = Console(stderr=True)
    if not console.is_terminal:
        _log_progress(step, shares, log)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(step, total=1.0)
        for share in shares:
            progress.update(task, completed=share)


def _log_progress(step: str, shares: Iterable[float], log: structlog.stdlib.BoundLogger) -> None:
    """A line at the beginning and every few seconds: a step that is over at once has one."""
    seldom = Seldom(LOGGED_EVERY)
    for share in shares:
        if seldom.due(step) is not None:
            log.info(step, percent=round(100 * share))


def report_lines(report: Report, where: str, *, cost: bool, pruned: bool, dry_run: bool) -> Iterator[str]:
    """The findings, for people."""
    tables = report.tables.values()
    written = sum(table.changed + table.added + table.removed for table in tables)
    checked = sum(table.checked for table in tables)
    done = "would change (dry run)" if dry_run else "changed"
    yield f"{where}: {counted(checked, 'entity', 'entities')}, {counted(written, 'row')} {done}"
    yield from _mapping_lines(report, dry_run)
    if tables:
        yield ""
        yield f"{'table':18}{'entities':>12}{'changed':>10}{'added':>10}{'removed':>10}{'no events':>12}"
    for kind, name in PROJECTIONS.items():
        if (table := report.tables.get(kind)) is not None:
            counts = f"{table.checked:12,}{table.changed:10,}{table.added:10,}{table.removed:10,}"
            yield f"{name:18}{counts}{table.without_events + table.left_behind:12,}"
    yield from _column_lines(report)
    if cost:
        yield from _cost_lines(report)
    orphans = sum(table.without_events + table.left_behind for table in tables)
    if orphans and not (pruned and not dry_run):
        yield f"\n{counted(orphans, 'row')} without a raw event; --prune removes what has none"
    yield from failure_lines(report, "could not be rebuilt and stay as they are")


def _mapping_lines(report: Report, dry_run: bool) -> Iterator[str]:
    if report.spans:
        added = "would be added" if dry_run else "added"
        yield f"{report.spans:,} spans mapped again ({report.unmapped:,} cannot be mapped), {report.events:,} events {added}"
    if report.left_over:
        yield f"{report.left_over:,} events of older mappings have no successor; what only they say stays"


def _column_lines(report: Report) -> Iterator[str]:
    changed = [
        (f"{name}.{column}", rows)
        for kind, name in PROJECTIONS.items()
        if kind in report.tables
        for column, rows in report.tables[kind].columns.most_common()
    ]
    if changed:
        yield ""
        yield f"{'column':44}{'rows':>12}"
    for column, rows in changed:
        yield f"{column:44}{rows:12,}"


def _cost_lines(report: Report) -> Iterator[str]:
    table = report.table("observation")
    before, after = table.cost_before / PICO, table.cost_after / PICO
    yield f"\ncost of these observations: ${before:,.6f} before, ${after:,.6f} after ({after - before:+,.6f})"


def failure_lines(report: Report, what: str) -> Iterator[str]:
    """The first entities that could not be dealt with; `what` says what became of them."""
    if report.failed:
        yield f"\n{report.failed:,} {what}:"
        yield from (f"  {clean(failure)}" for failure in report.failures[:SHOWN_FAILURES])

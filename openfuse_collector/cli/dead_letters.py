"""`dead-letters`: what was refused for good and why; offering it again, or letting it go. Works beside a running collector."""

from __future__ import annotations

import fcntl
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from openfuse_collector.cli.options import config_options, format_option, load_config
from openfuse_collector.cli.since import Since
from openfuse_collector.cli.views import dead_letters as view
from openfuse_collector.dead_letters.file import LetterFile

F = TypeVar("F", bound=Callable[..., Any])

_SELECTION = (
    click.option("--component", help="Only what this component refused."),
    click.option("--since", type=Since(), help="Only what was refused since: 15m, 2h, 1d, or an ISO 8601 time."),
    click.option("--project", help="Only data of this project."),
)
_ALL = click.option("--all", "everything", is_flag=True, help="All there are.")


def _selection(command: F) -> F:
    for option in _SELECTION:
        command = option(command)
    return command


@click.group("dead-letters")
def dead_letters() -> None:
    """Look into what was refused for good, and replay it."""


@dead_letters.command("list")
@_selection
@format_option
@config_options
def list_command(form: str, sources: tuple[str, ...], sets: tuple[str, ...], **filters: Any) -> None:
    """List dead letters, oldest first."""
    directory = _journal(sources, sets) / "dead-letters"
    with _file(directory) as file:
        rows = file.rows(f"state != 'gone' AND {_condition(filters)}", _values(filters)) if file else []
    if form == "json":
        click.echo(view.as_json(rows))
    elif rows:
        view.print_table(rows)
    else:
        click.echo(f"no dead letters in {directory}", err=True)


@dead_letters.command("show")
@click.argument("id")
@config_options
def show_command(id: str, sources: tuple[str, ...], sets: tuple[str, ...]) -> None:
    """Show one letter: who refused it, why, and what is in it. The beginning of an id will do."""
    directory = _journal(sources, sets) / "dead-letters"
    with _file(directory) as file:
        (found,) = _by_id(file, [id], directory)
        assert file is not None
        (_, letter), *_ = file.letters("id = ?", (found,))
    for line in view.letter_lines(found, letter):
        click.echo(line)


@click.command("replay")
@click.argument("ids", nargs=-1)
@_ALL
@_selection
@config_options
def replay(
    ids: Sequence[str], everything: bool, sources: tuple[str, ...], sets: tuple[str, ...], **filters: Any
) -> None:
    """Offer letters again to who refused them: those named, --all, or those of the filters.

    The running collector takes them within a second or two; without one, nothing happens until the next start. What is
    refused again is a dead letter again, with its new reason.
    """
    journal = _journal(sources, sets)
    count = _change(journal / "dead-letters", ids, everything, filters, LetterFile.ask_for_replay)
    if count and not _is_running(journal):
        click.echo(f"no collector is running on {journal}: they are delivered when one starts", err=True)
    click.echo(f"{view.letters(count)} to be replayed")


@dead_letters.command("drop")
@click.argument("ids", nargs=-1)
@_ALL
@_selection
@config_options
def drop_command(
    ids: Sequence[str], everything: bool, sources: tuple[str, ...], sets: tuple[str, ...], **filters: Any
) -> None:
    """Remove letters for good: those named, --all, or those of the filters."""
    count = _change(_journal(sources, sets) / "dead-letters", ids, everything, filters, LetterFile.remove)
    click.echo(f"{view.letters(count)} dropped")


dead_letters.add_command(replay)


def _change(
    directory: Path,
    ids: Sequence[str],
    everything: bool,
    filters: dict[str, Any],
    change: Callable[[LetterFile, str, Sequence[Any]], int],
) -> int:
    """Apply `change` to the letters chosen; gives how many it changed."""
    chosen = [bool(ids), everything, any(value is not None for value in filters.values())]
    if sum(chosen) != 1:
        raise click.UsageError("choose letters by ID, by filters, or take --all")
    with _file(directory) as file:
        if ids:
            found = dict.fromkeys(_by_id(file, ids, directory))  # all of them, before any is changed
            return sum(change(file, "id = ?", (id,)) for id in found if file is not None)
        return change(file, f"state = 'kept' AND {_condition(filters)}", _values(filters)) if file else 0


def _by_id(file: LetterFile | None, beginnings: Sequence[str], directory: Path) -> Iterator[str]:
    """Whole ids. Raises ClickException for a beginning of none, or of several."""
    for beginning in beginnings:
        query = "state != 'gone' AND substr(id, 1, ?) = ?"
        found = [row["id"] for row in file.rows(query, (len(beginning), beginning))] if file else []
        if len(found) != 1 or not beginning:
            what = f"{len(found)} dead letters begin with {beginning!r}" if found else f"no dead letter {beginning!r}"
            raise click.ClickException(f"{what} in {directory}; `openfuse-collector dead-letters list` shows all ids")
        yield found[0]


_CONDITIONS = {
    # A processor goes by its pipeline and its id, `traces: redact`; either will do.
    "component": "? IN (component, substr(component, instr(component, ': ') + 2))",
    "project": "project_id = ?",
    "since": "at >= ?",
}


def _condition(filters: dict[str, Any]) -> str:
    return " AND ".join(sql for name, sql in _CONDITIONS.items() if filters[name] is not None) or "1"


def _values(filters: dict[str, Any]) -> list[Any]:
    return [filters[name] for name in _CONDITIONS if filters[name] is not None]


def _journal(sources: Sequence[str], sets: Sequence[str]) -> Path:
    return Path(load_config(sources, sets).service.journal.directory)


@contextmanager
def _file(directory: Path) -> Iterator[LetterFile | None]:
    """The file of the letters, None where there is none. Errors end the command with a sentence."""
    try:
        file = LetterFile.existing(directory)
        if file is None:
            yield None
            return
        with closing(file):
            yield file
    except OSError as error:
        raise click.ClickException(f"{error.filename or directory}: {error.strerror or error}") from error
    except sqlite3.Error as error:
        raise click.ClickException(f"{directory}: {error}") from error


def _is_running(journal: Path) -> bool:
    """Whether a collector holds the lock of the journal."""
    try:
        with (journal / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        click.echo(f"cannot tell whether a collector is running: {error}", err=True)
        sys.exit(1)
    return False

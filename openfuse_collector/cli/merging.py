"""The end of a command that has written to a store: files are merged. What cannot be merged now is told, and undoes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import click

from openfuse_collector.cli.stores import Chosen
from openfuse_collector.cli.views.rebuild import follow
from openfuse_collector.store.operations import Operations


def merge(chosen: Chosen) -> list[str]:
    """Merges the files of the tables that were written to, and gives those of which it could not. Ctrl-C ends the waiting.

    Never fails: the command has done its work, and a server merges files by itself in time.
    """
    left = dict.fromkeys(chosen.store.changed_tables(), "not waited for")
    if not left:
        return []
    try:
        follow("merging files", _merged(chosen.store, left), chosen.log)
    except KeyboardInterrupt:
        pass
    if left:
        click.echo(
            f"{chosen.store.where}: everything is done, but files are not merged yet; reading may be slow until the server, or "
            "the maintenance of a collector, has merged them:",
            err=True,
        )
    for table, why in left.items():
        click.echo(f"  {table}: {why}", err=True)
    return list(left)


def _merged(store: Operations, left: dict[str, str]) -> Iterator[float]:
    """The share that is done. What is left says why."""
    tables = list(left)
    for number, table in enumerate(tables, start=1):
        try:
            store.merge(table)
        except store.failures as error:
            left[table] = store.explain(error)
        else:
            del left[table]
        yield number / len(tables)

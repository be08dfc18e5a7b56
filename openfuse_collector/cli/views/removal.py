"""How a deletion or a pass of retention shows."""

from __future__ import annotations

from collections.abc import Iterator

from openfuse_collector.cli.views.counted import counted
from openfuse_collector.store.operations import Removed

ENTITIES = {
    "trace": "trace",
    "observation": "observation",
    "score": "score",
    "dataset_run_item": "dataset run item",
}
"""Entity type -> its name for people, in the order they are told."""


def removal_lines(removed: Removed, where: str, done: str, *, dry_run: bool) -> Iterator[str]:
    """The findings, for people. `done` is what happened, such as `deleted`."""
    named = [counted(removed.entities[kind], name) for kind, name in ENTITIES.items() if removed.entities[kind]]
    what = ", ".join(named) or "nothing"
    yield f"{where}: {what} {f'would be {done} (dry run)' if dry_run else done}"
    rows = {table: number for table, number in removed.rows.items() if number}
    if rows:
        yield ""
        yield f"{'table':32}{'rows':>12}"
    for table, number in sorted(rows.items()):
        yield f"{table:32}{number:12,}"
    if removed.erased:
        yield f"\n{counted(removed.erased, 'payload')} {'would be erased' if dry_run else 'erased'}"
    for sentence in removed.remaining:
        yield f"\nnot erased: {sentence}"

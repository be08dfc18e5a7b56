"""What the commands do to a store, whichever it is: rebuild, verify, delete, expire, rewind. All of it beside running collectors.

Work is given as iterators of the share that is done, 0 to 1, so that whoever runs it can show how far it is and stop between two steps.
What a step has written stays written; running the same again does the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from openfuse_collector.enrich import Enrich
from openfuse_collector.events.event import Entity
from openfuse_collector.store.rebuild import Remap, Report, Selection
from openfuse_collector.store.retention import RetentionConfig

Position = list[Any]
"""Where a rebuild goes on: what a store needs to find its next page, as JSON has it."""


class Rebuilding(Protocol):
    """One rebuild, or with `dry_run` one verification."""

    report: Report
    reached: Position | None
    """Behind the last page of `refold` that is done; None before the first."""

    def remap(self, remap: Remap) -> Iterator[float]:
        """Map the kept spans again, those of whole traces, and rebuild the entities they speak of, of whatever type those are."""
        ...

    def refold(self, after: Position | None = None) -> Iterator[float]:
        """Rebuild every selected entity that `remap` has not, those behind `after` where given."""
        ...

    def orphans(self, *, prune: bool) -> Iterator[float]:
        """Count the rows that no raw event stands behind, and remove them with `prune`."""
        ...


@dataclass
class Removed:
    """What was removed, or would be in a dry run."""

    entities: Counter[str] = field(default_factory=Counter)
    """By entity type."""
    rows: Counter[str] = field(default_factory=Counter)
    """By table; side tables among them."""
    erased: int = 0
    """Raw events and kept spans of which the payload is gone from the disk."""
    kept: bool = False
    """Whether the store itself still has payloads that were to be erased."""
    remaining: list[str] = field(default_factory=list)
    """Sentences about payloads that are still somewhere, and until when."""


class Deleting(Protocol):
    """One deletion. What was deleted stays so, whatever of it is sent or replayed again, until somebody says something new."""

    removed: Removed

    def traces(self, traces: Sequence[Entity]) -> Iterator[float]:
        """Traces with their observations, scores and dataset run items, as far as the store has them when this ends.

        What is stored of them later, though it was received before, stays until the trace is deleted again.
        """
        ...

    def project(self, project_id: str) -> Iterator[float]:
        """Everything received for a project so far."""
        ...


class Expiring(Protocol):
    """One pass of retention."""

    removed: Removed

    def expire(self, retention: RetentionConfig, now: int) -> Iterator[float]:
        """Remove the entities whose newest event was received before the limit of their project. `now` is in epoch milliseconds."""
        ...


class Operations(Protocol):
    """One store. Made from the configuration of its exporter; nothing is asked of it before the first call."""

    where: str
    """The store as a person knows it."""
    erases: bool
    """Whether it can take single payloads off its disk."""
    failures: tuple[type[Exception], ...]
    """What every method may raise when the store does not answer or refuses."""

    def explain(self, error: Exception) -> str:
        """A sentence about one of `failures`: what went wrong where, and what to do."""
        ...

    def check(self) -> None:
        """Raises CollectorError when there is no store, with what to do."""
        ...

    def changing(self, reason: str) -> AbstractContextManager[None]:
        """Around everything that writes: other writers learn that what they remember may have changed."""
        ...

    def changed_tables(self) -> Sequence[str]:
        """Tables that rebuilds and deletions made here have written to and that are to be merged afterwards; often none."""
        ...

    def merge(self, table: str) -> None:
        """Merge the files of a table, however long that takes. Where it fails, what was written is stored all the same."""
        ...

    def rebuild(self, enrich: Enrich, selection: Selection, *, dry_run: bool) -> Rebuilding:
        """A rebuild of the selected entities."""
        ...

    def find_traces(self, id: str, project: str | None) -> list[Entity]:
        """The traces of that id, one per project that has anything received for it."""
        ...

    def deletion(self, *, erase: bool, dry_run: bool) -> Deleting:
        """A deletion; with `erase` payloads go from the disk as far as the store can."""
        ...

    def expiry(self, *, dry_run: bool) -> Expiring:
        """A pass of retention."""
        ...

    def rewind(self, instance: str, pipeline: str, offset: int, *, dry_run: bool) -> int | None:
        """Move the cursor the store keeps of a pipeline back to a journal offset. Gives where it was; None where none is kept."""
        ...

    def close(self) -> None:
        """Let go of the store. Idempotent."""
        ...

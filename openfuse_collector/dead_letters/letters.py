"""What cannot be stored, kept with its reason beside the journal: nothing is dropped in silence (invariant I4, docs/architecture.md)."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Lock
from typing import Any, TypeVar

import structlog

from openfuse_collector.clock import epoch_millis
from openfuse_collector.component import Kind
from openfuse_collector.crash_points import crash_point
from openfuse_collector.dead_letters.config import DeadLettersConfig
from openfuse_collector.dead_letters.file import LetterFile
from openfuse_collector.dead_letters.letter import DeadLetter, payload_of, spans_of
from openfuse_collector.dead_letters.place import Place
from openfuse_collector.pipeline.retry import RetryConfig, pause
from openfuse_collector.signals import Item, Signal
from openfuse_collector.telemetry.limited import Limited
from openfuse_collector.telemetry.metrics import Metrics

GROUP_LETTERS, GROUP_BYTES = 1000, 8 << 20
"""What is written with one sync at most; a single larger letter is a group of its own."""
COPY_LETTERS, COPY_BYTES = 500, 8 << 20
"""What a store is given to copy at a time."""

T = TypeVar("T")


class DeadLetters:
    """Takes letters from every thread and writes them in groups.

    `add` puts a letter into the group at hand, `sync` makes the group durable. The machine calls `sync` after each stage and
    before a batch counts as finished, so a cursor never moves past what is not on disk; components only call `add`.
    """

    def __init__(
        self,
        directory: Path,
        stopping: Flag,
        metrics: Metrics,
        log: structlog.stdlib.BoundLogger,
        config: DeadLettersConfig | None = None,
    ) -> None:
        self.directory = directory
        self.stopping = stopping
        """Set when the service gives up waiting; shared with everything that waits."""
        self._config = config or DeadLettersConfig()
        self._log = Limited(log)
        self._lock = Lock()
        self._place = Place(directory, self._log)
        self._group: list[DeadLetter] = []
        self._group_bytes = 0
        self._keeper = ""
        """Id of the exporter that keeps copies."""
        self._to_tell = True
        """Whether a store may have something to copy or to remove."""
        self._count = metrics.counter(
            "openfuse_dead_letters",
            "Requests, spans or entities that could not be stored and were set aside.",
            ["component"],
        )
        self._dropped = metrics.counter(
            "openfuse_dead_letters_dropped",
            "Dead letters forgotten at a bound, by the setting that is the bound.",
            ["bound"],
        )
        for bound in ("max_age", "max_size"):
            self._dropped.labels(bound)  # there from the start, or the first step of all would raise no alert
        self._kept = metrics.gauge("openfuse_dead_letters_kept", "Dead letters there are.")
        self._bytes = metrics.gauge("openfuse_dead_letters_bytes", "Bytes in all dead letters.")

    def add(
        self,
        item: Item,
        pipeline: str,
        component: str,
        reason: str,
        signal: Signal,
        data: Any = None,
        *,
        kind: Kind = Kind.CONNECTOR,
    ) -> DeadLetter:
        """Set `item` aside, or only `data` of it. It is on disk after the next `sync`; waits for the disk when the group is
        full. Raises Stopped when the service goes down first."""
        letter = DeadLetter(
            at=epoch_millis(),
            pipeline=pipeline,
            component=component,
            kind=kind,
            reason=reason,
            signal=signal,
            origin=item.origin,
            position=item.position,
            payload=payload_of(item.data if data is None else data),
            spans=spans_of(item.spans) if data is None else b"",
        )
        with self._lock:
            self._group.append(letter)
            self._group_bytes += letter.size
            full = len(self._group) >= GROUP_LETTERS or self._group_bytes >= GROUP_BYTES
        if full:
            self.sync()
        return letter

    def sync(self) -> None:
        """Return once everything added so far is on disk. Raises Stopped when the service goes down first."""
        if not self._group:  # it is emptied only when it is on disk
            return
        for delay in RetryConfig().delays():
            try:
                with self._lock:
                    self._write_group()
                return
            except (OSError, sqlite3.Error) as error:
                self._log.warning(
                    "disk",
                    "dead letters cannot be written, will retry",
                    directory=str(self.directory),
                    error=str(error),
                    retry_in=round(delay, 3),
                )
                pause(self.stopping, delay)

    def keep_copies(self, store: str) -> bool:
        """Whether the exporter with this id is the one that keeps copies: the first to ask is."""
        with self._lock:
            self._keeper = self._keeper or store
            return self._keeper == store

    def changes(self, without: Collection[str] = ()) -> tuple[list[DeadLetter], list[str]]:
        """For the store that keeps copies: letters it has no copy of yet, and ids of letters it should no longer have, some
        hundred at a time. `without` are ids of letters it asks for one by one, see `uncopied`. Raises sqlite3.Error, OSError."""
        if not self._to_tell:
            return [], []
        with self._opened() as file:
            if file is None:
                return [], []
            with file.at_one_moment():  # in which no letter is both
                letters = _within(file.uncopied(without, COPY_LETTERS))
                gone = file.gone(COPY_LETTERS)
            self._to_tell = bool(letters or gone or without)
            return letters, gone

    def uncopied(self, id: str) -> DeadLetter | None:
        """One letter, None where it is gone or needs no copy any more. Raises sqlite3.Error, OSError."""
        with self._opened() as file:
            return None if file is None else file.to_copy(id)

    def copied(self, letters: Sequence[DeadLetter], gone: Sequence[str]) -> None:
        """A store has done what `changes` gave."""
        crash_point("dead_letters.copied.before")
        with self._opened() as file:
            if file is not None:
                file.copied(letters, gone)

    def use(self, work: Callable[[LetterFile], T]) -> T | None:
        """Read the file; None where there is none. Raises sqlite3.Error, OSError."""
        with self._opened() as file:
            return None if file is None else work(file)

    def change(self, work: Callable[[LetterFile], T]) -> T | None:
        """Change the file; None where there is none. Raises sqlite3.Error, OSError."""
        with self._opened() as file:
            if file is None:
                return None
            done = work(file)
            self._to_tell = True
            self._bound(file)
            return done

    def tend(self) -> None:
        """About once a second: forget what is too old, see what a command has changed. Raises sqlite3.Error, OSError."""
        with self._opened() as file:
            if file is None:
                self._show(0, 0)
                return
            if file.changed():
                self._to_tell = True
                self._bound(file)
            elif self._config.max_age:
                self._bound(file)

    def close(self) -> None:
        """Let go of the file; it is opened again when something more comes."""
        with self._lock:
            self._place.close()

    @contextmanager
    def _opened(self) -> Iterator[LetterFile | None]:
        """The file while nobody else uses it; None as long as no letter was ever written."""
        with self._lock:
            try:
                yield self._place.find()
            except sqlite3.DatabaseError as error:
                self._place.set_aside(error)
                raise

    def _write_group(self) -> None:
        """Under the lock. What could not be written stays in the group."""
        if not self._group:
            return
        crash_point("dead_letters.write.before")
        try:
            file = self._with_group()
        except sqlite3.DatabaseError as error:
            if not self._place.set_aside(error):
                raise
            file = self._with_group()
        crash_point("dead_letters.write.after")
        written, self._group, self._group_bytes = self._group, [], 0
        self._to_tell = True
        self._tell(written)
        self._bound(file)

    def _with_group(self) -> LetterFile:
        """The file, with the group in it for good: one that was removed meanwhile has it only as long as the process lives."""
        while True:
            file = self._place.make()
            file.add(self._group)
            if not file.replaced():
                return file

    def _tell(self, written: Sequence[DeadLetter]) -> None:
        """One line per component and reason, however many letters."""
        groups: dict[tuple[str, str], list[DeadLetter]] = defaultdict(list)
        for letter in written:
            groups[letter.component, letter.reason].append(letter)
        for (component, reason), letters in groups.items():
            self._count.labels(component).inc(len(letters))
            self._log.error(
                ("letter", component),
                "set aside as dead letter",
                component=component,
                reason=reason,
                letters=len(letters),
                dead_letter=letters[0].id,
            )

    def _bound(self, file: LetterFile) -> None:
        """What goes at a bound is counted and logged; the copies stores have of it stay there."""
        if not self._keeper:
            file.forget_uncopied()
        if self._config.max_age:
            oldest = epoch_millis() - int(self._config.max_age * 1000)
            self._forgotten("max_age", file.drop_older_than(oldest))
        self._forgotten("max_size", file.drop_beyond(self._config.max_size))
        self._show(*file.totals())

    def _show(self, count: int, size: int) -> None:
        self._kept.set(count)
        self._bytes.set(size)

    def _forgotten(self, bound: str, count: int) -> None:
        if count:
            self._dropped.labels(bound).inc(count)
            self._log.error(
                bound, "dead letters dropped, the oldest first", bound=f"service::dead_letters::{bound}", letters=count
            )


def _within(letters: Iterator[tuple[str, DeadLetter]]) -> list[DeadLetter]:
    """As many as fit into `COPY_BYTES`, at least one."""
    taken, size = [], 0
    for _, letter in letters:
        taken.append(letter)
        size += letter.size
        if size >= COPY_BYTES:
            break
    return taken

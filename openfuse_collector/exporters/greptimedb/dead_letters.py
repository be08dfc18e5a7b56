"""Copies of dead letters in `openfuse_dead_letters`, for people who look into the store. The file beside the journal is what counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from threading import Event as Flag
from threading import Thread

from openfuse_collector.component import Settings
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.errors import PermanentError
from openfuse_collector.events.text import clean
from openfuse_collector.exporters.greptimedb.ddl import literal, moment, quoted, select
from openfuse_collector.exporters.greptimedb.errors import CallError
from openfuse_collector.exporters.greptimedb.halving import written
from openfuse_collector.exporters.greptimedb.ingest import Ingester
from openfuse_collector.exporters.greptimedb.rows import Row
from openfuse_collector.exporters.greptimedb.schema import DEAD_LETTERS
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from openfuse_collector.telemetry.limited import Limited
from openfuse_collector.threads import end

TABLE = quoted(DEAD_LETTERS.name)
SHORTEST, LONGEST = 1.0, 60.0
"""Seconds between two looks at what there is to copy; longer ones after failures."""
ATTEMPTS = 5
"""Failures of the server with one letter, each while it takes others, after which that letter has no copy."""

ENOUGH = 8
"""Letters the server fails with at one look, each for as long as a call may take; the others wait for the next look."""
MOST = 10_000
"""Letters the server has failed with that are known by id: bounds memory while it takes none at all."""


class Copies:
    """What one exporter keeps of the collector's dead letters. A thread of its own does it: no batch waits for a copy."""

    def __init__(self, settings: Settings, sql: SqlClient, ingester: Ingester) -> None:
        self._dead_letters = settings.dead_letters
        self._keeps = settings.dead_letters.keep_copies(str(settings.id))
        self._log = Limited(settings.log)
        self._sql, self._ingester = sql, ingester
        self._failures: dict[str, int] = {}
        """Ids of letters the server has failed with, and how often it took others meanwhile."""
        self._stop = Flag()
        self._thread = Thread(target=self._run, name="greptimedb dead letters", daemon=True)

    def start(self) -> None:
        """Begin, in the store that keeps the copies."""
        if self._keeps:
            self._thread.start()

    def stop(self) -> None:
        """Idempotent, and safe without `start`. What is not copied yet will be after the next start."""
        end(self._stop, self._thread)

    def _run(self) -> None:
        pause = SHORTEST
        while not self._stop.wait(pause):
            pause = SHORTEST if self._try_to_keep_up() else min(2 * pause, LONGEST)

    def _try_to_keep_up(self) -> bool:
        try:
            self.keep_up()
        except (CallError, OSError, sqlite3.Error) as error:
            self._log.warning("copies", "dead letters are not copied into the store, will retry", error=str(error))
            return False
        except Exception:
            self._log.error("bug", "copying dead letters into the store failed, will retry", exc_info=True)
            return False
        return not self._failures

    def keep_up(self) -> None:
        """Copy some hundred new letters, then those the server has failed with before, each alone, so that neither their number nor
        their size keeps others from being copied. Remove the copies of those that were replayed or dropped. Raises CallError."""
        if not self._keeps:
            return
        letters, gone = self._dead_letters.changes(without=self._failures)
        if letters or gone:
            # A letter that was refused before has a copy at another time, which the new one does not replace.
            self._remove([*gone, *(letter.id for letter in letters)])
        if gone:
            self._dead_letters.copied([], gone)
        self._copy({letter.id: letter for letter in letters}, list(self._failures))

    def _copy(self, new: Mapping[str, DeadLetter], again: Sequence[str]) -> None:
        """What is refused, because of its size for one, or given up needs no copy any more. Raises CallError."""
        taken = 0
        failed: list[str] = []

        def insert(ids: Sequence[str]) -> None:
            nonlocal taken
            letters = [new[id] for id in ids] if new.keys() >= {*ids} else self._read_again(ids)
            if letters:
                self._ingester.insert(DEAD_LETTERS.name, map(dead_letter_row, letters))
                taken += len(letters)
            self._done(ids, letters)

        groups = [*([id] for id in reversed(again)), *filter(None, [list(new)])]
        try:
            for id, error in filter(None, written(groups, insert)):
                if isinstance(error, PermanentError) or self._failures.get(id, 0) >= ATTEMPTS:
                    sentence = "the store takes no copy of a dead letter"
                    self._done([id], list(filter(None, [new.get(id) or self._dead_letters.uncopied(id)])))
                else:
                    sentence = "the store fails with the copy of a dead letter, will retry"
                    failed.append(id)
                self._log.warning(sentence, sentence, id=id, error=str(error))
                if len(failed) >= ENOUGH:
                    break
        finally:
            self._count(failed, bool(taken))

    def _read_again(self, ids: Iterable[str]) -> list[DeadLetter]:
        """Those that still need a copy, as they are now; without copies of what they were."""
        letters = [letter for letter in map(self._dead_letters.uncopied, ids) if letter is not None]
        if letters:
            self._remove(letter.id for letter in letters)
        return letters

    def _done(self, ids: Iterable[str], letters: Sequence[DeadLetter]) -> None:
        """These need no further attempt."""
        if letters:
            self._dead_letters.copied(letters, [])
        for id in ids:
            self._failures.pop(id, None)

    def _count(self, failed: Sequence[str], others_taken: bool) -> None:
        """Those that failed come after the others next time."""
        for id in failed:
            if id in self._failures or len(self._failures) < MOST:
                self._failures[id] = self._failures.pop(id, 0) + others_taken

    def _remove(self, ids: Iterable[str]) -> None:
        listed = ", ".join(map(literal, ids))
        self._sql.run(f"DELETE FROM {TABLE} WHERE `id` IN ({listed})")  # noqa: S608


def expire(sql: SqlClient, project: str, until: int, *, dry_run: bool) -> int:
    """Remove the copies a project has of letters that were set aside at `until`, epoch milliseconds, or before. Gives their number.
    Raises CallError."""
    old = f"`project_id` = {literal(clean(project))} AND `at` <= {moment(until)}"
    ((found,),) = sql.rows(select(("count(*)",), TABLE, old))
    if found and not dry_run:
        sql.run(f"DELETE FROM {TABLE} WHERE {old}")  # noqa: S608
    return int(found)


def dead_letter_row(letter: DeadLetter) -> Row:
    """A row of openfuse_dead_letters."""
    return [
        letter.at,
        letter.id,
        letter.pipeline,
        letter.component,
        clean(letter.reason),
        str(letter.signal),
        clean(letter.project_id),
        letter.origin.receiver,
        letter.origin.received_at,
        letter.position,
        clean(letter.payload_text),
    ]

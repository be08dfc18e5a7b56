"""Copies of dead letters in `openfuse_dead_letters`, for people who look into the store. The file beside the journal is what counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
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

TABLE = quoted(DEAD_LETTERS.name)
SHORTEST, LONGEST = 1.0, 60.0
"""Seconds between two looks at what there is to copy; longer ones after failures."""
ATTEMPTS = 5
"""Failures of the server with one letter, each while it takes others, after which that letter has no copy."""


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
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)  # a call under way may end with the process

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
        """Copy some hundred new letters, and remove the copies of those that were replayed or dropped. Raises CallError."""
        letters, gone = self._dead_letters.changes() if self._keeps else ([], [])
        if letters or gone:
            # A letter that was refused before has a copy at another time, which the new one does not replace.
            self._remove([*gone, *(letter.id for letter in letters)])
            letters, error = self._insert(letters)
            self._dead_letters.copied(letters, gone)
            if error is not None:
                raise error

    def _insert(self, letters: Sequence[DeadLetter]) -> tuple[list[DeadLetter], CallError | None]:
        """Gives those that need no further attempt, copied or refused (because of their size for one), and why the others were left.

        Letters the server has failed with come last, each alone: however many there are, they keep no others from being copied.
        """
        self._failures = {letter.id: self._failures[letter.id] for letter in letters if letter.id in self._failures}
        groups = [[letter] for letter in letters if letter.id in self._failures]
        groups.append([letter for letter in letters if letter.id not in self._failures])
        taken: list[DeadLetter] = []
        refused: list[DeadLetter] = []
        failed: list[str] = []

        def insert(some: Sequence[DeadLetter]) -> None:
            self._ingester.insert(DEAD_LETTERS.name, map(dead_letter_row, some))
            taken.extend(some)

        left: CallError | None = None
        try:
            for letter, error in filter(None, written(groups, insert)):
                if isinstance(error, PermanentError) or self._failures.get(letter.id, 0) >= ATTEMPTS:
                    sentence = "the store takes no copy of a dead letter"
                    refused.append(letter)
                else:
                    sentence = "the store fails with the copy of a dead letter, will retry"
                    failed.append(letter.id)
                    self._failures.setdefault(letter.id, 0)
                self._log.warning(sentence, sentence, id=letter.id, error=str(error))
        except CallError as error:
            left = error
        for id in failed:
            self._failures[id] += bool(taken)
        for letter in (*taken, *refused):
            self._failures.pop(letter.id, None)
        return [*taken, *refused], left

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

"""Copies of dead letters in `openfuse_dead_letters`, for people who look into the store. The file beside the journal is what counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from openfuse_collector.component import Settings
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.errors import PermanentError
from openfuse_collector.events.text import clean
from openfuse_collector.exporters.greptimedb.ddl import literal, moment, quoted, select
from openfuse_collector.exporters.greptimedb.errors import CallError, consume_error
from openfuse_collector.exporters.greptimedb.ingest import Ingester
from openfuse_collector.exporters.greptimedb.rows import Row
from openfuse_collector.exporters.greptimedb.schema import DEAD_LETTERS
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from openfuse_collector.telemetry.limited import Limited

TABLE = quoted(DEAD_LETTERS.name)


class Copies:
    """What one exporter keeps of the collector's dead letters. Used by one thread, the exporter's."""

    def __init__(self, settings: Settings, sql: SqlClient, ingester: Ingester) -> None:
        self._dead_letters = settings.dead_letters
        self._keeps = settings.dead_letters.keep_copies(str(settings.id))
        self._log = Limited(settings.log)
        self._sql, self._ingester = sql, ingester

    def keep_up(self) -> None:
        """Copy some hundred new letters, and remove the copies of those that were replayed or dropped. Raises CallError."""
        letters, gone = self._dead_letters.changes() if self._keeps else ([], [])
        if letters or gone:
            # A letter that was refused before has a copy at another time, which the new one does not replace.
            self._remove([*gone, *(letter.id for letter in letters)])
            self._insert(letters)
            self._dead_letters.copied(letters, gone)

    def try_to_keep_up(self) -> None:
        """The same beside a batch, which a copy must not hold up: what fails is tried again with the next one."""
        try:
            self.keep_up()
        except (CallError, OSError, sqlite3.Error) as error:
            self._log.warning("copies", "dead letters are not copied into the store, will retry", error=str(error))

    def _insert(self, letters: Sequence[DeadLetter]) -> None:
        """A letter the server refuses, because of its size for one, has no copy."""
        try:
            self._ingester.insert(DEAD_LETTERS.name, map(dead_letter_row, letters))
        except CallError as error:
            if not isinstance(consume_error(error), PermanentError):
                raise
            if len(letters) == 1:
                self._log.warning(
                    "refused", "the store takes no copy of a dead letter", id=letters[0].id, error=str(error)
                )
            else:
                for letter in letters:
                    self._insert([letter])

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

"""Offers dead letters again to the stage that refused them, when a command asks for it; beside the pipelines, on threads of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from threading import Event as Flag
from threading import Thread
from typing import Any

import structlog

from openfuse_collector.component import Consumer, Kind
from openfuse_collector.crash_points import crash_point
from openfuse_collector.dead_letters.file import LetterFile
from openfuse_collector.dead_letters.letter import DeadLetter, item_of
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.pipeline.retry import Stopped
from openfuse_collector.signals import Batch, Delivery, Item
from openfuse_collector.telemetry.limited import Limited
from openfuse_collector.telemetry.metrics import Metrics

POLL_SECONDS = 1.0
BATCH_LETTERS, BATCH_BYTES = 500, 8 << 20
MOST_ATTEMPTS = 3
"""A letter whose replay ended with the process that often is not tried again by itself."""

Letter = tuple[str, DeadLetter]
Stage = tuple[Kind, str]


class Replay:
    """Looks for letters to replay about once a second; each stage gets its own on a thread, so that one that waits stops no other.

    A letter is removed when the stage, and all behind it, are finished with it; one that is refused again was set aside anew
    meanwhile, with its new reason, and waits for people. What is under way at the end is offered again after the next start.
    """

    def __init__(
        self,
        letters: DeadLetters,
        entries: Mapping[Stage, Consumer],
        decode: Callable[[DeadLetter], Any],
        metrics: Metrics,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._letters = letters
        self._entries = entries
        self._decode = decode
        self._log, self._limited = log, Limited(log)
        self._stopping = Flag()
        self._thread = Thread(target=self._run, name="dead letters", daemon=True)
        self._at_work: dict[Stage, Thread] = {}
        self._count = metrics.counter(
            "openfuse_dead_letters_replayed", "Dead letters offered again to who refused them.", ["component"]
        )

    def start(self) -> None:
        """Begin looking."""
        self._thread.start()

    def stop(self) -> None:
        """Offer nothing more. What is under way is waited for until the letters' own `stopping` is set."""
        self._stopping.set()

    def join(self, timeout: float = 5.0) -> None:
        """After `stop`, and after the stages have stopped: wait for the threads."""
        for thread in (self._thread, *self._at_work.values()):
            if thread.is_alive():
                thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._letters.tend()
                for stage in self._letters.use(LetterFile.to_replay) or ():
                    self._set_to_work(stage)
            except (sqlite3.Error, OSError) as error:
                self._limited.warning("unreadable", "dead letters cannot be read, will retry", error=str(error))
            self._stopping.wait(POLL_SECONDS)

    def _set_to_work(self, stage: Stage) -> None:
        thread = self._at_work.get(stage)
        if thread is None or not thread.is_alive():
            self._at_work[stage] = Thread(target=self._replay, args=stage, name=f"replay {stage[1]}", daemon=True)
            self._at_work[stage].start()

    def _replay(self, kind: Kind, component: str) -> None:
        """Offer all letters of one stage, some at a time."""
        try:
            while not self._stopping.is_set():
                taken = self._letters.change(partial(_next, kind, component))
                if not taken:
                    return
                for _, run in groupby(taken, key=lambda letter: (letter[1].signal, letter[1].pipeline)):
                    self._offer(self._entries.get((kind, component)), list(run))
        except Stopped:
            return
        except (sqlite3.Error, OSError) as error:
            self._limited.warning(
                component, "dead letters cannot be replayed, will retry", component=component, error=str(error)
            )

    def _offer(self, entry: Consumer | None, letters: Sequence[Letter]) -> None:
        """Offer letters that can travel in one batch, and wait until that is over. Raises Stopped."""
        first = letters[0][1]
        if entry is None:
            for id, letter in letters:
                self._keep(id, f"cannot be replayed, {first.component} is not in use; refused before: {letter.reason}")
            return
        items = {id: item for id, letter in letters if (item := self._item(id, letter)) is not None}
        if not items:
            return
        ids = list(items)
        finished = Flag()
        self._letters.use(lambda file: file.attempt(ids, 1))
        crash_point("dead_letters.replay.before")
        try:
            entry.consume(Batch(first.signal, list(items.values()), first.pipeline, None, Delivery(finished.set)))
            while not finished.wait(0.2):
                if self._letters.stopping.is_set():
                    raise Stopped
        except Stopped:  # an orderly end is no attempt
            self._letters.use(lambda file: file.attempt(ids, -1))
            raise
        crash_point("dead_letters.remove.before")
        removed = self._letters.change(lambda file: _remove(file, ids)) or 0
        crash_point("dead_letters.remove.after")
        self._count.labels(first.component).inc(len(ids))
        self._log.info(
            "dead letters replayed", component=first.component, letters=len(ids), refused_again=len(ids) - removed
        )

    def _item(self, id: str, letter: DeadLetter) -> Item | None:
        """The data as it was refused; what cannot be read stays a letter."""
        try:
            return item_of(letter, self._decode(letter))
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            self._keep(id, f"cannot be replayed, it cannot be read ({why}); refused before: {letter.reason}")
            return None

    def _keep(self, id: str, reason: str) -> None:
        self._log.error("dead letter stays", dead_letter=id, reason=reason)
        self._letters.change(lambda file: file.keep_again(id, reason))


def _next(kind: Kind, component: str, file: LetterFile) -> list[Letter]:
    """Letters to offer to a stage, oldest first; those whose replay has ended the process too often are kept instead."""
    waiting = "state = 'replay' AND kind = ? AND component = ?"
    for id, _ in list(file.letters(f"{waiting} AND attempts >= {MOST_ATTEMPTS}", (kind, component), BATCH_LETTERS)):
        file.keep_again(id, f"the collector has ended {MOST_ATTEMPTS} times while this was replayed")
    taken, size = [], 0
    for letter in file.letters(waiting, (kind, component), BATCH_LETTERS):
        taken.append(letter)
        size += letter[1].size
        if size >= BATCH_BYTES:
            break
    return taken


def _remove(file: LetterFile, ids: Sequence[str]) -> int:
    """Remove those that have not been set aside again since; asking for another replay begins a new count of attempts."""
    marks = ",".join("?" * len(ids))
    return file.remove(f"state = 'replay' AND attempts > 0 AND id IN ({marks})", ids)

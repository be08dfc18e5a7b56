"""The journal as the rest of the collector sees it: append a request, read it per pipeline, forget it when all are past it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from openfuse_collector.crash_points import crash_point
from openfuse_collector.journal.attempts import Attempts
from openfuse_collector.journal.beginnings import Beginnings
from openfuse_collector.journal.bounds import ORDINARY, Bounds
from openfuse_collector.journal.cache import DecodedCache
from openfuse_collector.journal.config import JournalConfig
from openfuse_collector.journal.cursors import GRACE, Cursors
from openfuse_collector.journal.damage import DamageReport
from openfuse_collector.journal.errors import JournalError, unusable
from openfuse_collector.journal.figures import Figures, GivenUp
from openfuse_collector.journal.files import Files, OsFiles
from openfuse_collector.journal.home import Home
from openfuse_collector.journal.orphans import Orphans
from openfuse_collector.journal.passed import Passed
from openfuse_collector.journal.quotas import DEFAULT_QUOTA, Bounded, Quota, Quotas
from openfuse_collector.journal.reader import Reader, Source
from openfuse_collector.journal.record import encode_head, encode_origin
from openfuse_collector.journal.recovery import recover
from openfuse_collector.journal.tail import Tail
from openfuse_collector.journal.trouble import Trouble, Troubles
from openfuse_collector.journal.writer import Pending, Writer
from openfuse_collector.signals import Item, Origin
from openfuse_collector.telemetry.limited import Limited
from openfuse_collector.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

SEAL_AFTER = 60.0
"""Seconds without an append after which a passed last segment is replaced by an empty one, so that finished data leaves the disk."""

CORRUPT_COPIES = 4
"""Segments' worth of damaged files kept aside."""


class Journal:
    """`append` belongs to the event loop, each reader to one thread of its own, everything else happens on the writer's thread."""

    def __init__(
        self,
        directory: Path,
        home: Home,
        config: JournalConfig,
        metrics: Metrics,
        log: BoundLogger,
        decode: Callable[[Origin, bytes], Any],
        files: Files,
        clock: Callable[[], float],
    ) -> None:
        """Recover a directory that is locked already; see `open`."""
        self.instance = home.instance
        self._home = home
        self._clock = clock
        self._io = Lock()  # append, roll and remove exclude each other
        self._readers: dict[str, Reader] = {}
        self._closed = False
        self._appended_at = clock()
        self._attempt = Attempts(log)
        self._figures = Figures(metrics)
        self._damage = DamageReport(
            directory, files, metrics, log, bound=CORRUPT_COPIES * config.segment_size, min_free=config.min_free_disk
        )
        self._cursors = Cursors(directory, files, log, clock=clock, orphan_after=config.orphan_after)
        self._log = recover(directory, config, files, self._damage, self._cursors.highest, log, self._figures.synced)
        self._blind = not self._cursors.readable and self._log.size > 0
        self._cache = DecodedCache(config.cache_size)
        self._tail = Tail(self._log.end)
        self._beginnings = Beginnings(self._log, self._tail, self._io, log, blind=self._blind)
        self._source = Source(self._log, self._tail, self._cache, files, self._damage, decode, Limited(log))
        self._bounds = Bounds(directory, config, files, self._log)
        not_before = clock() + GRACE if self._blind else 0.0
        self._passed = Passed(
            self._log, self._bounds, self._damage, clock, retain=config.retain or 0.0, not_before=not_before
        )
        given_up = GivenUp(metrics)
        self._quotas = Quotas(self._source, self._cursors, self._bounds, config.max_size, given_up, metrics, log)
        self._orphans = Orphans(self._source, self._cursors, given_up, log)
        self._orphan_after = config.orphan_after
        self._troubles = Troubles(clock)
        self._figures.bytes.set(self._log.size)
        self._writer = Writer(self._bounds, self._write, self.tidy, metrics, log)

    @classmethod
    def open(
        cls,
        config: JournalConfig,
        metrics: Metrics,
        log: BoundLogger,
        *,
        decode: Callable[[Origin, bytes], Any],
        files: Files = OsFiles(),  # noqa: B008  (it has no state)
        clock: Callable[[], float] = time.time,
    ) -> Journal:
        """Lock the directory, recover what is in it and start the writer.

        `decode` turns a payload that is no longer in memory into what `append` was given as `data`. `clock` gives epoch seconds
        for `retain` and `orphan_after`. Raises JournalLocked, JournalError.
        """
        directory = Path(config.directory)
        try:
            home = Home(directory, files, log)
            try:
                journal = cls(directory, home, config, metrics, log, decode, files, clock)
            except BaseException:
                home.leave()
                raise
        except OSError as error:
            raise JournalError(unusable(directory, error)) from error
        journal._writer.start()
        return journal

    @property
    def end(self) -> int:
        """Offset behind the last durable record; its distance to a reader's position is that pipeline's backlog in bytes."""
        return self._tail.end

    @property
    def trouble(self) -> Trouble | None:
        """Why nothing is taken at all; None while something is."""
        return self._troubles.now

    async def append(self, origin: Origin, payload: bytes, data: Any) -> int:
        """Keep one request; returns its offset once it is durable, a moment later when its pipelines are far behind.

        Raises OverloadError at a bound or when the disk refuses (nothing was taken), PermanentError when it could never fit.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        refusal = self._quotas.refusal(origin, len(payload))
        if refusal is not None:
            raise self._writer.refuse(refusal)
        self._writer.submit(Pending(future, origin, encode_origin(origin), payload, data))
        offset = await future
        if pause := self._quotas.pause(origin):
            await asyncio.sleep(pause)
        return offset

    def arrange(self, takes: Mapping[str, Collection[str]], renamed: Mapping[str, str]) -> None:
        """Before the first `reader`, all there will be: name -> whose requests it takes (see `made_by`).

        `renamed`: old name -> the one its cursor is claimed by. What was accepted for a pipeline that is gone is told in the log.
        """
        self._cursors.arrange(takes, renamed, self._tail.end)
        self._orphans.tell(self._orphan_after)

    def reader(
        self,
        name: str,
        *,
        start: int | None,
        wants: Callable[[Origin], bool],
        on_pass: Callable[[Origin], None] = lambda origin: None,
        quota: Quota = DEFAULT_QUOTA,
        after: str = "",
        formerly: str = "",
    ) -> Reader:
        """The way of pipeline `name` through the log, limited to records whose origin it `wants`; `on_pass` is told of the others.

        It begins at `start` (the cursor the store behind it kept), else at the journal's own cursor of that name, else, for a
        new name, where the pipeline called `after` is, else at the end of the log. Where there is a cursor called `formerly`, the
        same reader had that name the last time, and `name` may have been another's: it begins at the lower of the two.

        Raises JournalError when the name is taken or the cursor cannot be written.
        """
        if name in self._readers:
            raise JournalError(f"pipeline {name} reads the journal already")
        try:
            position = self._beginnings.of(name, start, self._cursors.known(name, formerly, after))
            self._cursors.claim(name, position, instead_of=formerly)
        except OSError as error:
            raise JournalError(f"cannot keep a journal cursor for {name}: {error}") from error
        reader = Reader(
            self._source,
            position,
            wants=wants,
            on_take=self._drop_cached,
            on_commit=partial(self._commit, name),
            on_pass=on_pass,
            left=self._cursors.left(name),
        )
        self._readers[name] = reader
        self._quotas.add(Bounded(name, reader, quota, wants))
        return reader

    def drop_cache(self) -> None:
        """Forget the decoded messages; what pipelines still need they read from the disk."""
        self._cache.clear()

    def status(self) -> dict[str, Any]:
        """Size and bounds, in bytes."""
        return {**self._bounds.status(), "refuses": (trouble := self.trouble) and trouble.reason}

    def backlog(self, name: str) -> Mapping[str, Any]:
        """How far a pipeline is behind and may be, in bytes."""
        return self._quotas.status(name)

    def close(self) -> None:
        """Write what is queued, keep the cursors, release the directory. Readers return empty-handed from then on. Idempotent."""
        self._writer.close()
        self._tail.close()
        for reader in self._readers.values():
            reader.close()
        if not self._closed:
            self._closed = True
            if self._attempt("make its directory anew", self._keep_home):
                self._attempt("keep the cursors", self._cursors.save)
            self._log.close()
            self._home.leave()

    def tidy(self) -> None:
        """Housekeeping, about once a second: cursors to disk, passed segments off it, free space and gauges measured."""
        with self._troubles.asking_the_disk(), self._io:
            if self._attempt("make its directory anew", self._keep_home):
                self._keep_house()
        self._troubles.judge(self._writer.failing or self._bounds.refusal(ORDINARY, 0))
        self._figures.bytes.set(self._log.size)
        for name in list(self._readers):
            self._figures.lag(name, self._quotas.backlog(name))

    def _write(self, batch: Sequence[Pending], size: int) -> Sequence[int]:
        """Make a batch durable and show it to the readers. Raises OSError. On the writer's thread."""
        with self._troubles.asking_the_disk(), self._io:
            self._keep_home()
            offset = self._log.prepare(size)
            parts: list[bytes] = []
            entries: list[tuple[Item, int]] = []
            for _, origin, encoded, payload, data in batch:
                head = encode_head(offset, encoded, payload)
                parts += (head, payload)
                end = offset + len(head) + len(payload)
                entries.append((Item(origin, offset, data, len(payload)), end))
                offset = end
            self._log.append(parts, size)
            self._appended_at = self._clock()
            self._cache.add(entries)
            self._tail.advance(offset)
        self._figures.written(len(batch), size)
        self._figures.bytes.set(self._log.size)
        return [item.position for item, _ in entries]

    def _keep_house(self) -> None:
        self._attempt("give up what was left behind", self._orphans.give_up)
        self._attempt("keep the cursors", self._cursors.save)
        self._attempt("write", self._probe)
        self._attempt("seal the last segment", self._seal)
        self._attempt("delete passed segments", lambda: self._passed.remove(self._cursors.low_water()))
        self._attempt("measure free space", self._bounds.refresh)
        self._attempt("give up what is beyond a quota", self._enforce)  # last: what nobody needs may have made room

    def _keep_home(self) -> None:
        """Without a directory of our own nothing can be measured, and what is in its place is not ours to change."""
        if self._home.keep():
            self._cursors.save(anew=True)

    def _commit(self, name: str, offset: int) -> None:
        crash_point("journal.cursor.before")
        self._cursors.move(name, offset)
        crash_point("journal.cursor.after")
        low_water = self._cursors.low_water() or 0
        for first in self._log.segments[:1]:
            if first.passed_at is None and first.end <= low_water and first.end < self._tail.end:
                self._writer.poke()

    def _drop_cached(self) -> None:
        self._cache.drop_below(min(reader.position for reader in list(self._readers.values())))

    def _probe(self) -> None:
        """After a write that failed, see whether the disk takes as much again: senders may have gone elsewhere meanwhile.

        Not where it would fill the disk up, to the harm of whoever else writes there.
        """
        size = self._writer.failed_size
        if self._writer.failing is not None and self._bounds.refusal(size, 0) is None:
            self._log.probe(size)
            self._writer.recovered()

    def _enforce(self) -> None:
        """Requests are written between one piece and the next, and what nobody needs any more is deleted."""
        if self._quotas.enforce():
            self._writer.poke()

    def _seal(self) -> None:
        """Replace a last segment that all are past by an empty one when no more comes or room is short.

        Requests stay on disk no longer than needed.
        """
        due = self._clock() - self._appended_at >= SEAL_AFTER or self._bounds.pressed
        if due and any(last.size for last in self._log.segments[-1:]) and self._cursors.low_water() == self._log.end:
            self._log.roll(self._log.end)

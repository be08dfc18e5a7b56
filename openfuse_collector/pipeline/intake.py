"""The way of a request from its receiver into the journal, counted for the pipelines that will read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openfuse_collector.journal import Journal
from openfuse_collector.pipeline.queued import Queued
from openfuse_collector.signals import Origin, Signal


class JournalIntake:
    """What receivers write to."""

    def __init__(
        self,
        journal: Journal,
        signals: frozenset[Signal] = frozenset(Signal),
        queues: Mapping[tuple[Signal, str], Sequence[Queued]] | None = None,
    ) -> None:
        self._journal = journal
        self._queues = queues or {}
        self.signals = signals

    async def accept(self, origin: Origin, payload: bytes, data: Any, items: int) -> None:
        """Append and wait for the disk."""
        queues = self._queues.get((origin.signal, origin.receiver), ())
        for queued in queues:  # before the pipelines can see it
            queued.add(items)
        try:
            await self._journal.append(origin, payload, data)
        except BaseException:
            for queued in queues:
                queued.add(-items)
            raise

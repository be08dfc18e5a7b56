"""The last part of the way in: accepted events into the journal, counted whatever becomes of them."""

from __future__ import annotations

import asyncio

from openfuse_collector.component import Intake
from openfuse_collector.errors import RetryableError
from openfuse_collector.events.event import Event
from openfuse_collector.receivers.langfuse.telemetry import Happenings
from openfuse_collector.signals import Origin

PATIENCE = 4.0
"""Seconds a call may wait for the journal. The shortest time-out of the SDKs is five (Python 3 and later, JavaScript), and a 429 before
it makes them send again."""


class Keeper:
    """Appends to the journal. A client that leaves does not stop an append under way, so what is kept is counted."""

    def __init__(self, intake: Intake, happenings: Happenings) -> None:
        self._intake = intake
        self._happenings = happenings
        self._appends: set[asyncio.Task[Exception | None]] = set()

    async def keep(self, origin: Origin, payload: bytes, events: list[Event], patience: float = PATIENCE) -> None:
        """Returns once the events are durable. Raises RetryableError, and whatever else the journal raises."""
        append = asyncio.create_task(self._append(origin, payload, events))
        self._appends.add(append)
        append.add_done_callback(self._appends.discard)
        await asyncio.wait((append,), timeout=patience)
        if not append.done():
            raise RetryableError(f"the journal did not answer within {patience:g} seconds")
        error = append.result()
        if error is not None:
            raise error

    async def drain(self, seconds: float) -> None:
        """Wait for appends whose clients have left."""
        if self._appends:
            await asyncio.wait(self._appends, timeout=seconds)

    async def _append(self, origin: Origin, payload: bytes, events: list[Event]) -> Exception | None:
        """The error is a value, because there may be nobody left to raise it to."""
        try:
            await self._intake.accept(origin, payload, events, len(events))
        except RetryableError as error:
            self._happenings.refused(len(events))
            return error
        except Exception as error:
            self._happenings.failed(len(events))
            return error
        self._happenings.accepted(len(events))
        return None

"""The last part of the way in: what was accepted goes into the journal, and is counted whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from openfuse_collector.component import Intake
from openfuse_collector.errors import RetryableError
from openfuse_collector.signals import Origin

PATIENCE = 4.0
"""Seconds a request may wait for the journal. OpenTelemetry's exporters give up after ten, those that Langfuse's SDKs set up, and their
calls of the Langfuse API, after five: an answer they no longer wait for helps nobody."""

Outcome = Literal["accepted", "refused", "failed"]
"""Durable; not taken, the sender comes back with it; not taken because of an error of ours."""


class LateError(RetryableError):
    """The journal has not answered in time. It still may: what is kept then and sent again is recognised."""


class Appends:
    """Appends of one receiver. A client that leaves does not stop one under way, so that what is kept is counted."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._running: set[asyncio.Task[Exception | None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    async def keep(
        self,
        origin: Origin,
        payload: bytes,
        data: Any,
        items: int,
        count: Callable[[Outcome], None],
        patience: float = PATIENCE,
    ) -> None:
        """Returns once the request is durable; see `Intake.accept`. `count` is told what became of it, be it later.

        Raises LateError after `patience` seconds, RetryableError, and whatever else the journal raises.
        """
        append = asyncio.create_task(self._append(origin, payload, data, items, count))
        self._running.add(append)
        append.add_done_callback(self._running.discard)
        await asyncio.wait((append,), timeout=patience)
        if not append.done():
            raise LateError(f"the journal did not answer within {patience:g} seconds")
        error = append.result()
        if error is not None:
            raise error

    async def drain(self, seconds: float) -> None:
        """Wait for appends whose clients have left."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    async def _append(
        self, origin: Origin, payload: bytes, data: Any, items: int, count: Callable[[Outcome], None]
    ) -> Exception | None:
        """The error is a value, because there may be nobody left to raise it to."""
        try:
            await self._intake.accept(origin, payload, data, items)
        except RetryableError as error:
            count("refused")
            return error
        except Exception as error:
            count("failed")
            return error
        count("accepted")
        return None

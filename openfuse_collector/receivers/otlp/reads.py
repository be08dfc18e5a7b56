"""The bound on messages that are being read while nobody can know their size: gRPC gives a message only when it is whole and inflated.

Each read takes up room for the largest message there may be, until the real size is known and is held like any other. So memory
stays in proportion to `max_in_flight`, however small messages are on the wire and however many are sent at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openfuse_collector.errors import OverloadError
from openfuse_collector.receivers.requests.in_flight import LAST_SECONDS, RETRY_AFTER, InFlight

PATIENCE = 4.0
"""Seconds a call may wait for its turn: well inside the ten seconds of an SDK."""

UNDISTURBED = 2.0
"""Seconds a read may take however many others wait: a sender that stalls does not keep everyone out."""

MOST_WAITING = 1000
"""Calls that may wait. What has arrived of each is in the buffers of its connection, which are small, but add up."""


class Reads:
    """Turns to read a message, in the order they were asked for. Used on the event loop only."""

    def __init__(self, in_flight: InFlight, largest: int) -> None:
        self._in_flight = in_flight
        self._largest = largest
        self._turns: dict[asyncio.Timeout, float] = {}
        """Reads under way, oldest first -> loop time they began at."""
        self._called = 0
        """Calls that have waited, whose turn has come, and that have not run since."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closing = False
        in_flight.on_freed.append(self._call)

    def close(self) -> None:
        """The collector shuts down: messages that are being read have a moment to arrive."""
        self._closing = True
        for turn in self._turns:
            self._hurry_last(turn)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Read a message, and hold its size, within this block.

        Raises OverloadError when the turn does not come, and when the block takes long while others wait.
        """
        if self._waiting or not self._room():
            await self._wait()
        turn = asyncio.timeout(None)
        self._turns[turn] = asyncio.get_running_loop().time()
        try:
            self._in_flight.check()
            async with turn:
                if self._closing:
                    self._hurry_last(turn)
                yield
        except TimeoutError as error:
            why = "the collector is shutting down" if self._closing else "others waited"
            raise OverloadError(f"the message did not arrive in time while {why}", RETRY_AFTER) from error
        finally:
            del self._turns[turn]
            self._call()

    def _room(self) -> bool:
        """Whether one more may read: always one at least, or small messages would wait for large ones to be written."""
        reads = len(self._turns) + self._called
        return not reads or self._in_flight.fits((reads + 1) * self._largest)

    async def _wait(self) -> None:
        if len(self._waiting) >= MOST_WAITING:
            raise OverloadError(f"{MOST_WAITING} calls wait to be read", RETRY_AFTER)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._hurry()
        try:
            async with asyncio.timeout(PATIENCE):
                await turn
            self._called -= 1
        except BaseException as error:
            self._leave(turn)
            if isinstance(error, TimeoutError):
                reason = f"other requests were read for {PATIENCE:g} seconds (max_in_flight {self._in_flight.limit})"
                raise OverloadError(reason, RETRY_AFTER) from error
            raise

    def _leave(self, turn: asyncio.Future[None]) -> None:
        """A call goes without having read: out of the queue, or its turn is the next one's."""
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif not turn.cancelled():
            self._called -= 1
            self._call()

    def _call(self) -> None:
        """Room may have become free: whose turn is it?"""
        if not self._waiting:
            return
        while self._waiting and self._room():
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._called += 1
        if not self._waiting:
            self._hurry_nobody()

    def _hurry(self) -> None:
        """Somebody waits: the oldest read that has no end gets one."""
        for turn, began in self._turns.items():
            if turn.when() is None:
                turn.reschedule(began + UNDISTURBED)
                return

    def _hurry_last(self, turn: asyncio.Timeout) -> None:
        if not turn.expired():
            last = asyncio.get_running_loop().time() + LAST_SECONDS
            turn.reschedule(min(last, turn.when() or last))

    def _hurry_nobody(self) -> None:
        if self._closing:
            return
        for turn in self._turns:
            if turn.when() is not None and not turn.expired():
                turn.reschedule(None)

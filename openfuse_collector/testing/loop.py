"""The event loop components live on, on a thread of its own: what hangs on it is found and named, and no plug-in of pytest is needed."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from types import TracebackType
from typing import TypeVar

from openfuse_collector.component import Component

PATIENCE = 300.0
"""Seconds a single step may take before it counts as hanging. Far more than is ever needed."""
LEAVE = 10.0
"""Seconds for whatever is left over to end when it is cancelled."""

T = TypeVar("T")


class ComponentLoop:
    """As the service gives its components one: they are made, started and stopped on it."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._serve, name="component loop", daemon=True)

    def __enter__(self) -> ComponentLoop:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A loop that is still blocked is left to its daemon thread, which closes it when it can: `run` has said so."""
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(_end()))
        self._thread.join(min(self.patience, LEAVE))

    def _serve(self) -> None:
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()

    def run(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """The outcome of a call on the loop. AssertionError, which begins with `what`, when it raises or does not return."""

        async def called() -> T:
            return await call()

        future = asyncio.run_coroutine_threadsafe(called(), self._loop)
        done, _ = concurrent.futures.wait([future], self.patience)
        if not done:
            future.cancel()
            raise AssertionError(f"{what} did not return within {self.patience:g} seconds")
        try:
            return future.result()
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error

    def make(self, create: Callable[[], T]) -> T:
        """A component, made on the loop."""

        async def created() -> T:
            return create()

        return self.run("making the component", created)

    def tasks(self) -> list[asyncio.Task[object]]:
        """Tasks that are not finished."""
        return list(asyncio.all_tasks(self._loop))

    @contextmanager
    def living(self, component: Component) -> Iterator[None]:
        """Started before, stopped after. What was found meanwhile is told rather than that it cannot be stopped."""
        self.run("start", component.start)
        try:
            yield
        except BaseException:
            with suppress(AssertionError):
                self.run("shutdown", component.shutdown)
            raise
        self.run("shutdown", component.shutdown)


async def _end() -> None:
    """Cancels what is left over and stops the loop."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=LEAVE)
    asyncio.get_running_loop().stop()

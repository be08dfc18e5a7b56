"""The worker threads: everything that asks the server or sends to it runs here, several entities' worth at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from time import thread_time

from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.flush import Flush, Part
from openfuse_collector.exporters.greptimedb.ingest import Ingester
from openfuse_collector.exporters.greptimedb.sql import Rows, SqlClient


class Writer:
    """Used by one thread, the exporter's. An entity is in flight once: `write` returns when every thread is done."""

    def __init__(
        self,
        config: GreptimedbConfig,
        sql: SqlClient,
        ingester: Ingester,
        spent: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """`spent` is told the CPU seconds of each part: converting and encoding, for waiting takes none."""
        self._spent = spent
        self._sql = sql
        self._ingester = ingester
        self._pool = ThreadPoolExecutor(config.encoder_workers, "greptimedb")

    def ask(self, queries: Sequence[str]) -> Iterable[Rows]:
        """Runs queries, some at the same time; what has not begun when one fails is left out. Raises CallError."""
        if len(queries) < 2:
            return list(map(self._sql.rows, queries))
        running = [self._pool.submit(self._sql.rows, query) for query in queries]
        wait(running, return_when=FIRST_EXCEPTION)
        for answer in running:
            answer.cancel()
        wait(running)
        return [answer.result() for answer in running if not answer.cancelled()]

    def write(self, parts: Iterable[Part]) -> list[Flush]:
        """Writes each part as soon as it is there, while the next one is being made. No entity may be in two of them.

        An error, a CallError or what making a part raised, comes out when nothing is running any more: what is repeated must not be
        overtaken by what it repeats.
        """
        running: list[Future[Flush]] = []
        try:
            for part in parts:  # made here, by the caller's generator
                running.append(self._pool.submit(self._flush, part))
        finally:
            wait(running)
        return [flush.result() for flush in running]

    def close(self) -> None:
        """Waits for the threads, at most as long as a call may take, and lets go of connections."""
        self._pool.shutdown()
        self._sql.close()

    def _flush(self, part: Part) -> Flush:
        began = thread_time()
        try:
            return Flush(self._ingester, lambda queries: map(self._sql.rows, queries), part).run()
        finally:
            self._spent(thread_time() - began)

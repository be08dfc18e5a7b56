"""The whole life of the process: open the journal, build the pipelines, start, wait for a signal, drain, stop."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from threading import Event

import structlog

from openfuse_collector import __version__, crash_points
from openfuse_collector.component import Component, ComponentID, Health, Intake, Kind, Settings, SharedPort
from openfuse_collector.components import factory
from openfuse_collector.config.service import CollectorConfig, MetricsConfig
from openfuse_collector.config.types import Duration
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.dead_letters.replay import Replay
from openfuse_collector.errors import CollectorError
from openfuse_collector.journal import Journal, JournalConfig
from openfuse_collector.journal.crashing_files import disk
from openfuse_collector.listening import cannot_listen
from openfuse_collector.memory import MemoryLimiter, limits_of
from openfuse_collector.memory.allocator import tune
from openfuse_collector.memory.available import available_memory, physical_memory
from openfuse_collector.payloads import decode, decode_letter
from openfuse_collector.pipeline.graph import Builder, Graph
from openfuse_collector.pipeline.graph import stop as stop_component
from openfuse_collector.pipeline.intake import JournalIntake
from openfuse_collector.pipeline.status import status_of
from openfuse_collector.telemetry.logs import configure_logs
from openfuse_collector.telemetry.loop import watch_loop
from openfuse_collector.telemetry.metrics import Metrics

SWITCH_INTERVAL = 0.001
"""Seconds a Python thread may keep the interpreter while another wants it. The default of 5 ms would show in every answer."""

RETAIN_BEHIND_VOLATILE = Duration(600)
"""How long the journal keeps passed segments where a store may lose its last seconds."""

GC_THRESHOLD = (20_000, 20, 50)
"""Batches are large, short-lived and free of cycles: looking through them after every 700 allocations finds nothing."""


def run(config: CollectorConfig) -> int:
    """Run until SIGTERM or SIGINT. Gives the exit code: 0 after a clean stop, 1 when something could not start."""
    log = configure_logs(config.service.telemetry.logs.level, config.service.telemetry.logs.encoding)
    sys.setswitchinterval(SWITCH_INTERVAL)
    tune()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(Service(config, log).run())
    except CollectorError as error:
        log.error("cannot start", error=str(error))
        return 1


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one (every platform but Windows), unless `OPENFUSE_EVENT_LOOP=asyncio`."""
    if os.environ.get("OPENFUSE_EVENT_LOOP") == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return new_event_loop


def journal_config(config: CollectorConfig) -> JournalConfig:
    """The journal's settings; where nothing is said of `retain`, segments stay a while behind a store that may lose its last seconds."""
    journal = config.service.journal
    used = {id for pipeline in config.service.pipelines.values() for id in pipeline.exporters if id in config.exporters}
    if journal.retain is not None or all(factory(Kind.EXPORTER, id.type).durable for id in used):
        return journal
    return dataclasses.replace(journal, retain=RETAIN_BEHIND_VOLATILE)


class Service:
    """One collector in one process."""

    def __init__(self, config: CollectorConfig, log: structlog.stdlib.BoundLogger) -> None:
        self._config = config
        self._log = log
        self._metrics = Metrics()
        self._health = Health()
        self._instance = ""
        self._dead_letters = DeadLetters(
            Path(config.service.journal.directory) / "dead-letters",
            Event(),
            self._metrics,
            log,
            config.service.dead_letters,
        )
        self._http_port = SharedPort()
        self._extensions: dict[ComponentID, Component] = {}
        self._graph: Graph | None = None
        self._replay: Replay | None = None
        self._patience = 0.0
        """Seconds for what is in the journal when it ends; none before everything has started."""
        self._stop_metrics: Callable[[], None] = lambda: None
        available = available_memory(physical_memory())
        self._memory = MemoryLimiter(limits_of(config.service.memory_limiter, available), self._metrics, log)

    async def run(self) -> int:
        """Start, wait for a signal, stop. Raises CollectorError when something cannot start; whatever had started is stopped then."""
        began = time.monotonic()
        stop = _signals()
        self._reload_on_hangup()
        crash_points.check()
        journal = Journal.open(journal_config(self._config), self._metrics, self._log, decode=decode, files=disk())
        self._instance = journal.instance
        self._memory.on_pressure.append(journal.drop_cache)
        interval = self._config.service.memory_limiter.check_interval
        watches = (
            asyncio.create_task(self._watch("event loop", lambda: watch_loop(self._metrics))),
            asyncio.create_task(self._watch("memory limiter", lambda: self._memory.watch(interval))),
        )
        try:
            await self._begin(journal, began)
            self._log.info(
                "shutting down, a second signal ends it at once",
                signal=await stop,
                at_most=Duration(self._patience).written(),
            )
        finally:
            await self._end()
            for watch in watches:
                watch.cancel()
            await asyncio.to_thread(journal.close)
            self._stop_metrics()
        self._log.info("stopped")
        return 0

    async def _begin(self, journal: Journal, began: float) -> None:
        """Everything that takes, processes or answers, until it is ready. Raises CollectorError; `_end` stops what has started."""
        self._stop_metrics = self._serve_metrics(self._config.service.telemetry.metrics)
        self._make_extensions()
        self._graph = graph = self._build(journal)
        self._report(journal, graph, began)
        await self._start(graph)
        self._replay = Replay(self._dead_letters, graph.entries, decode_letter, self._metrics, self._log)
        self._replay.start()
        self._patience = self._config.service.shutdown_timeout
        self._log.info(
            "everything is ready", version=__version__, pid=os.getpid(), seconds=round(time.monotonic() - began, 3)
        )

    async def _end(self) -> None:
        """All of that in reverse, as far as it was begun."""
        self._health.set(ready=False)
        if self._replay is not None:
            self._replay.stop()
        await self._stop(self._graph, self._patience)
        if self._replay is not None:
            await asyncio.to_thread(self._replay.join)
        self._dead_letters.close()

    async def _start(self, graph: Graph) -> None:
        for extension in self._extensions.values():
            await extension.start()
        await graph.start()
        if self._http_port.take():
            raise CollectorError(
                "receivers::langfuse: set its endpoint, or configure receivers::otlp::protocols::http to serve it"
            )
        gc.freeze()
        gc.enable()
        gc.set_threshold(*GC_THRESHOLD)
        self._health.set(ready=True)

    def _reload_on_hangup(self) -> None:
        """SIGHUP makes extensions that can read their files again do so, also while they start: whoever sends it does not know how long
        that takes."""

        def reload() -> None:
            for extension in self._extensions.values():
                getattr(extension, "reload", lambda: None)()

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)

    async def _stop(self, graph: Graph | None, patience: float) -> None:
        """Receivers, pipelines, exporters, then extensions; what is not stored within `patience` seconds stays in the journal."""
        if graph is not None and not await graph.shutdown(patience) and patience:
            self._log.warning(
                "not everything was stored in time; the rest stays in the journal and is stored after the next start"
            )
        for extension in reversed(self._extensions.values()):
            await stop_component(extension)

    async def _watch(self, what: str, watch: Callable[[], Coroutine[None, None, None]]) -> None:
        """What goes on until it is cancelled, which may be before it has begun; when it fails somebody is told."""
        try:
            await watch()
        except Exception:
            self._crashed(what)

    def _crashed(self, what: str) -> None:
        """A thread or a watch has ended that should not have: say so where somebody looks. Called there, while the error is handled."""
        self._log.exception("not well any more: restart the collector, nothing acknowledged is lost", what=what)
        self._health.fail()

    def _build(self, journal: Journal) -> Graph:
        def intake(settings: Settings) -> Intake:
            pipelines = self._config.service.pipelines.items()
            wired = (id.signal for id, pipeline in pipelines if settings.id in pipeline.receivers)
            return JournalIntake(journal, frozenset(wired), builder.queues)

        builder = Builder(
            self._config,
            journal,
            intake,
            self._settings,
            self._dead_letters,
            self._crashed,
            self._metrics,
            lambda: self._memory.pressed,
        )
        return builder.build()

    def _report(self, journal: Journal, graph: Graph, began: float) -> None:
        """What the health endpoint tells from now on."""

        def trouble() -> tuple[str, float] | None:
            found = journal.trouble
            return found and (f"{found.reason}: {found.message}", found.since)

        self._health.trouble = trouble
        self._health.status = lambda: status_of(journal, graph, self._memory, self._health, time.monotonic() - began)

    def _make_extensions(self) -> None:
        """In the order the configuration lists them; a later one sees the earlier ones."""
        for id in self._config.service.extensions:
            create = factory(Kind.EXTENSION, id.type).create
            self._extensions[id] = create(self._settings(Kind.EXTENSION, id), self._config.extensions[id])

    def _settings(self, kind: Kind, id: ComponentID) -> Settings:
        log = self._log.bind(
            **{"otelcol.component.id": str(id), "otelcol.component.kind": kind.value.removesuffix("s")}
        )
        return Settings(
            id,
            log,
            self._metrics,
            self._dead_letters,
            self._instance,
            self._health,
            self._http_port,
            self._extensions,
            self._memory,
        )

    def _serve_metrics(self, config: MetricsConfig) -> Callable[[], None]:
        """A busy default port is a warning: a second collector on a laptop should start all the same."""
        if config.level == "none":
            return lambda: None
        from openfuse_collector.telemetry.server import serve_metrics

        try:
            return serve_metrics(self._metrics, config.address)
        except OSError as error:
            if config.address != MetricsConfig().address:
                raise CollectorError(
                    f"service::telemetry::metrics::address: {cannot_listen(config.address, error)}"
                ) from error
            self._log.warning(
                "metrics are not served",
                address=str(config.address),
                error=error.strerror,
                remedy="set service::telemetry::metrics::address, or its level to none",
            )
            return lambda: None


def _signals() -> asyncio.Future[str]:
    """Resolves with the name of the first SIGTERM or SIGINT; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if stop.done():
            os._exit(1)  # the journal makes this safe
        stop.set_result(number.name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop

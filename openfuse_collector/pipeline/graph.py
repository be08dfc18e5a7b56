"""Builds the pipelines of a configuration: components made once, stages wired back to front, one source per journalled pipeline."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event as Flag

import structlog

from openfuse_collector.component import Component, ComponentID, Consumer, Exporter, Intake, Kind, Settings
from openfuse_collector.components import factory
from openfuse_collector.config.service import CollectorConfig, PipelineConfig, PipelineID
from openfuse_collector.dead_letters.letters import DeadLetters
from openfuse_collector.journal import Journal, Quota
from openfuse_collector.pipeline.claims import Claims
from openfuse_collector.pipeline.queued import Queued
from openfuse_collector.pipeline.retry import RetryConfig
from openfuse_collector.pipeline.source import Source
from openfuse_collector.pipeline.stages import FanOut, Step, Steps
from openfuse_collector.pipeline.worker import ExporterWorker
from openfuse_collector.signals import Signal
from openfuse_collector.telemetry.metrics import Metrics

JOIN_SECONDS = 5.0
"""How long an export under way may take to come to its end once the drain is over."""


@dataclass
class Graph:
    """Everything a running service consists of between the network and the stores."""

    receivers: list[Component] = field(default_factory=list)
    inner: list[Component] = field(default_factory=list)
    """Processors, connectors and exporters, in the order they were made."""
    workers: list[ExporterWorker] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    queues: dict[tuple[Signal, str], list[Queued]] = field(default_factory=dict)
    """(signal, receiver) -> the counts of what waits, of all pipelines that take it."""
    entries: dict[tuple[Kind, str], Consumer] = field(default_factory=dict)
    """(kind, name) of every stage that may set something aside -> where it is offered to that stage again."""
    stopping: Flag = field(default_factory=Flag)

    async def start(self) -> None:
        """Exporters first, receivers last: nobody is handed data before the next one is ready. Raises CollectorError."""
        for component in self.inner:
            await component.start()
        for worker in self.workers:
            worker.start()
        for source in self.sources:
            source.start()
        for receiver in self.receivers:
            await receiver.start()

    async def shutdown(self, seconds: float) -> bool:
        """Receivers first, then what is in the journal as far as `seconds` allow; tells whether everything was finished."""
        deadline = time.monotonic() + seconds
        await asyncio.gather(*(stop(receiver) for receiver in self.receivers))
        for source in self.sources:  # all at once: there may be more of them than threads to wait for them
            source.finish()
        drained = all(await asyncio.gather(*(asyncio.to_thread(source.drain, deadline) for source in self.sources)))
        self.stopping.set()
        await asyncio.gather(*(asyncio.to_thread(worker.join, JOIN_SECONDS) for worker in self.workers))
        await asyncio.gather(*(asyncio.to_thread(source.join) for source in self.sources))
        for component in self.inner:
            await stop(component)
        return drained


async def stop(component: Component) -> None:
    """Shut one component down; an error of it keeps nobody else from stopping."""
    try:
        await component.shutdown()
    except Exception:
        structlog.get_logger().exception("a component failed to shut down", component=type(component).__name__)


def cursor_names(pipeline: PipelineID, targets: Iterable[ComponentID]) -> tuple[str, ...]:
    """The names cursors of a pipeline with these destinations may have; which of them goes by the name of the pipeline alone is
    decided when it is built."""
    return (str(pipeline), *(_cursor_name(pipeline, target) for target in targets))


def _named(pipeline: PipelineID, targets: Sequence[ComponentID]) -> Iterator[tuple[str, ComponentID]]:
    """Cursor names: the first destination goes by the name of the pipeline, as it does when it is the only one."""
    for number, target in enumerate(targets):
        yield _cursor_name(pipeline, target) if number else str(pipeline), target


def _cursor_name(pipeline: PipelineID, target: ComponentID) -> str:
    return f"{pipeline}@{target}"


class Builder:
    """Makes a Graph from a checked configuration. Used once."""

    def __init__(
        self,
        config: CollectorConfig,
        journal: Journal,
        intake: Callable[[Settings], Intake],
        settings: Callable[[Kind, ComponentID], Settings],
        dead_letters: DeadLetters,
        crashed: Callable[[str], None],
        metrics: Metrics,
        pressed: Callable[[], bool] = lambda: False,
    ) -> None:
        """`pressed` tells that memory is short."""
        self._config = config
        self._crashed = crashed
        self._pressed = pressed
        self._claims = Claims(config, metrics)
        self._journal = journal
        self._intake = intake
        self._settings = settings
        self._metrics = metrics
        self._dead_letters = dead_letters
        self._graph = Graph(stopping=dead_letters.stopping)
        self._exporters: dict[ComponentID, tuple[Exporter, ExporterWorker]] = {}
        self._ways: dict[tuple[Kind, str], list[Consumer]] = {}
        self._connectors: dict[ComponentID, tuple[Consumer, list[Exporter]]] = {}
        self._pipelines: dict[PipelineID, tuple[Consumer, list[Exporter]]] = {}

    @property
    def queues(self) -> Mapping[tuple[Signal, str], Sequence[Queued]]:
        """(signal, receiver) -> what counts the items that wait. Complete when receivers are made."""
        return self._graph.queues

    def build(self) -> Graph:
        """Create every component a pipeline uses, and wire them."""
        self._arrange()
        for pipeline_id, pipeline in self._config.service.pipelines.items():
            if self._journalled(pipeline):
                self._add_sources(pipeline_id, pipeline)
        used = {id for pipeline in self._config.service.pipelines.values() for id in pipeline.receivers}
        for id in self._config.receivers.keys() & used:
            settings = self._settings(Kind.RECEIVER, id)
            create = factory(Kind.RECEIVER, id.type).create
            self._graph.receivers.append(create(settings, self._config.receivers[id], self._intake(settings)))
        return self._graph

    def _arrange(self) -> None:
        """Tell the journal which cursors there will be, so that nothing is left behind where names or receivers have changed."""
        takes: dict[str, Collection[str]] = {}
        renamed: dict[str, str] = {}
        for id, pipeline in self._config.service.pipelines.items():
            if self._journalled(pipeline):
                for name, target in self._named(id, pipeline):
                    takes[name] = self._claims.makers(id.signal, pipeline.receivers)
                    if name == str(id):
                        renamed[_cursor_name(id, target)] = name
        self._journal.arrange(takes, renamed)

    def _named(self, id: PipelineID, pipeline: PipelineConfig) -> Iterator[tuple[str, ComponentID]]:
        return _named(id, sorted(pipeline.exporters, key=self._forwards))

    def _journalled(self, pipeline: PipelineConfig) -> bool:
        return any(id in self._config.receivers for id in pipeline.receivers)

    def _add_sources(self, id: PipelineID, pipeline: PipelineConfig) -> None:
        """One way through the journal per destination, so that none waits for another."""
        if len(pipeline.exporters) == 1:
            self._add_source(str(id), id, pipeline, *self._pipeline(id, pipeline))
            return
        for name, target in self._named(id, pipeline):
            alone = dataclasses.replace(pipeline, exporters=(target,))
            self._add_source(name, id, alone, *self._wire(id, alone))

    def _add_source(
        self, name: str, id: PipelineID, pipeline: PipelineConfig, following: Consumer, exporters: list[Exporter]
    ) -> None:
        # An exporter that gets a batch by two ways cannot tell from one of them how far it is.
        keeps_cursor = len(set(exporters)) == len(exporters)
        cursors = [exporter.cursor(name) if keeps_cursor else None for exporter in exporters]
        known = [cursor for cursor in cursors if cursor is not None]
        start = min(known) if known and len(known) == len(cursors) else None
        queued = Queued(name, self._metrics, self._journal.end)
        parks = self._forwards(pipeline.exporters[0]) if pipeline.on_full is None else pipeline.on_full == "park"
        reader = self._journal.reader(
            name,
            start=start,
            wants=self._claims.of(id.signal, pipeline.receivers),
            on_pass=self._claims.passed,
            quota=Quota(pipeline.max_backlog, parks, queued.given_up),
            after=str(id),
            formerly=_cursor_name(id, pipeline.exporters[0]) if name == str(id) else "",
        )
        for receiver in pipeline.receivers:
            self._graph.queues.setdefault((id.signal, str(receiver)), []).append(queued)
        self._graph.sources.append(
            Source(
                name,
                id.signal,
                reader,
                pipeline.batch,
                following,
                self._crashed,
                self._metrics,
                queued=queued,
                pressed=self._pressed,
                keeps_cursor=keeps_cursor,
            )
        )

    def _forwards(self, target: ComponentID) -> bool:
        """Whether nothing behind a destination keeps the data."""
        if target not in self._config.connectors:
            return factory(Kind.EXPORTER, target.type).forwards
        pipelines = self._config.service.pipelines.values()
        return all(
            self._forwards(id) for pipeline in pipelines if target in pipeline.receivers for id in pipeline.exporters
        )

    def _pipeline(self, id: PipelineID, pipeline: PipelineConfig) -> tuple[Consumer, list[Exporter]]:
        """The first stage of a pipeline and every exporter behind it, connectors followed. Made once per pipeline."""
        built = self._pipelines.get(id)
        if built is None:
            built = self._pipelines[id] = self._wire(id, pipeline)
        return built

    def _wire(self, id: PipelineID, pipeline: PipelineConfig) -> tuple[Consumer, list[Exporter]]:
        consumers: list[Consumer] = []
        exporters: list[Exporter] = []
        for target in pipeline.exporters:
            if target in self._config.connectors:
                consumer, behind = self._connector(target)
                exporters += behind
            else:
                exporter, consumer = self._exporter(target)
                exporters.append(exporter)
            consumers.append(consumer)
        last = consumers[0] if len(consumers) == 1 else FanOut(consumers)
        steps = Steps([self._processor(id, processor) for processor in pipeline.processors], last)
        for name, entry in steps.entries():
            self._add_entry((Kind.PROCESSOR, name), entry)
        return (steps if pipeline.processors else last), exporters

    def _add_entry(self, stage: tuple[Kind, str], entry: Consumer) -> None:
        """A processor has one way on per destination. Which of them a letter was refused on is not known, so it is offered to all."""
        others = self._ways.setdefault(stage, [])
        others.append(entry)
        self._graph.entries[stage] = entry if len(others) == 1 else FanOut(others)

    def _processor(self, pipeline: PipelineID, id: ComponentID) -> Step:
        """Processors are one instance per pipeline, as in the OpenTelemetry Collector."""
        settings = self._settings(Kind.PROCESSOR, id)
        processor = factory(Kind.PROCESSOR, id.type).create(settings, self._config.processors[id])
        self._graph.inner.append(processor)
        return Step(f"{pipeline}: {id}", processor.process, self._dead_letters, settings.log, Kind.PROCESSOR)

    def _connector(self, id: ComponentID) -> tuple[Consumer, list[Exporter]]:
        """A connector is one instance; what it emits goes to every pipeline that names it as receiver."""
        built = self._connectors.get(id)
        if built is None:
            settings = self._settings(Kind.CONNECTOR, id)
            connector = factory(Kind.CONNECTOR, id.type).create(settings, self._config.connectors[id])
            branches = [
                self._pipeline(pipeline_id, pipeline)
                for pipeline_id, pipeline in self._config.service.pipelines.items()
                if id in pipeline.receivers
            ]
            self._graph.inner.append(connector)
            step = Step(str(id), connector.convert, self._dead_letters, settings.log)
            last = branches[0][0] if len(branches) == 1 else FanOut([consumer for consumer, _ in branches])
            self._graph.entries[Kind.CONNECTOR, str(id)] = Steps([step], last)
            built = Steps([step], last), [exporter for _, exporters in branches for exporter in exporters]
            self._connectors[id] = built
        return built

    def _exporter(self, id: ComponentID) -> tuple[Exporter, ExporterWorker]:
        """An exporter is one instance with one worker, however many pipelines name it: a store has one owner."""
        built = self._exporters.get(id)
        if built is None:
            settings = self._settings(Kind.EXPORTER, id)
            config = self._config.exporters[id]
            exporter = factory(Kind.EXPORTER, id.type).create(settings, config)
            retry = getattr(config, "retry_on_failure", RetryConfig())
            worker = ExporterWorker(
                id, exporter, retry, self._dead_letters, self._graph.stopping, self._metrics, settings.log
            )
            self._graph.inner.append(exporter)
            self._graph.workers.append(worker)
            self._graph.entries[Kind.EXPORTER, str(id)] = worker
            built = self._exporters[id] = exporter, worker
        return built

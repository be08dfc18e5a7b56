"""The contract between the machine and its components: kinds, ids, factories, settings and the small protocols they fulfil."""

from __future__ import annotations

import builtins
import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from openfuse_collector.signals import Batch, Origin, Signal

if TYPE_CHECKING:
    import structlog

    from openfuse_collector.dead_letters.letters import DeadLetters
    from openfuse_collector.memory import MemoryLimiter
    from openfuse_collector.telemetry.metrics import Metrics


class Kind(StrEnum):
    """The five sections of a configuration that hold components."""

    RECEIVER = "receivers"
    PROCESSOR = "processors"
    CONNECTOR = "connectors"
    EXPORTER = "exporters"
    EXTENSION = "extensions"


class ComponentID(NamedTuple):
    """`type` or `type/name`."""

    type: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.type}/{self.name}" if self.name else self.type


class Health:
    """Whether the service takes data: what the health endpoint says. Written by the service alone."""

    def __init__(self) -> None:
        self._ready = self._failed = False
        self.since = time.time()
        """Epoch seconds of the last change."""
        self.trouble: Callable[[], tuple[str, float] | None] = lambda: None
        """Why nothing is taken at the moment, and since when (epoch seconds)."""
        self.status: Callable[[], dict[str, Any]] = dict
        """All there is to say about the service, as JSON values. On the event loop."""

    def set(self, ready: bool) -> None:
        """Change the state."""
        self._ready, self.since = ready, time.time()

    @property
    def ready(self) -> bool:
        """Never again after `fail`."""
        return self._ready and not self._failed

    def fail(self) -> None:
        """Something has ended for good that only a restart brings back. From any thread, also while the service still starts."""
        self._failed = True
        self.set(ready=False)


class SharedPort:
    """Routes of components that want to be served on the port of OTLP/HTTP instead of one of their own.

    Guests `offer` theirs when they are made; the first OTLP/HTTP server to start `take`s all of them.
    """

    def __init__(self) -> None:
        self._routes: list[Any] = []

    def offer(self, routes: Iterable[Any]) -> None:
        """aiohttp route definitions; their handlers read bodies themselves (no automatic decompression)."""
        self._routes += routes

    def take(self) -> list[Any]:
        """Everything offered so far, once."""
        taken, self._routes = self._routes, []
        return taken


@dataclass(frozen=True)
class Settings:
    """What the service gives every component beside its own configuration."""

    id: ComponentID
    log: structlog.stdlib.BoundLogger
    metrics: Metrics
    dead_letters: DeadLetters
    instance: str = ""
    """Id of this collector, kept by its journal."""
    health: Health = field(default_factory=Health)
    http_port: SharedPort = field(default_factory=SharedPort)
    extensions: Mapping[ComponentID, Any] = field(default_factory=dict)
    """The extensions in use; they are made before everything else."""
    memory: MemoryLimiter | None = None
    """Asked by receivers before they take a request."""

    def extension(self, type: str) -> Any | None:
        """The extension of that type, None when none is in use."""
        return next((made for id, made in self.extensions.items() if id.type == type), None)


@runtime_checkable
class Component(Protocol):
    """Life of a component, on the event loop. `start` returns when it is ready; `shutdown` is idempotent and safe without `start`."""

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...


class Intake(Protocol):
    """Where a receiver puts what it accepted. Returns once the data is durable.

    Raises RetryableError when a bound is reached; nothing was taken then. A receiver has to be ready for PermanentError and
    PartialError too, which the journal has no reason for.
    """

    @property
    def signals(self) -> frozenset[Signal]:
        """The signals some pipeline takes from this receiver; what else it accepted, nobody would read."""
        ...

    async def accept(self, origin: Origin, payload: bytes, data: Any, items: int) -> None:
        """Append one request to the journal.

        `payload` are the bytes to keep (OTLP protobuf, or the normalised events), `data` the same decoded (shared with the
        pipelines, so that nobody decodes twice), `items` the number of spans, log records or events in it.
        """
        ...


class Consumer(Protocol):
    """The next stage of a pipeline. Called on the pipeline's own thread; may block, which is how back-pressure travels.

    Returning means the consumer will call `batch.delivery.done()` once, now or later.
    """

    def consume(self, batch: Batch) -> None: ...


class Processor(Component, Protocol):
    """A pure step of a pipeline: batch in, batch out (same delivery). Processors never write to the items they are given."""

    def process(self, batch: Batch) -> Batch: ...


class Connector(Component, Protocol):
    """End of one pipeline and beginning of others: batch of one signal in, batch of another out (same delivery)."""

    def convert(self, batch: Batch) -> Batch: ...


class Exporter(Component, Protocol):
    """A destination. `export` runs on the exporter's own worker thread, one batch at a time and in order.

    Returning means the batch is where it belongs, for good. Raises RetryableError (called again with the same batch, for
    ever), PermanentError (the batch is bisected to the item at fault, which goes to the dead letters). Anything else counts as a bug.
    """

    def export(self, batch: Batch) -> None: ...

    def cursor(self, pipeline: str) -> int | None:
        """Journal offset up to which this destination durably has a pipeline's data, None when it does not keep one."""
        ...


@dataclass(frozen=True)
class Factory:
    """How a component type is made. One `FACTORY` per component package."""

    kind: Kind
    type: str
    config: builtins.type[Any]
    """Frozen dataclass: its defaults are the defaults, in one place; its `validate` checks its own level."""
    create: Callable[..., Any]
    """Receiver: (settings, config, intake); every other kind: (settings, config)."""
    signals: frozenset[Signal] = frozenset()
    """Signals a receiver produces, a processor or exporter takes, a connector consumes."""
    emits: frozenset[Signal] = frozenset()
    """Connectors only: the signals that come out."""
    durable: bool = True
    """Exporters only: whether what `export` returned from survives a power cut of the destination. If not, the journal keeps it a while."""
    forwards: bool = False
    """Exporters only: whether it passes data on to another system instead of being where the data is kept. Pipelines to such
    destinations park when they fall behind (`on_full`); all others make senders wait."""
    operations: Callable[..., Any] | None = None
    """Exporters that are stores: config -> `store.operations.Operations`, what the commands work on."""
    stability: str = "alpha"
    aliases: tuple[str, ...] = ()
    """Older names that keep working."""
    metrics: Mapping[str, str] = field(default_factory=dict)
    """Metric name -> help, for the docs; see the component's README."""


def lazy(path: str) -> Callable[..., Any]:
    """A `create` for `module:Class` that imports the module when the first component is made.

    Checking a configuration needs every component's settings, but none of the libraries it works with.
    """
    module, _, name = path.partition(":")

    def create(*arguments: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*arguments)

    return create

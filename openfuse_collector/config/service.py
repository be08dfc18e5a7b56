"""The configuration as a whole: the `service` section, the components' configs, and `load`, which makes it from sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from openfuse_collector.component import ComponentID, Kind
from openfuse_collector.config.expand import expand
from openfuse_collector.config.ids import PipelineID
from openfuse_collector.config.nodes import Node, Path, Problem, nearest
from openfuse_collector.config.sections import Section, read_section
from openfuse_collector.config.sources import read_sources
from openfuse_collector.config.types import MIB, Address, Duration, Size
from openfuse_collector.config.unmarshal import unmarshal
from openfuse_collector.config.wiring import Wiring, check_wiring
from openfuse_collector.dead_letters.config import DeadLettersConfig
from openfuse_collector.errors import ConfigError
from openfuse_collector.journal.config import JournalConfig
from openfuse_collector.memory.config import MemoryLimiterConfig

__all__ = [
    "BatchConfig",
    "CollectorConfig",
    "DeadLettersConfig",
    "LogsConfig",
    "MetricsConfig",
    "PipelineConfig",
    "PipelineID",
    "ServiceConfig",
    "TelemetryConfig",
    "load",
]


@dataclass(frozen=True)
class BatchConfig:
    """How much of the journal a pipeline takes at a time."""

    timeout: Duration = Duration(0.1)
    """A batch that is not full leaves after this long."""
    max_items: int = 2048
    """Spans, log records or events; the first batches after a start have fewer, see `pipeline.source.batch_sizes`."""
    max_bytes: Size = Size(8 * MIB)
    """Payload bytes; a single larger request still travels, alone."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if self.max_items < 1:
            yield "max_items must be at least 1"
        if self.max_bytes < 1:
            yield "max_bytes must be at least 1"


@dataclass(frozen=True)
class PipelineConfig:
    """One way through the collector: data of one signal, from all receivers through all processors to every exporter."""

    receivers: tuple[ComponentID, ...] = ()
    """Receivers, and connectors that emit this pipeline's signal."""
    processors: tuple[ComponentID, ...] = ()
    """In the order the data takes."""
    exporters: tuple[ComponentID, ...] = ()
    """Exporters, and connectors that consume this pipeline's signal."""
    batch: BatchConfig = field(default_factory=BatchConfig)
    max_backlog: Size | None = None
    """Bytes of the journal the pipeline may be behind. Default: `journal.max_size`, or a quarter of it for one that parks."""
    on_full: Literal["refuse", "park"] | None = None
    """At `max_backlog`: `refuse` tells senders to retry, `park` gives up the oldest requests. Default: destinations that keep
    data refuse, those that forward it park."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if self.max_backlog is not None and self.max_backlog < MIB:
            yield "max_backlog must be at least 1MiB"


@dataclass(frozen=True)
class LogsConfig:
    """The collector's own log, on stderr."""

    level: Literal["debug", "info", "warn", "error"] = "info"
    encoding: Literal["console", "json"] = "console"


@dataclass(frozen=True)
class MetricsConfig:
    """The collector's own Prometheus metrics."""

    level: Literal["none", "basic", "normal", "detailed"] = "normal"
    """`none` opens no port."""
    address: Address = Address("localhost:8888")


@dataclass(frozen=True)
class TelemetryConfig:
    """What the collector tells about itself."""

    logs: LogsConfig = field(default_factory=LogsConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)


@dataclass(frozen=True)
class ServiceConfig:
    """Which components run, how they are wired, and the machine around them."""

    extensions: tuple[ComponentID, ...] = ()
    """In the order they start."""
    pipelines: dict[PipelineID, PipelineConfig] = field(default_factory=dict)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    journal: JournalConfig = field(default_factory=JournalConfig)
    memory_limiter: MemoryLimiterConfig = field(default_factory=MemoryLimiterConfig)
    dead_letters: DeadLettersConfig = field(default_factory=DeadLettersConfig)
    shutdown_timeout: Duration = Duration(10)
    """How long a stop waits for exporters. What is unfinished then stays in the journal."""


@dataclass(frozen=True)
class CollectorConfig:
    """A configuration that passed every check. Components that no pipeline names are in it too, and are never started."""

    service: ServiceConfig
    receivers: Mapping[ComponentID, Any]
    processors: Mapping[ComponentID, Any] = field(default_factory=dict)
    connectors: Mapping[ComponentID, Any] = field(default_factory=dict)
    exporters: Mapping[ComponentID, Any] = field(default_factory=dict)
    extensions: Mapping[ComponentID, Any] = field(default_factory=dict)


def load(
    sources: Sequence[str], sets: Sequence[str] = (), warn: Callable[[str], None] = lambda message: None
) -> CollectorConfig:
    """The configuration of `--config` sources (at least one) and `--set` overrides.

    `warn` is called with a located sentence for whatever is doubtful but usable. Raises ConfigError with one located
    sentence per mistake, sorted by source and line.
    """
    if not sources:
        raise ConfigError("no configuration: name at least one source with --config")
    problems: list[Problem] = []
    warnings: list[Problem] = []
    root = read_sources(sources, sets, problems)
    _raise_any(problems)  # with a source missing, everything in it would be reported as missing
    root = expand(root, problems, warnings)
    for warning in warnings:
        warn(str(warning))
    expanded = {problem.path for problem in problems}
    config, mistakes = _decode(root)
    _raise_any(problems + [mistake for mistake in mistakes if mistake.path not in expanded])
    return config


def _decode(root: Node) -> tuple[CollectorConfig, list[Problem]]:
    """The values in a tree of maps, and all that is wrong with them."""
    top = root.value if isinstance(root.value, dict) else {}
    if not top:
        return _EMPTY, [Problem(root.at, (), "the configuration is empty")]
    unknown = ((name, node) for name, node in top.items() if name not in _TOP)
    problems = [Problem(node.at, (name,), f"unknown key{nearest(name, _TOP) or _VALID}") for name, node in unknown]
    nothing = Node({}, root.at)
    sections: dict[Kind, Section] = {kind: read_section(kind, top.get(kind, nothing), problems) for kind in Kind}
    service, mistakes = unmarshal(top.get("service", nothing), ServiceConfig, ("service",))
    problems += mistakes
    service = service or ServiceConfig()
    configs = {kind.value: section.configs for kind, section in sections.items()}
    factories = {kind: section.factories for kind, section in sections.items()}
    reported: set[Path] = {problem.path for problem in problems}
    problems += check_wiring(Wiring(service.pipelines, service.extensions, factories), root, reported)
    return CollectorConfig(service=service, **configs), problems


_TOP = (*Kind, "service")
_VALID = f" (valid keys: {', '.join(_TOP)})"
_EMPTY = CollectorConfig(ServiceConfig(), {})


def _raise_any(problems: list[Problem]) -> None:
    if problems:
        raise ConfigError(*(str(problem) for problem in sorted(set(problems))))

"""Which component types there are: built-ins by a table, plug-ins by entry points. Nothing is imported before it is named.

A plug-in is an entry point in the group `openfuse_collector.<kind>` (`openfuse_collector.exporters`, …): its name is the
component type, its value `package.module:FACTORY`. A built-in type cannot be taken over by a plug-in.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import NamedTuple

from openfuse_collector import __version__
from openfuse_collector.component import Factory, Kind
from openfuse_collector.config.nodes import nearest
from openfuse_collector.errors import ConfigError

BUILT_IN: dict[tuple[Kind, str], str] = {
    (Kind.RECEIVER, "otlp"): "openfuse_collector.receivers.otlp:FACTORY",
    (Kind.RECEIVER, "langfuse"): "openfuse_collector.receivers.langfuse:FACTORY",
    (Kind.CONNECTOR, "genai"): "openfuse_collector.connectors.genai:FACTORY",
    (Kind.EXPORTER, "sqlite"): "openfuse_collector.exporters.sqlite:FACTORY",
    (Kind.EXPORTER, "greptimedb"): "openfuse_collector.exporters.greptimedb:FACTORY",
    (Kind.EXPORTER, "debug"): "openfuse_collector.exporters.debug:FACTORY",
    (Kind.EXTENSION, "api_keys"): "openfuse_collector.extensions.api_keys:FACTORY",
    (Kind.EXTENSION, "pricing"): "openfuse_collector.extensions.pricing:FACTORY",
    (Kind.EXTENSION, "tokenizers"): "openfuse_collector.extensions.tokenizers:FACTORY",
    (Kind.EXTENSION, "score_configs"): "openfuse_collector.extensions.score_configs:FACTORY",
    (Kind.EXTENSION, "health_check"): "openfuse_collector.extensions.health_check:FACTORY",
}
"""(kind, type) -> `module:name` of its factory."""

ALIASES: dict[tuple[Kind, str], str] = {}
"""(kind, older type) -> built-in type. The factory names the same aliases; here they are known before it is imported."""

REPLACED: dict[tuple[Kind, str], str] = {
    (Kind.PROCESSOR, "batch"): (
        "pipelines batch by themselves here; take the processor out and set service::pipelines::<id>::batch "
        "(timeout, max_items, max_bytes) if the defaults do not suit"
    ),
    (Kind.PROCESSOR, "memory_limiter"): (
        "memory is limited for the whole service here, and before data is taken; take the processor out and move its settings "
        "to service::memory_limiter if the defaults do not suit"
    ),
}
"""Well-known Collector components whose work is done elsewhere here, and where."""


class Offer(NamedTuple):
    """A component type that can be configured, not imported yet."""

    kind: Kind
    type: str
    target: str
    """`module:name` of the factory."""
    distribution: str
    """Name and version of the package it comes in."""

    def load(self) -> Factory:
        """Imports the factory. Raises ConfigError when that fails or what is there is no such factory."""
        module, _, name = self.target.partition(":")
        try:
            made = getattr(import_module(module), name)
        except Exception as error:  # a plug-in may raise anything; it must not take the others along
            reason = f"{type(error).__name__}: {error}"
            raise ConfigError(f'"{self.type}" of {self.distribution} cannot be loaded: {reason}') from error
        if not isinstance(made, Factory) or made.kind != self.kind:
            raise ConfigError(f'"{self.type}" of {self.distribution} is no factory for {self.kind}: {self.target}')
        if self.type not in (made.type, *made.aliases):
            raise ConfigError(f'"{self.type}" of {self.distribution} calls itself "{made.type}"')
        return made


def factory(kind: Kind, type: str) -> Factory:
    """The factory of a component type, imported now. Raises ConfigError with a sentence that lists what there is."""
    target = BUILT_IN.get((kind, ALIASES.get((kind, type), type)))
    if target is not None:
        return Offer(kind, type, target, _OURS).load()
    if (kind, type) in REPLACED:
        raise ConfigError(f'there is no "{type}" processor: {REPLACED[kind, type]}')
    return _plug_in(kind, type).load()


def offers() -> Iterator[Offer]:
    """Every type there is, built-ins first, each kind in the order of a configuration. Aliases are left out."""
    for kind in Kind:
        yield from (Offer(kind, name, target, _OURS) for (of, name), target in BUILT_IN.items() if of is kind)
        yield from (offer for offer in _plug_ins(kind) if (kind, offer.type) not in BUILT_IN)


_OURS = f"openfuse-collector {__version__}"


def _plug_in(kind: Kind, type: str) -> Offer:
    plug_ins = _plug_ins(kind)
    found = [offer for offer in plug_ins if offer.type == type]
    if not found:
        known = sorted({name for of, name in BUILT_IN if of is kind} | {offer.type for offer in plug_ins})
        raise ConfigError(f'unknown type: "{type}" (valid values: [{", ".join(known)}]){nearest(type, known)}')
    if len(found) > 1:
        owners = " and ".join(offer.distribution for offer in found)
        raise ConfigError(f'type "{type}" is offered by {owners}: uninstall one of them')
    return found[0]


def _plug_ins(kind: Kind) -> list[Offer]:
    """Sorted by type, then distribution, whatever the order of the path."""
    from importlib.metadata import entry_points  # slow, and built-ins do without

    found = [
        Offer(
            kind,
            point.name,
            point.value.replace(" ", ""),
            f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution",
        )
        for point in entry_points(group=f"openfuse_collector.{kind}")
    ]
    return sorted(found, key=lambda offer: (offer.type, offer.distribution))

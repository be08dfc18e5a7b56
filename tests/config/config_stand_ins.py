"""Component types for configuration tests: one per kind, with every type of setting a config may have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from openfuse_collector.component import ComponentID, Factory, Kind
from openfuse_collector.config.types import Address, Duration, Secret, Size
from openfuse_collector.signals import Signal


class Mode(StrEnum):
    FAST = "fast"
    SAFE = "safe"


@dataclass(frozen=True)
class Tls:
    cert_file: str
    key_file: str = ""
    insecure: bool = False


@dataclass(frozen=True)
class Server:
    endpoint: Address = Address("localhost:4317")
    tls: Tls | None = None
    max_size: Size = Size(1024)

    def validate(self) -> Iterator[str]:
        if self.endpoint.port == 1:
            yield "endpoint must not use port 1"


@dataclass(frozen=True)
class Protocols:
    grpc: Server | None = None
    http: Server | None = None

    def validate(self) -> Iterator[str]:
        if self.grpc is None and self.http is None:
            yield "must specify at least one protocol"


@dataclass(frozen=True)
class Inbound:
    protocols: Protocols = field(default_factory=Protocols)
    token: Secret = field(default=Secret(""))


@dataclass(frozen=True)
class Outbound:
    path: str = "./here"
    timeout: Duration = Duration(5)
    retries: int = 3
    ratio: float = 0.5
    flush: bool = True
    mode: Mode = Mode.SAFE
    level: Literal["basic", "normal", "off"] = "basic"
    headers: dict[str, str] = field(default_factory=dict)
    keys: tuple[Secret, ...] = ()
    tags: frozenset[str] = frozenset()
    storage: ComponentID | None = None
    limit: Size | None = Size(10)
    from_: str = "now"
    free: Any = None
    fields_: str | tuple[str, ...] = ()


@dataclass(frozen=True)
class Nothing:
    pass


TRACES, LOGS, EVENTS = frozenset({Signal.TRACES}), frozenset({Signal.LOGS}), frozenset({Signal.EVENTS})

INBOUND = Factory(Kind.RECEIVER, "inbound", Inbound, object, TRACES)
STEP = Factory(Kind.PROCESSOR, "step", Nothing, object, TRACES)
TURN = Factory(Kind.CONNECTOR, "turn", Nothing, object, TRACES, emits=EVENTS, aliases=("old_turn",))
LOOP = Factory(Kind.CONNECTOR, "loop", Nothing, object, TRACES, emits=TRACES)
OUTBOUND = Factory(Kind.EXPORTER, "outbound", Outbound, object, EVENTS, stability="beta")
ANY = Factory(Kind.EXPORTER, "any", Nothing, object, TRACES | LOGS | EVENTS)
PULSE = Factory(Kind.EXTENSION, "pulse", Nothing, object)
NO_FACTORY = "not a factory"

TABLE = {
    (Kind.RECEIVER, "inbound"): "config_stand_ins:INBOUND",
    (Kind.PROCESSOR, "step"): "config_stand_ins:STEP",
    (Kind.CONNECTOR, "turn"): "config_stand_ins:TURN",
    (Kind.CONNECTOR, "loop"): "config_stand_ins:LOOP",
    (Kind.EXPORTER, "outbound"): "config_stand_ins:OUTBOUND",
    (Kind.EXPORTER, "any"): "config_stand_ins:ANY",
    (Kind.EXTENSION, "pulse"): "config_stand_ins:PULSE",
}

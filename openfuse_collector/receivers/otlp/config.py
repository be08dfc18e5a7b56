"""Settings of the `otlp` receiver, as the OpenTelemetry Collector names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from openfuse_collector.config.types import MIB, Address, Duration, Size
from openfuse_collector.signals import Signal


@dataclass(frozen=True)
class TlsConfig:
    """A server certificate, and whose clients to let in."""

    cert_file: str = ""
    """PEM, the server's certificate first."""
    key_file: str = ""
    client_ca_file: str = ""
    """When set, clients must show a certificate of this authority."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        for key in ("cert_file", "key_file"):
            if not getattr(self, key):
                yield f"{key} must be set"


@dataclass(frozen=True)
class ServerParameters:
    """How long connections live. 0 leaves it to gRPC: for ever, for ever, for ever, 2h, 20s."""

    max_connection_idle: Duration = Duration(0)
    max_connection_age: Duration = Duration(0)
    """Connections this old are told to reconnect, which is how clients move to new collectors behind a load balancer."""
    max_connection_age_grace: Duration = Duration(0)
    time: Duration = Duration(0)
    """Quiet time after which the client is pinged."""
    timeout: Duration = Duration(0)


@dataclass(frozen=True)
class EnforcementPolicy:
    """Which pings of clients are too many."""

    min_time: Duration = Duration(0)
    """0 leaves it to gRPC: 5m."""
    permit_without_stream: bool = False


@dataclass(frozen=True)
class KeepaliveConfig:
    """Pings and ages of gRPC connections."""

    server_parameters: ServerParameters = field(default_factory=ServerParameters)
    enforcement_policy: EnforcementPolicy = field(default_factory=EnforcementPolicy)


@dataclass(frozen=True)
class GrpcConfig:
    """OTLP/gRPC."""

    endpoint: Address = Address("localhost:4317")
    max_recv_msg_size_mib: int = 64
    """Larger messages, before or after decompression, are refused for good. The OTLP specification recommends 64."""
    max_concurrent_streams: int = 0
    """Calls at a time on one connection; 0 leaves it to gRPC."""
    keepalive: KeepaliveConfig = field(default_factory=KeepaliveConfig)
    tls: TlsConfig | None = None
    include_metadata: bool = False
    """Accepted for compatibility."""

    @property
    def max_message(self) -> int:
        """Bytes of the largest message."""
        return self.max_recv_msg_size_mib * MIB

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if not 1 <= self.max_recv_msg_size_mib <= 2047:
            yield "max_recv_msg_size_mib must be between 1 and 2047"
        if self.max_concurrent_streams < 0:
            yield "max_concurrent_streams must not be negative"


@dataclass(frozen=True)
class CorsConfig:
    """Which web pages may send telemetry from a browser."""

    allowed_origins: tuple[str, ...] = ()
    """`https://app.example.com`; `*` stands for any run of characters."""
    allowed_headers: tuple[str, ...] = ()
    """Request headers beyond the usual ones; `*` allows all."""
    exposed_headers: tuple[str, ...] = ()
    max_age: int = 0
    """Seconds a browser may remember the answer to a preflight; 0 leaves it to the browser."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if self.max_age < 0:
            yield "max_age must not be negative"


@dataclass(frozen=True)
class HttpConfig:
    """OTLP/HTTP, both encodings on one port."""

    endpoint: Address = Address("localhost:4318")
    max_request_body_size: Size = Size(64 * MIB)
    """Larger bodies, before or after decompression, are refused for good."""
    traces_url_path: str = "/v1/traces"
    """Beside it, /api/public/otel/v1/traces always takes traces too: Langfuse SDKs send there."""
    logs_url_path: str = "/v1/logs"
    """The same for logs."""
    cors: CorsConfig | None = None
    tls: TlsConfig | None = None
    read_timeout: Duration = Duration(30)
    """For a whole body to arrive; 0 waits for ever."""
    idle_timeout: Duration = Duration(75)
    """For the next request on an open connection; 0 closes the connection after each answer."""
    include_metadata: bool = False
    """Accepted for compatibility."""

    @property
    def traces_path(self) -> str:
        """The path with its leading slash."""
        return self.paths[Signal.TRACES]

    @property
    def paths(self) -> dict[Signal, str]:
        """Signal -> path with its leading slash."""
        configured = {
            Signal.TRACES: self.traces_url_path,
            Signal.LOGS: self.logs_url_path,
            Signal.METRICS: "v1/metrics",
        }
        return {signal: "/" + path.lstrip("/") for signal, path in configured.items()}

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if self.max_request_body_size <= 0:
            yield "max_request_body_size must be positive"
        for key in ("traces_url_path", "logs_url_path"):
            if any(character in getattr(self, key) for character in "{}?# "):
                yield f"{key} must be a plain path"
        if len(set(self.paths.values())) < len(self.paths):
            yield "traces_url_path and logs_url_path must be paths of their own"


@dataclass(frozen=True)
class Protocols:
    """The protocols to serve: naming one turns it on."""

    grpc: GrpcConfig | None = None
    http: HttpConfig | None = None


@dataclass(frozen=True)
class OtlpConfig:
    """One receiver, on up to two ports."""

    protocols: Protocols = field(default_factory=Protocols)
    max_in_flight: Size = Size(256 * MIB)
    """Bytes of all requests that are being received or written at a time, over both protocols; beyond it senders are told to retry."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        grpc, http = self.protocols.grpc, self.protocols.http
        if grpc is None and http is None:
            yield "protocols must name at least one protocol, grpc or http"
        largest = max(grpc.max_message if grpc else 0, http.max_request_body_size if http else 0)
        if self.max_in_flight < largest:
            yield "max_in_flight must be at least as large as max_request_body_size and max_recv_msg_size_mib allow a request to be"

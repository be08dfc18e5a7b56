"""Settings of the `greptimedb` exporter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from openfuse_collector.config.types import MIB, Address, Duration, Secret, Size
from openfuse_collector.pipeline.retry import RetryConfig
from openfuse_collector.store.retention import RetentionConfig

COMPRESSIONS = ("none", "gzip", "zstd")
# ALTER DATABASE takes an unquoted name only: GreptimeDB answers a quoted one with error 1210.
_DATABASE = re.compile(r"[a-z_][a-z0-9_]*")
_TTL = re.compile(r"(\d+ ?[a-z]+ ?)+|forever")


@dataclass(frozen=True)
class TlsConfig:
    """Certificates for both protocols. The gRPC client takes all three files or none."""

    ca_file: str
    cert_file: str
    key_file: str


@dataclass(frozen=True)
class MaintenanceConfig:
    """What is done beside writing. One collector of several is enough; an interval of 0 turns a thing off."""

    flush_interval: Duration = Duration(90)
    """Flush raw_events this often while there is something new: reads of single entities are slow before."""
    check_interval: Duration = Duration(600)
    """Count the files of every table this often."""
    warn_at_files: int = 200
    """Warn when a region of a table has this many files. Above 384 the server cannot read it any more."""
    compact: bool = True
    """Merge the files of such a table, see `compaction`; off where somebody else sees to it."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        for name in ("flush_interval", "check_interval"):
            if getattr(self, name) < 0:
                yield f"{name} must not be negative"
        if self.warn_at_files < 1:
            yield "warn_at_files must be at least 1"


@dataclass(frozen=True)
class SettleConfig:
    """Going over entities once they are quiet, for what other writers have done to them meanwhile."""

    after: Duration = Duration(60)
    """An entity is quiet when it was not written for so long. Longer than a call may take and than a command takes to judge an entity."""
    interval: Duration = Duration(5)
    """Look for quiet entities this often. 0 turns it off, where nobody else ever writes."""
    rate: int = 10_000
    """Entities gone over in a second at most, so that it does not get in the way of writing."""
    max_size: Size = Size(64 * MIB)
    """Memory for the list of entities. What does not fit is found again in raw_events, which is slower."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        for name in ("after", "interval"):
            if getattr(self, name) < 0:
                yield f"{name} must not be negative"
        if self.rate < 1:
            yield "rate must be at least 1"


@dataclass(frozen=True)
class GreptimedbConfig:
    """Where the database is, how it is written to, and what may be set up in it."""

    endpoints: tuple[Address, ...] = (Address("localhost:4001"),)
    """gRPC: rows go here. When one does not answer, the next is used."""
    http_endpoints: tuple[Address, ...] = (Address("localhost:4000"),)
    """HTTP: SQL goes here, for reads and for the schema."""
    database: str = "openfuse"
    username: str = ""
    password: Secret = Secret("")
    tls: TlsConfig | None = None
    timeout: Duration = Duration(30)
    """Of one call. A server that is flushing may take seconds, and a call that ran out of time has an unknown outcome."""
    connect_timeout: Duration = Duration(5)
    compression: str = "none"
    encoder_workers: int = 2
    """Threads that convert, encode, send and ask."""
    max_rows: int = 1000
    """Rows of one call."""
    max_bytes: Size = Size(MIB // 2)
    """Text of one call. Converting rows holds the interpreter, so calls are kept short."""
    fold_cache_size: Size = Size(64 * MIB)
    """Recently written entities kept in memory, so that updates of them need no look-up; the largest beside that, whatever its size. 0
    looks every entity up, every time."""
    assume_new: bool = False
    """Do not look up observations that come from spans: each is taken for new, and what was there is found when settling."""
    create_schema: bool = True
    """Create what is missing of database, tables and columns. Off where the collector may not; see `openfuse-collector schema`."""
    ttl: str | None = None
    """How long the database keeps rows, such as 730d; set on start. By default the database's own setting stays as it is."""
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    """How long each project's data is shown, counted from when it was received; `ttl` removes it from the disk."""
    settle: SettleConfig = field(default_factory=SettleConfig)
    maintenance: MaintenanceConfig = field(default_factory=MaintenanceConfig)
    retry_on_failure: RetryConfig = field(
        default_factory=lambda: RetryConfig(initial_interval=Duration(0.1), max_interval=Duration(10))
    )

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        for name in ("endpoints", "http_endpoints"):
            if not getattr(self, name):
                yield f"{name} must name at least one host:port"
        for name in ("timeout", "connect_timeout"):
            if getattr(self, name) <= 0:  # the client takes 0 and lets every call fail
                yield f"{name} must be greater than 0"
        for name in ("encoder_workers", "max_rows", "max_bytes"):
            if getattr(self, name) < 1:
                yield f"{name} must be at least 1"
        if not _DATABASE.fullmatch(self.database):
            yield "database must be of lower-case letters, digits and _, and not begin with a digit"
        if bool(self.username) != bool(self.password.reveal()):
            yield "password and username belong together: set both or neither"
        if self.assume_new and not self.settle.interval:
            yield "assume_new needs the settle pass: set settle::interval to more than 0"
        if self.compression not in COMPRESSIONS:
            yield f"compression must be one of {', '.join(COMPRESSIONS)}"
        if self.ttl is not None and not _TTL.fullmatch(self.ttl):
            yield "ttl must be a duration such as 730d, 12h or 1y, or forever"

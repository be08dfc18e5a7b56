"""Settings of the `sqlite` exporter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from openfuse_collector.config.types import MIB, Duration, Size
from openfuse_collector.pipeline.retry import RetryConfig
from openfuse_collector.store.retention import RetentionConfig


@dataclass(frozen=True)
class SqliteConfig:
    """Where the embedded store lives and how much memory it may use."""

    path: str = "./openfuse.db"
    cache_size: Size = Size(64 * MIB)
    """Page cache of the writing connection; it grows as needed up to this."""
    wal_size: Size = Size(128 * MIB)
    """The write-ahead log is folded into the main file when it is this large. Larger is faster and takes more disk. With others at the
    file (retention, commands, readers) it may become half as large again; four times as large for a second in which only they write;
    and larger while a reader does not end."""
    fold_cache_size: Size = Size(48 * MIB)
    """Recently written entities kept in memory, so that updates of them need no look-up; the largest beside that, whatever its size."""
    busy_timeout: Duration = Duration(5)
    """How long to wait for another writer before the attempt counts as failed (and is retried)."""
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    """How long each project's data is kept, counted from when it was received."""
    retry_on_failure: RetryConfig = field(
        default_factory=lambda: RetryConfig(initial_interval=Duration(0.1), max_interval=Duration(10))
    )

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if not self.path:
            yield "path must not be empty"
        if self.path == ":memory:":
            yield "path must be a file: nobody could read a store in memory, and nothing in it would be durable"

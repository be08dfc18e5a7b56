"""Settings of the journal (`service::journal`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from openfuse_collector.config.types import MIB, Duration, Size


@dataclass(frozen=True)
class JournalConfig:
    """Where acknowledged requests are kept until every pipeline is past them, and how much room they may take."""

    directory: str = "./openfuse-journal"
    max_size: Size = Size(4096 * MIB)
    """Bound on all segments together; at the bound senders are told to retry later."""
    min_free_disk: Size = Size(256 * MIB)
    """Appending stops (retryably) when the file system has less free than this."""
    segment_size: Size = Size(64 * MIB)
    cache_size: Size = Size(16 * MIB)
    """Payload bytes of the newest records whose decoded messages stay in memory for the pipelines."""
    fsync: bool = True
    """Off only for tests and throw-away data: an acknowledged request may then be lost by a power cut."""
    retain: Duration | None = None
    """Keep segments this long after every cursor passed them. Default: 0s, or 10m behind a store without an fsynced commit."""
    orphan_after: Duration = Duration(24 * 3600)
    """The cursor of a pipeline that is no longer configured stops pinning segments after this long."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if not self.directory:
            yield "directory must not be empty"
        if self.segment_size < MIB:
            yield "segment_size must be at least 1MiB"
        if self.max_size < 2 * self.segment_size:
            yield "max_size must be at least twice segment_size"
        if self.orphan_after < 60:
            yield "orphan_after must be at least 1m"
        if self.retain is not None and self.retain < 0:
            yield "retain must not be negative"

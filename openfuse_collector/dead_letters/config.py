"""Settings of the dead letters (`service::dead_letters`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from openfuse_collector.config.types import MIB, Duration, Size


@dataclass(frozen=True)
class DeadLettersConfig:
    """How much of what was refused for good is kept beside the journal. At a bound the oldest letters go, counted and logged."""

    max_size: Size = Size(1024 * MIB)
    """Bytes of all letters together."""
    max_age: Duration = Duration(0)
    """How long a letter is kept; 0 keeps it until it is replayed or dropped."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if self.max_size < MIB:
            yield "max_size must be at least 1MiB"
        if self.max_age < 0:
            yield "max_age must not be negative"

"""How long a store keeps what it has received, by project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from openfuse_collector.config.types import Duration


@dataclass(frozen=True)
class RetentionConfig:
    """Limits, counted from when the newest event of an entity was received. Nothing expires by default."""

    default: Duration | None = None
    """For every project that is not named; without it those keep everything."""
    projects: Mapping[str, Duration | None] = field(default_factory=dict)
    """Project id -> limit of its own; null keeps everything."""
    interval: Duration = Duration(3600)
    """How often a running collector removes what has expired; 0 leaves it to the command."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if self.default is not None and self.default <= 0:
            yield "default must be greater than 0: leave it out to keep everything"
        for project, limit in self.projects.items():
            if limit is not None and limit <= 0:
                yield f"projects must not keep {project} for 0: `openfuse-collector delete project` deletes one, null keeps everything"
        if self.interval < 0:
            yield "interval must not be negative"

    @property
    def limited(self) -> bool:
        """Whether anything expires at all."""
        return self.default is not None or any(limit is not None for limit in self.projects.values())

    @property
    def scheduled(self) -> bool:
        """Whether a running collector is to remove what has expired."""
        return self.limited and self.interval > 0

    def cutoff(self, project: str, now: int) -> int | None:
        """Entities of the project whose newest event was received before this have expired; None where nothing does.

        Epoch milliseconds, as `now` is.
        """
        limit = self.projects.get(project, self.default)
        return None if limit is None else max(0, now - round(limit * 1000))

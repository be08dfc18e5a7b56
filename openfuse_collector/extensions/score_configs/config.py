"""Settings of the `score_configs` extension: the configs, as Langfuse keeps them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from openfuse_collector.enrich.score_configs import DataType, ScoreConfig


@dataclass(frozen=True)
class ScoreConfigEntry:
    """One config."""

    id: str
    """What scores name as `configId`."""
    name: str
    data_type: DataType
    project: str = ""
    """The only project it is for; all, where none is named."""
    min_value: float | None = None
    max_value: float | None = None
    categories: dict[str, float] | None = None
    """Label -> number."""
    archived: bool = False

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        for key in ("id", "name"):
            if not getattr(self, key):
                yield f"{key} must not be empty"
        low, high = self.min_value, self.max_value
        if self.data_type != "NUMERIC" and (low is not None or high is not None):
            yield f"min_value and max_value have no meaning for {self.data_type}"
        if low is not None and high is not None and low > high:
            yield "min_value must not be above max_value"
        if (self.data_type == "CATEGORICAL") != bool(self.categories):
            yield "categories must be set for CATEGORICAL, and for nothing else"

    def score_config(self) -> ScoreConfig:
        """The config of a valid entry."""
        labels = tuple((self.categories or {}).items())
        named = (self.project, self.id, self.name, self.data_type)
        return ScoreConfig(*named, self.min_value, self.max_value, labels, self.archived)


@dataclass(frozen=True)
class ScoreConfigsConfig:
    """All configs there are."""

    configs: tuple[ScoreConfigEntry, ...] = ()

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        counts = Counter((entry.project, entry.id) for entry in self.configs)
        for (project, id), count in sorted(counts.items()):
            if count > 1:
                yield f'configs of a project must have different ids: "{id}" is there {count} times' + (
                    f" for {project}" if project else ""
                )

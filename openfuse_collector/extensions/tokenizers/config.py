"""Settings of the `tokenizers` extension: where vocabularies are, and how much is counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from openfuse_collector.config.types import Size


@dataclass(frozen=True)
class TokenizersConfig:
    """Counting is on as soon as the extension is listed."""

    directory: str = "./vocabularies"
    """Looked at first; then `TIKTOKEN_CACHE_DIR`, where that is set."""
    max_characters: int = 1_000_000
    """Longer inputs and outputs are not counted."""
    cache_size: Size = Size(16 * 1024**2)
    """For the counts of texts seen before; 0 for none."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if not self.directory:
            yield "directory must not be empty"
        if self.max_characters < 1:
            yield "max_characters must be at least 1"

"""Holds vocabularies and counts for every store; says once, when it is made, if there is nothing to count with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from openfuse_collector.component import Settings
from openfuse_collector.enrich import Enricher
from openfuse_collector.extensions.tokenizers.config import TokenizersConfig
from openfuse_collector.pricing import Catalogue
from openfuse_collector.tokens import TokenCounter, Vocabularies, count_usage


class Tokenizers:
    """Ready from the moment it is made; it has nothing to start or to stop."""

    def __init__(self, settings: Settings, config: TokenizersConfig) -> None:
        directories = _directories(config)
        vocabularies = Vocabularies(directories, settings.log)
        self._count = TokenCounter(vocabularies, config.max_characters, config.cache_size).count
        obstacle = _obstacle(vocabularies, directories)
        self._able = obstacle is None
        if obstacle is None:
            settings.log.info("tokens are counted where usage is missing", vocabularies=sorted(vocabularies.found))
        else:
            settings.log.warning("tokens are not counted", reason=obstacle[0], remedy=obstacle[1])
        counter = settings.metrics.counter
        self._tokens = counter("openfuse_tokenizer_tokens", "Tokens counted in place of a usage nobody gave.")
        self._skipped = counter(
            "openfuse_tokenizer_skipped", "Observations whose tokens could not be counted.", ["reason"]
        )

    async def start(self) -> None:
        """Nothing: vocabularies are loaded when a model first needs one."""

    async def shutdown(self) -> None:
        """Nothing."""

    def step(self, catalogue: Catalogue) -> Enricher | None:
        """The enrichment step over these price tables. None when nothing can be counted, which was said already."""
        if not self._able:
            return None
        return partial(
            count_usage,
            catalogue=catalogue,
            count=self._count,
            counted=self._tokens.inc,
            skipped=lambda reason: self._skipped.labels(reason).inc(),
        )


def _directories(config: TokenizersConfig) -> list[Path]:
    cache = os.environ.get("TIKTOKEN_CACHE_DIR")
    return [Path(config.directory), *([Path(cache)] if cache else [])]


def _obstacle(vocabularies: Vocabularies, directories: Sequence[Path]) -> tuple[str, str] | None:
    """Why nothing at all can be counted, and what to do about it."""
    if find_spec("tiktoken") is None:
        return "the package tiktoken is not installed", "pip install openfuse-collector[tokenizers]"
    if not vocabularies.found:
        places = ", ".join(map(str, directories))
        remedy = "put cl100k_base.tiktoken and o200k_base.tiktoken there (see docs/tokens.md) and restart"
        return f"there is no vocabulary file in {places}", remedy
    return None

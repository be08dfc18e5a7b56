"""Holds the step that gives scores what their configs say."""

from __future__ import annotations

from openfuse_collector.component import Settings
from openfuse_collector.enrich.score_configs import inflation
from openfuse_collector.extensions.score_configs.config import ScoreConfigsConfig


class ScoreConfigs:
    """`inflate` is there from the moment the extension is made; it has nothing to start or to stop."""

    def __init__(self, settings: Settings, config: ScoreConfigsConfig) -> None:
        self.inflate = inflation(entry.score_config() for entry in config.configs)

    async def start(self) -> None:
        """Nothing."""

    async def shutdown(self) -> None:
        """Nothing."""

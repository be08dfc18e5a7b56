"""Score configs: names, types, ranges and labels that scores take from configuration."""

from openfuse_collector.component import Factory, Kind
from openfuse_collector.extensions.score_configs.config import ScoreConfigsConfig
from openfuse_collector.extensions.score_configs.extension import ScoreConfigs

FACTORY = Factory(kind=Kind.EXTENSION, type="score_configs", config=ScoreConfigsConfig, create=ScoreConfigs)

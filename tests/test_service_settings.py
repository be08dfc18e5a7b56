"""What the service makes of a configuration before it starts."""

from __future__ import annotations

import pytest

from openfuse_collector.config.service import load
from openfuse_collector.service import RETAIN_BEHIND_VOLATILE, journal_config

TEMPLATE = """
receivers: {otlp: {protocols: {http: {}}}}
connectors: {genai: {}}
exporters:
  sqlite: {}
  greptimedb: {endpoints: [localhost:4001]}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [genai]}
    events: {receivers: [genai], exporters: [STORES]}
"""


@pytest.mark.parametrize(
    ("stores", "sets", "retain"),
    [
        ("sqlite", [], None),
        ("greptimedb", [], RETAIN_BEHIND_VOLATILE),
        ("sqlite, greptimedb", [], RETAIN_BEHIND_VOLATILE),
        ("greptimedb", ["service.journal.retain=0s"], 0),
        ("sqlite", ["service.journal.retain=1h"], 3600),
    ],
)
def test_the_journal_is_kept_behind_a_store_that_may_lose_its_last_seconds(
    stores: str, sets: list[str], retain: float | None
) -> None:
    config = load([f"yaml:{TEMPLATE.replace('STORES', stores)}"], sets)
    assert journal_config(config).retain == retain

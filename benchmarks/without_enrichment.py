"""`python -m benchmarks.without_enrichment run …`: the collector, storing records as the fold leaves them.

No setting does this, because rows without cost and tools serve nobody; it is what `benchmarks.enrichment` compares with.
"""

from __future__ import annotations

from typing import Any

from openfuse_collector.cli.main import main
from openfuse_collector.exporters.sqlite import exporter


def as_folded(entity_type: str, record: dict[str, Any]) -> dict[str, Any]:
    """Every column is there already, those of enrichment empty."""
    return record


exporter.configured_enrichment = lambda extensions: as_folded

if __name__ == "__main__":
    main()

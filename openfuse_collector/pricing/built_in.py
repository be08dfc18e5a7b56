"""The price table in the box: data/models.json, compiled from data/models.yaml by scripts/prices.py."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from openfuse_collector.pricing.model import Model

DATA = Path(__file__).parent / "data"


@cache
def built_in_models() -> tuple[Model, ...]:
    """Every built-in model, in the order of the table. Read when first needed; patterns are compiled when first tried."""
    return msgspec.json.decode((DATA / "models.json").read_bytes(), type=tuple[Model, ...])

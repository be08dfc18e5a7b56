"""Judge of score values and score configs: body in, row out, the way it really goes: schema, fold, enrichment."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from openfuse_collector.enrich import Enrich, enrichment
from openfuse_collector.enrich.score_configs import ScoreConfig, inflation
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.columns import COLUMNS
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.rows import row
from openfuse_collector.receivers.langfuse.schemas.envelope import read_envelope
from tests.conformance.corpus_inprocess import SHARED
from tests.conformance.outcomes import Case, Difference, differing

STAMP = "2026-01-15T12:00:00.000Z"
ID = "sid"


def score_inflate(case: Case) -> list[Difference]:
    """The row of a score; none where the API refuses it or its value does not fit."""
    expected = case.get("expected", {}).get("score")
    got = _row(case)
    if expected is None or got is None:
        return differing(row=(expected, got))
    return differing(**{column: (expected[column], got[column]) for column in COLUMNS["score"] if column in expected})


def _row(case: Case) -> dict[str, Any] | None:
    body = {key: value for key, value in case["body"].items() if value is not None}
    read = read_envelope({"id": "e1", "timestamp": STAMP, "type": "score-create", "body": {"id": ID, **body}})
    if isinstance(read, list):
        return None
    event = Event(Entity(case["project_id"], "score", ID), "e1", read.type, read.timestamp, read.body, 1000)
    record = Accumulator.of([event]).record()
    return None if record is None else dict(row("score", inflating()("score", record)))


@cache
def inflating() -> Enrich:
    """Enrichment with the configs the cases were recorded with, which lie beside them."""
    path = SHARED / "conformance" / "ingestion" / "score_configs_fixture.json"
    facts = json.loads(path.read_text()) if path.is_file() else []
    return enrichment(inflate=inflation(map(_config, facts)))


def _config(facts: dict[str, Any]) -> ScoreConfig:
    labels = tuple((category["label"], category["value"]) for category in facts["categories"] or ())
    categories = labels if facts["data_type"] == "CATEGORICAL" else ()
    named = (facts["project_id"], facts["id"], facts["name"], facts["data_type"])
    return ScoreConfig(*named, facts["min_value"], facts["max_value"], categories, facts["is_archived"])

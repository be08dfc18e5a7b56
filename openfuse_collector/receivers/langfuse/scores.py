"""POST /api/public/scores: one score, or an array of them (Python SDK 5), as events of the ingestion API. Pure."""

from __future__ import annotations

from typing import Any

from openfuse_collector.receivers.langfuse.repeats import GiveIds
from openfuse_collector.receivers.langfuse.schemas.fields import is_timestamp
from openfuse_collector.receivers.langfuse.schemas.issues import Issue, broken_rule, not_an_option, wrong_type
from openfuse_collector.receivers.langfuse.schemas.scores import SCORE

SOURCES = ("API", "ANNOTATION")
"""Sources this endpoint takes: `EVAL` is Langfuse's own."""


def score_event(body: Any, now: str, give_ids: GiveIds) -> dict[str, Any] | list[Issue]:
    """The envelope of a score, or what is wrong with it, with paths from the score down.

    The score keeps its `timestamp` where it states one, else `now` (ISO-8601) is its time. A score without id gets one.
    """
    if type(body) is not dict:
        return [wrong_type("object", body, ())]
    ids = give_ids(body.get("id"))
    score = {**body, "id": ids.entity}
    issues: list[Issue] = []
    SCORE.parse(score, (), issues)
    issues += _endpoint_issues(body)
    if issues:
        return issues
    written = body.get("timestamp")
    timestamp = written if type(written) is str and is_timestamp(written) else now
    return {"id": ids.event, "type": "score-create", "timestamp": timestamp, "body": score}


def _endpoint_issues(body: dict[str, Any]) -> list[Issue]:
    """Rules Langfuse has at this endpoint beyond those of a score event."""
    if body.get("source") == "EVAL":
        return [not_an_option(SOURCES, ("source",))]
    if body.get("source") == "ANNOTATION" and not body.get("configId") and body.get("dataType") != "CORRECTION":
        return [broken_rule("Annotation scores need a configId unless their dataType is CORRECTION", ("configId",))]
    return []

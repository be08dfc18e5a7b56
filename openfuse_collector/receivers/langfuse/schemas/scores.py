"""The body of a score: what it is about, and a value whose type depends on `dataType`."""

from __future__ import annotations

from typing import Any

from openfuse_collector.receivers.langfuse.schemas.fields import (
    ANYTHING,
    DROP,
    ENVIRONMENT,
    OPTIONAL_ID,
    OPTIONAL_TEXT,
    Field,
    Parse,
    fallback,
    number,
    one_of,
    option,
    text,
)
from openfuse_collector.receivers.langfuse.schemas.issues import (
    MISSING,
    Issue,
    Path,
    broken_rule,
    unknown_discriminator,
    wrong_type,
)
from openfuse_collector.receivers.langfuse.schemas.objects import Object, Schema

SOURCES = ("API", "EVAL", "ANNOTATION")
_TARGETS = ("traceId", "sessionId", "datasetRunId")
_TARGET_RULE = (
    "Provide exactly one of the following: traceId (with optional observationId), sessionId or datasetRunId. "
    "ObservationId requires traceId."
)


def _zero_or_one(value: Any, path: Path, issues: list[Issue]) -> Any:
    kept = number(value, path, issues)
    if kept is not DROP and kept not in (0, 1):
        issues.append(broken_rule("Value must be a number equal to either 0 or 1 for data type BOOLEAN", path))
    return kept


_VALUES: dict[Any, Parse] = {
    MISSING: one_of(text(), number),
    "NUMERIC": number,
    "CATEGORICAL": text(),
    "BOOLEAN": _zero_or_one,
    "TEXT": text(least=1, most=500),
    "CORRECTION": text(),
}
"""Data type -> reader of the value; without a type the value says by its own type what it is."""


def _value(given: Object, kept: Object, path: Path, issues: list[Issue]) -> None:
    data_type = given.get("dataType", MISSING)
    parse = _VALUES.get(data_type) if type(data_type) is str or data_type is MISSING else None
    if parse is None:
        issues.append(unknown_discriminator("dataType", path))
        return
    kept["value"] = parse(given.get("value", MISSING), (*path, "value"), issues)
    if data_type is not MISSING:
        kept["dataType"] = data_type
    config = given.get("configId", MISSING)
    if config is MISSING:
        return
    kept["configId"] = config
    expected = "undefined" if data_type == "CORRECTION" else "string"
    if config is not None and (expected == "undefined" or type(config) is not str):
        issues.append(wrong_type(expected, config, (*path, "configId")))


def _one_target(kept: Object, path: Path, issues: list[Issue]) -> None:
    """Exactly one of trace, session and dataset run; an observation needs its trace. Empty text is no target."""
    named = [target for target in _TARGETS if kept.get(target)]
    if len(named) != 1 or (kept.get("observationId") and named != ["traceId"]):
        issues.append(broken_rule(_TARGET_RULE, (*path, *_TARGETS, "observationId")))


SCORE = Schema(
    {
        "id": OPTIONAL_ID,
        "name": Field(frozenset(), text(least=1), needed=True),
        "traceId": OPTIONAL_TEXT,
        "sessionId": OPTIONAL_TEXT,
        "datasetRunId": OPTIONAL_TEXT,
        "environment": ENVIRONMENT,
        "observationId": OPTIONAL_TEXT,
        "comment": OPTIONAL_TEXT,
        "metadata": ANYTHING,
        "source": Field(frozenset(), fallback("API", option(*SOURCES)), needed=True),
        "executionTraceId": OPTIONAL_TEXT,
        "queueId": OPTIONAL_TEXT,
    },
    choice=_value,
    rule=_one_target,
)

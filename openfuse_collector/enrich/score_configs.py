"""Score configs: a score that names one takes its name and type from it, and a label its number.

Rules: Langfuse's `validateAndInflateScore`. Langfuse answers 201 and then drops a score its config does not allow; here it was
acknowledged, so it keeps the row it has without a config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

Record = dict[str, Any]
DataType = Literal["NUMERIC", "CATEGORICAL", "BOOLEAN", "TEXT"]

MAX_TEXT = 500
"""Characters of a TEXT score, as in the schema of the API."""


class ScoreConfig(NamedTuple):
    """What scores that name this config have to be."""

    project: str
    """"" for all projects."""
    id: str
    name: str
    data_type: DataType
    min_value: float | None = None
    max_value: float | None = None
    categories: tuple[tuple[str, float], ...] = ()
    """Label and its number, CATEGORICAL only."""
    archived: bool = False
    """No score may use it any more."""


def inflation(configs: Iterable[ScoreConfig]) -> Callable[[Record], Record]:
    """The enrichment step over these configs; a project's own config comes before one for all projects."""
    known = {(config.project, config.id): config for config in configs}

    def inflate(record: Record) -> Record:
        id = record["config_id"]
        if id is None:
            return record
        config = known.get((record["project_id"], id)) or known.get(("", id))
        if config is None or config.archived:
            return record
        columns = _COLUMNS[config.data_type](record, config)
        if columns is not None:
            record.update(columns, name=config.name, data_type=config.data_type)
        return record

    return inflate


def _numeric(record: Record, config: ScoreConfig) -> Record | None:
    value = record["value"]
    if record["data_type"] != "NUMERIC":
        return None
    low, high = config.min_value, config.max_value
    return {} if (low is None or value >= low) and (high is None or value <= high) else None


def _boolean(record: Record, config: ScoreConfig) -> Record | None:
    """A number without a type was taken for NUMERIC: only the config tells."""
    if record["data_type"] not in ("NUMERIC", "BOOLEAN") or record["value"] not in (0, 1):
        return None
    return {"string_value": "True" if record["value"] else "False"}


def _categorical(record: Record, config: ScoreConfig) -> Record | None:
    if record["data_type"] != "CATEGORICAL":
        return None
    number = dict(config.categories).get(record["string_value"])
    return None if number is None else {"value": number}


def _text(record: Record, config: ScoreConfig) -> Record | None:
    """A text without a type was taken for CATEGORICAL: only the config tells."""
    text = record["string_value"]
    fits = record["data_type"] in ("CATEGORICAL", "TEXT") and text and len(text) <= MAX_TEXT
    return {"value": 0} if fits else None


_COLUMNS: dict[str, Callable[[Record, ScoreConfig], Record | None]] = {
    "NUMERIC": _numeric,
    "BOOLEAN": _boolean,
    "CATEGORICAL": _categorical,
    "TEXT": _text,
}
"""Type of a config -> the columns it sets besides name and type, None for a score it does not allow."""

"""What the projections consist of: their columns, how each column merges, and what an entity says that nobody stated."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

TRACE_COLUMNS: Final = (
    *("timestamp", "project_id", "id", "name", "environment", "session_id", "user_id", "release", "version", "tags"),
    *("metadata", "bookmarked", "public", "input", "output", "created_at", "updated_at", "is_deleted"),
    "eav_generation",
)
OBSERVATION_COLUMNS: Final = (
    *("start_time", "project_id", "id", "type", "trace_id", "parent_observation_id", "environment", "name", "level"),
    *("status_message", "version", "end_time", "completion_start_time", "provided_model_name", "internal_model_id"),
    *("model_parameters", "input", "output", "metadata", "input_cost", "output_cost", "total_cost", "input_usage"),
    *("output_usage", "total_usage", "usage_details", "cost_details", "provided_usage_details"),
    *("provided_cost_details", "usage_pricing_tier_id", "usage_pricing_tier_name", "prompt_id", "prompt_name"),
    *("prompt_version", "tool_definitions", "tool_calls", "tool_call_names", "created_at", "updated_at"),
    *("is_deleted", "eav_generation"),
)
SCORE_COLUMNS: Final = (
    *("timestamp", "project_id", "id", "name", "environment", "source", "data_type", "value", "string_value"),
    *("long_string_value", "comment", "metadata", "trace_id", "observation_id", "session_id", "dataset_run_id"),
    *("execution_trace_id", "author_user_id", "config_id", "queue_id", "created_at", "updated_at", "is_deleted"),
    "eav_generation",
)
DATASET_RUN_ITEM_COLUMNS: Final = (
    *("dataset_run_created_at", "project_id", "id", "dataset_id", "dataset_run_id", "dataset_item_id", "trace_id"),
    *("observation_id", "error", "dataset_run_name", "dataset_run_description", "dataset_run_metadata"),
    *("dataset_item_input", "dataset_item_expected_output", "dataset_item_metadata", "dataset_item_version"),
    *("created_at", "updated_at", "is_deleted"),
)

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "trace": TRACE_COLUMNS,
    "observation": OBSERVATION_COLUMNS,
    "score": SCORE_COLUMNS,
    "dataset_run_item": DATASET_RUN_ITEM_COLUMNS,
}
"""Entity type -> columns of its projection, in the order of Openfuse's tables."""

PROJECTIONS: Final = {
    "trace": "traces",
    "observation": "observations",
    "score": "scores",
    "dataset_run_item": "dataset_run_items",
}
"""Entity type -> its projection: the table of its rows, under the same name in every store."""

TIME_COLUMN: Final = {
    "trace": "timestamp",
    "observation": "start_time",
    "score": "timestamp",
    "dataset_run_item": "dataset_run_created_at",
}
"""Entity type -> the column a time-keyed store orders by."""


OTHERWISE: Final = {column: f"otherwise_{column}" for column in ("user_id", "session_id", "tags")}
"""Column of a trace -> what stands there where no event states it: a column of its own until all events are merged."""


class Merge(Enum):
    """How the writes of several events to one column become one value. A column not named in `MERGES` is last-wins."""

    FIRST = "first"
    """Immutable: the value of the lowest order key."""
    KEEP = "keep"
    """Last wins, but an empty map never replaces a full one."""
    UNION = "union"
    """A set."""
    DEEP = "deep"
    """Nested merge: maps by key, lists by index, anything else replaces."""


# Langfuse's immutable keys; `created_at` is written by score snapshots only.
MERGES: Final[dict[str, dict[str, Merge]]] = {
    "trace": {
        "timestamp": Merge.FIRST,
        "environment": Merge.FIRST,
        "tags": Merge.UNION,
        "metadata": Merge.DEEP,
    },
    "observation": {
        "trace_id": Merge.FIRST,
        "start_time": Merge.FIRST,
        "environment": Merge.FIRST,
        "model_parameters": Merge.KEEP,
        "metadata": Merge.DEEP,
    },
    "score": {
        "timestamp": Merge.FIRST,
        "trace_id": Merge.FIRST,
        "environment": Merge.FIRST,
        "created_at": Merge.FIRST,
        "metadata": Merge.DEEP,
    },
    "dataset_run_item": {"dataset_run_created_at": Merge.FIRST},
}


def _defaults(columns: tuple[str, ...], **stated: Any) -> dict[str, Any]:
    # A record keeps generation 0 until the store gives it one.
    return {column: 0 if column == "eav_generation" else stated.get(column) for column in columns}


DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "trace": _defaults(TRACE_COLUMNS, environment="default", bookmarked=False, public=False, is_deleted=False),
    "observation": _defaults(
        OBSERVATION_COLUMNS, environment="default", type="SPAN", level="DEFAULT", is_deleted=False
    ),
    "score": _defaults(SCORE_COLUMNS, environment="default", source="API", is_deleted=False),
    "dataset_run_item": _defaults(DATASET_RUN_ITEM_COLUMNS, is_deleted=False),
}
"""Entity type -> the record before anybody said anything. Copied, never written to."""

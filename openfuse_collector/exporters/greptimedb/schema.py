"""The tables, column by column: those of Openfuse after its ten migrations (`packages/shared/greptime/migrations`), and those of our own.

One row per entity is what readers assume; a row is replaced only where primary key and time index are the same.
"""

from __future__ import annotations

from typing import NamedTuple

INVERTED = "INVERTED INDEX"
SKIPPING = "SKIPPING INDEX"
BLOOM = "SKIPPING INDEX WITH(type = 'BLOOM', granularity = '1024', false_positive_rate = '0.01')"
FULLTEXT = "FULLTEXT INDEX WITH(backend = 'bloom', analyzer = 'English', case_sensitive = 'false')"


class Column(NamedTuple):
    """A column and its indexes."""

    name: str
    type: str
    """As SQL has it."""
    indexes: tuple[str, ...] = ()
    default: str = ""
    nullable: bool = True


class Table(NamedTuple):
    """A table. The order of `columns` is the order in which rows give their values."""

    name: str
    time_index: str
    primary_key: tuple[str, ...]
    columns: tuple[Column, ...]
    append: bool = False
    """Keeps copies and refuses deletes. Other tables keep, per key and time, the last value of each column that is not NULL."""
    whole: bool = False
    """Never divided into partitions: few rows, and not those of an entity."""


def _times(names: str, *, nullable: bool = True) -> tuple[Column, ...]:
    return tuple(Column(name, "TIMESTAMP(3)", nullable=nullable) for name in names.split())


def _texts(names: str, *indexes: str, nullable: bool = True) -> tuple[Column, ...]:
    return tuple(Column(name, "STRING", indexes, nullable=nullable) for name in names.split())


def _typed(type: str, names: str) -> tuple[Column, ...]:
    return tuple(Column(name, type) for name in names.split())


DELETED = Column("is_deleted", "BOOLEAN", default="false")
EAV_GENERATION = Column("eav_generation", "BIGINT", default="0")
GENERATION = Column("generation", "BIGINT", default="0")
COST = "DECIMAL(38, 12)"

RAW_EVENTS = Table(
    "raw_events",
    "ingested_at",
    ("project_id", "entity_type", "entity_id"),
    (
        *_times("ingested_at", nullable=False),
        *_texts("project_id entity_type entity_id event_id event_type", nullable=False),
        *_times("event_ts"),
        *_texts("body", nullable=False),
    ),
    append=True,
)
TRACES = Table(
    "traces",
    "timestamp",
    ("project_id", "id"),
    (
        *_times("timestamp", nullable=False),
        *_texts("project_id id", nullable=False),
        *_texts("name"),
        *_texts("environment", INVERTED),
        *_texts("session_id user_id", BLOOM),
        *_texts("release version"),
        *_typed("JSON", "tags metadata"),
        *_typed("BOOLEAN", "bookmarked public"),
        *_texts("input output", FULLTEXT),
        *_times("created_at updated_at"),
        DELETED,
        EAV_GENERATION,
    ),
)
OBSERVATIONS = Table(
    "observations",
    "start_time",
    ("project_id", "id"),
    (
        *_times("start_time", nullable=False),
        *_texts("project_id id", nullable=False),
        *_texts("type", INVERTED),
        *_texts("trace_id", BLOOM),
        *_texts("parent_observation_id"),
        *_texts("environment", INVERTED),
        *_texts("name"),
        *_texts("level", INVERTED),
        *_texts("status_message version"),
        *_times("end_time completion_start_time"),
        *_texts("provided_model_name internal_model_id"),
        *_typed("JSON", "model_parameters"),
        *_texts("input output", FULLTEXT),
        *_typed("JSON", "metadata"),
        *_typed(COST, "input_cost output_cost total_cost"),
        *_typed("BIGINT", "input_usage output_usage total_usage"),
        *_typed("JSON", "usage_details cost_details provided_usage_details provided_cost_details"),
        *_texts("usage_pricing_tier_id usage_pricing_tier_name prompt_id prompt_name"),
        *_typed("INT", "prompt_version"),
        *_typed("JSON", "tool_definitions tool_calls tool_call_names"),
        *_times("created_at updated_at"),
        DELETED,
        EAV_GENERATION,
    ),
)
SCORES = Table(
    "scores",
    "timestamp",
    ("project_id", "id"),
    (
        *_times("timestamp", nullable=False),
        *_texts("project_id id", nullable=False),
        *_texts("name"),
        *_texts("environment source data_type", INVERTED),
        *_typed("DOUBLE", "value"),
        *_texts("string_value long_string_value comment"),
        *_typed("JSON", "metadata"),
        *_texts("trace_id observation_id session_id dataset_run_id", BLOOM),
        *_texts("execution_trace_id author_user_id config_id queue_id"),
        *_times("created_at updated_at"),
        DELETED,
        EAV_GENERATION,
    ),
)
DATASET_RUN_ITEMS = Table(
    "dataset_run_items",
    "dataset_run_created_at",
    ("project_id", "id"),
    (
        *_times("dataset_run_created_at", nullable=False),
        *_texts("project_id id", nullable=False),
        *_texts("dataset_id dataset_run_id dataset_item_id trace_id", SKIPPING),
        *_texts("observation_id error dataset_run_name dataset_run_description"),
        *_typed("JSON", "dataset_run_metadata"),
        *_texts("dataset_item_input dataset_item_expected_output"),
        *_typed("JSON", "dataset_item_metadata"),
        *_times("dataset_item_version created_at updated_at"),
        DELETED,
    ),
)
PROJECT_TOMBSTONES = Table(
    "project_tombstones",
    "deleted_at",
    ("project_id",),
    (*_times("deleted_at", nullable=False), *_texts("project_id", nullable=False)),
    append=True,
)


def _side(name: str, keys: tuple[Column, ...], *values: Column, generation: bool = True) -> Table:
    """A side table: one row per entity and key, found by (project, entity, key)."""
    columns = (
        *_times("timestamp", nullable=False),
        *_texts("project_id entity_id", nullable=False),
        *keys,
        *values,
        DELETED,
        *((GENERATION,) if generation else ()),
    )
    return Table(name, "timestamp", ("project_id", "entity_id", *(key.name for key in keys)), columns)


def _key(name: str, *indexes: str) -> tuple[Column, ...]:
    return _texts(name, *indexes, nullable=False)


_TEXT_VALUE = Column("value", "STRING", (SKIPPING, FULLTEXT))

RAW_SPANS = Table(
    "openfuse_raw_spans",
    "ingested_at",
    ("project_id", "trace_id"),
    (
        *_times("ingested_at", nullable=False),
        *_texts("project_id trace_id source", nullable=False),
        *_texts("span_id"),
        *_times("start_time"),
        Column("received_at", "TIMESTAMP(9)"),
        *_texts("receiver public_key sdk_name sdk_version"),
        Column("payload", "BINARY"),
    ),
    append=True,
)
"""Spans as received, zstd; the earliest copy of a source counts."""
STORE_EPOCH = Table(
    "openfuse_store_epoch",
    "bumped_at",
    ("reason",),
    (*_times("bumped_at", nullable=False), *_texts("reason", nullable=False)),
    append=True,
)
"""One row each time a command changes what collectors may remember, see `epoch`."""
EXPIRED = Table(
    "openfuse_expired",
    "expired_at",
    ("project_id",),
    (*_times("expired_at", nullable=False), *_texts("project_id", nullable=False)),
)
"""How far retention has come, by project: what received nothing later has no rows, although its raw events stay."""
SETTLE_MARKS = Table(
    "openfuse_settle_marks",
    "marked_at",
    ("instance",),
    (
        *_times("marked_at", nullable=False),
        *_texts("instance", nullable=False),
        *_times("settled_until written_until"),
    ),
)
"""What each collector may have written and not gone over: the newest row counts, see `settle_marks`."""
DEAD_LETTERS = Table(
    "openfuse_dead_letters",
    "at",
    ("id",),
    (
        *_times("at", nullable=False),
        *_texts("id", nullable=False),
        *_texts("pipeline component reason signal project_id receiver"),
        Column("received_at", "TIMESTAMP(9)"),
        *_typed("BIGINT", "position"),
        *_texts("payload"),
    ),
    whole=True,
)
"""Copies of dead letters, for people who look into the store; see `dead_letters`."""
LEDGER = Table(
    "openfuse_schema_migrations",
    "applied_at",
    ("name",),
    (*_times("applied_at", nullable=False), *_texts("name", nullable=False), *_texts("collector")),
    append=True,
)

OPENFUSE_TABLES: tuple[Table, ...] = (
    RAW_EVENTS,
    TRACES,
    OBSERVATIONS,
    SCORES,
    _side("traces_metadata", _key("key", INVERTED), _TEXT_VALUE),
    _side("observations_metadata", _key("key", INVERTED), _TEXT_VALUE),
    _side("scores_metadata", _key("key", INVERTED), _TEXT_VALUE),
    _side("traces_tags", _key("tag", INVERTED)),
    _side("observations_tags", _key("tag", INVERTED), generation=False),
    _side("scores_tags", _key("tag", INVERTED), generation=False),
    DATASET_RUN_ITEMS,
    PROJECT_TOMBSTONES,
    _side("observations_usage_cost", (*_key("kind", INVERTED), *_key("key")), Column("value", "DOUBLE")),
    _side("observations_tool_definitions", _key("tool_name", INVERTED)),
    _side("observations_tool_calls", _key("tool_name", INVERTED)),
)
OWN_TABLES: tuple[Table, ...] = (RAW_SPANS, STORE_EPOCH, SETTLE_MARKS, EXPIRED, DEAD_LETTERS)

TABLES: dict[str, Table] = {table.name: table for table in (*OPENFUSE_TABLES, *OWN_TABLES, LEDGER)}
"""Every table, in the order of creation."""

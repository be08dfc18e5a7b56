"""Tables and indexes of the embedded store, and the ledger that brings an older file up to date.

Table and column names are those of Openfuse's GreptimeDB schema; what this project adds is named `openfuse_…`. Times are integer
milliseconds UTC, JSON is text, cost is REAL. Large text columns come last, so that a query on the small ones does not read past them.
"""

from __future__ import annotations

import sqlite3

from openfuse_collector.exporters.sqlite.locking import transaction

RAW_EVENTS = """
CREATE TABLE raw_events (
  openfuse_entity INTEGER NOT NULL,  -- 64-bit hash of (project_id, entity_type, entity_id): the only key, see README
  ingested_at INTEGER NOT NULL,
  project_id TEXT NOT NULL,
  entity_type TEXT NOT NULL,
  entity_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  event_type TEXT NOT NULL,
  event_ts INTEGER,
  body TEXT NOT NULL
);
CREATE INDEX raw_events_entity ON raw_events (openfuse_entity);
"""

TRACES = """
CREATE TABLE traces (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  name TEXT,
  environment TEXT,
  session_id TEXT,
  user_id TEXT,
  release TEXT,
  version TEXT,
  bookmarked INTEGER,
  public INTEGER,
  created_at INTEGER,
  updated_at INTEGER,
  is_deleted INTEGER DEFAULT 0,
  eav_generation INTEGER DEFAULT 0,
  tags TEXT,
  input TEXT,
  output TEXT,
  metadata TEXT,
  PRIMARY KEY (project_id, id)
);
CREATE INDEX traces_by_time ON traces (project_id, timestamp);
CREATE INDEX traces_by_session ON traces (project_id, session_id, timestamp) WHERE session_id IS NOT NULL;
CREATE INDEX traces_by_user ON traces (project_id, user_id, timestamp) WHERE user_id IS NOT NULL;
CREATE INDEX traces_by_name ON traces (project_id, name, timestamp) WHERE name IS NOT NULL;
"""

OBSERVATIONS = """
CREATE TABLE observations (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  start_time INTEGER NOT NULL,
  end_time INTEGER,
  completion_start_time INTEGER,
  type TEXT,
  trace_id TEXT,
  parent_observation_id TEXT,
  environment TEXT,
  name TEXT,
  level TEXT,
  status_message TEXT,
  version TEXT,
  provided_model_name TEXT,
  internal_model_id TEXT,
  input_cost REAL,
  output_cost REAL,
  total_cost REAL,
  input_usage INTEGER,
  output_usage INTEGER,
  total_usage INTEGER,
  usage_pricing_tier_id TEXT,
  usage_pricing_tier_name TEXT,
  prompt_id TEXT,
  prompt_name TEXT,
  prompt_version INTEGER,
  created_at INTEGER,
  updated_at INTEGER,
  is_deleted INTEGER DEFAULT 0,
  eav_generation INTEGER DEFAULT 0,
  usage_details TEXT,
  cost_details TEXT,
  provided_usage_details TEXT,
  provided_cost_details TEXT,
  model_parameters TEXT,
  tool_definitions TEXT,
  tool_calls TEXT,
  tool_call_names TEXT,
  input TEXT,
  output TEXT,
  metadata TEXT,
  PRIMARY KEY (project_id, id)
);
CREATE INDEX observations_by_trace ON observations (trace_id);
CREATE INDEX observations_by_time ON observations (project_id, start_time);
CREATE INDEX observations_by_name ON observations (project_id, name, start_time);
CREATE INDEX observations_by_model ON observations (project_id, provided_model_name, start_time) WHERE provided_model_name IS NOT NULL;
"""

SCORES = """
CREATE TABLE scores (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  name TEXT,
  environment TEXT,
  source TEXT,
  data_type TEXT,
  value REAL,
  string_value TEXT,
  trace_id TEXT,
  observation_id TEXT,
  session_id TEXT,
  dataset_run_id TEXT,
  execution_trace_id TEXT,
  author_user_id TEXT,
  config_id TEXT,
  queue_id TEXT,
  created_at INTEGER,
  updated_at INTEGER,
  is_deleted INTEGER DEFAULT 0,
  eav_generation INTEGER DEFAULT 0,
  comment TEXT,
  long_string_value TEXT,
  metadata TEXT,
  PRIMARY KEY (project_id, id)
);
CREATE INDEX scores_by_trace ON scores (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX scores_by_session ON scores (project_id, session_id, timestamp) WHERE session_id IS NOT NULL;
CREATE INDEX scores_by_name ON scores (project_id, name, timestamp);
"""

OWN = """
CREATE TABLE openfuse_cursors (
  instance TEXT NOT NULL,  -- the collector, named by its journal
  pipeline TEXT NOT NULL,
  position INTEGER NOT NULL,  -- journal offset: everything before it is in this file
  PRIMARY KEY (instance, pipeline)
) WITHOUT ROWID;
CREATE TABLE openfuse_dead_letters (
  id TEXT PRIMARY KEY,
  at INTEGER NOT NULL,
  pipeline TEXT NOT NULL,
  component TEXT NOT NULL,
  reason TEXT NOT NULL,
  signal TEXT NOT NULL,
  project_id TEXT NOT NULL,
  receiver TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  position INTEGER NOT NULL,
  payload TEXT NOT NULL
);
"""

RAW_SPANS = """
CREATE TABLE openfuse_raw_spans (
  openfuse_trace INTEGER NOT NULL,  -- 64-bit hash of (project_id, trace_id), see README
  source TEXT NOT NULL,  -- digest of span, scope and resource: `source` in the metadata of the events made of it
  project_id TEXT NOT NULL,
  trace_id TEXT NOT NULL,
  span_id TEXT NOT NULL,
  start_time INTEGER NOT NULL,
  ingested_at INTEGER NOT NULL,
  received_at INTEGER NOT NULL,  -- epoch nanoseconds; with the next four: who sent it, through what, when
  receiver TEXT NOT NULL,
  public_key TEXT NOT NULL,
  sdk_name TEXT NOT NULL,
  sdk_version TEXT NOT NULL,
  payload BLOB NOT NULL  -- OTLP ResourceSpans with this one span, zstd
);
CREATE UNIQUE INDEX openfuse_raw_spans_once ON openfuse_raw_spans (openfuse_trace, source);
"""

DATASET_RUN_ITEMS = """
CREATE TABLE dataset_run_items (
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  dataset_run_created_at INTEGER NOT NULL,
  dataset_id TEXT,
  dataset_run_id TEXT,
  dataset_item_id TEXT,
  trace_id TEXT,
  observation_id TEXT,
  dataset_run_name TEXT,
  dataset_item_version INTEGER,
  created_at INTEGER,
  updated_at INTEGER,
  is_deleted INTEGER DEFAULT 0,
  error TEXT,
  dataset_run_description TEXT,
  dataset_run_metadata TEXT,
  dataset_item_input TEXT,
  dataset_item_expected_output TEXT,
  dataset_item_metadata TEXT,
  PRIMARY KEY (project_id, id)
);
CREATE INDEX dataset_run_items_by_run ON dataset_run_items (project_id, dataset_run_id, dataset_run_created_at);
CREATE INDEX dataset_run_items_by_trace ON dataset_run_items (trace_id) WHERE trace_id IS NOT NULL;
"""

PROJECT_TOMBSTONES = """
CREATE TABLE project_tombstones (
  project_id TEXT PRIMARY KEY,
  deleted_at INTEGER NOT NULL  -- what was news then or before is deleted
) WITHOUT ROWID;
"""

MIGRATIONS: tuple[tuple[str, str], ...] = (
    ("0001 tables", RAW_EVENTS + TRACES + OBSERVATIONS + SCORES + OWN),
    ("0002 raw spans", RAW_SPANS),
    ("0003 dataset run items", DATASET_RUN_ITEMS),
    ("0004 project tombstones", PROJECT_TOMBSTONES),
)
"""Applied in order, each once. Never edit one that was released; add the next."""

BY_TIME = (
    "CREATE INDEX IF NOT EXISTS raw_events_by_time ON raw_events (project_id, ingested_at)",
    "CREATE INDEX IF NOT EXISTS openfuse_raw_spans_by_time ON openfuse_raw_spans (project_id, ingested_at)",
)
"""What finding expired events needs. Only stores that have a retention limit pay for it."""

LEDGER = "CREATE TABLE IF NOT EXISTS openfuse_schema_migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL)"


def migrate(connection: sqlite3.Connection, patience: float) -> None:
    """Bring the file up to date; safe beside another collector doing the same, waited for as in `locking`. Raises sqlite3.Error.

    A file that a newer version has migrated further is used as it is: migrations only ever add.
    """
    with transaction(connection, patience):
        connection.execute(LEDGER)
        applied = {name for (name,) in connection.execute("SELECT name FROM openfuse_schema_migrations")}
        for name, script in MIGRATIONS:
            if name not in applied:
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute("INSERT INTO openfuse_schema_migrations VALUES (?, unixepoch() * 1000)", (name,))


def _statements(script: str) -> list[str]:
    """Single statements, because `executescript` would commit the transaction that makes a migration all or nothing."""
    found, text = [], ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            found.append(text.strip())
            text = ""
    return [statement for statement in found if statement]

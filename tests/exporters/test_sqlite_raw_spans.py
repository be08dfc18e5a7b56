"""Kept spans in the embedded store: with their events or not at all, each once, also those nothing could be made of."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from openfuse_collector.config.types import Duration
from openfuse_collector.errors import PermanentError
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from openfuse_collector.exporters.sqlite.schema import MIGRATIONS, _statements
from openfuse_collector.pipeline.split import parts
from openfuse_collector.store.raw_spans import unpack
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import RECEIVED_AT, batch, event, item, metric, settings
from tests.exporters.sqlite_kit import converted, execute, ingest, query, sent
from tests.mapping.span_requests import CHILD, ROOT, TRACE, request, span

KEPT = "SELECT * FROM openfuse_raw_spans ORDER BY rowid"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "openfuse.db"


async def test_spans_are_kept_with_what_is_needed_to_map_them_again(path: Path) -> None:
    one = sent(
        request(span(), span(span_id=CHILD, parent=ROOT)),
        project_id="acme",
        public_key="pk",
        sdk_name="s",
        sdk_version="v",
    )
    await ingest(path, [one])
    root, child = query(path, KEPT)
    assert {
        key: root[key] for key in ("project_id", "trace_id", "span_id", "start_time", "ingested_at", "received_at")
    } == {
        "project_id": "acme",
        "trace_id": TRACE,
        "span_id": ROOT,
        "start_time": 1_795_000_000_123,
        "ingested_at": RECEIVED_AT // 1_000_000,
        "received_at": RECEIVED_AT,
    }
    assert [root[key] for key in ("receiver", "public_key", "sdk_name", "sdk_version")] == ["otlp", "pk", "s", "v"]
    assert child["span_id"] == CHILD
    (kept,) = unpack(child["payload"]).scope_spans[0].spans
    assert kept == one.data.resource_spans[0].scope_spans[0].spans[1]
    made = query(path, "SELECT json_extract(body, '$.metadata.source') AS source FROM raw_events")
    assert {row["source"] for row in made} == {root["source"], child["source"]}


async def test_nothing_is_kept_unless_asked_for(path: Path) -> None:
    await ingest(path, [request(span())], raw_spans=False)
    assert query(path, KEPT) == []
    assert len(query(path, "SELECT * FROM observations")) == 1


async def test_an_identical_span_is_kept_once_and_its_earliest_copy_counts(path: Path) -> None:
    same = request(span())
    for number in (5, 3, 9):
        await ingest(path, [sent(same, number)])
    (kept,) = query(path, KEPT)
    assert kept["received_at"] == RECEIVED_AT + 3 * 10_000_000
    assert kept["ingested_at"] == kept["received_at"] // 1_000_000
    await ingest(path, [sent(same, project_id="other"), request(span(name="changed"))])
    assert len(query(path, KEPT)) == 3


async def test_a_span_nothing_could_be_made_of_is_kept(path: Path) -> None:
    await ingest(path, [request(span(span_id=""), span())])
    await ingest(path, [request(span(trace_id="", name="alone"))])
    assert [(row["trace_id"], row["span_id"]) for row in query(path, KEPT)] == [(TRACE, ""), (TRACE, ROOT), ("", ROOT)]
    assert len(query(path, "SELECT * FROM observations")) == 1


def test_spans_and_events_are_written_together_or_not_at_all(path: Path) -> None:
    exporter = SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path), busy_timeout=Duration(0)))
    good = converted([request(span())])
    bad = event("bad")
    bad.timestamp = 17  # type: ignore[assignment]
    poisoned = msgspec.structs.replace(good.items[0], data=[*good.items[0].data, bad])
    with pytest.raises(PermanentError):
        exporter.export(batch(poisoned))
    assert query(path, KEPT) == query(path, "SELECT * FROM raw_events") == []
    execute(path, "CREATE TRIGGER refuse BEFORE INSERT ON openfuse_raw_spans BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(PermanentError):
        exporter.export(good)
    assert query(path, "SELECT * FROM raw_events") == query(path, "SELECT * FROM observations") == []
    execute(path, "DROP TRIGGER refuse")
    exporter.export(good)
    assert len(query(path, KEPT)) == 1


def test_a_bad_entity_does_not_take_the_spans_of_its_request_along() -> None:
    """Dividing a batch ends with its spans in a part without any event, however few entities it has."""
    whole = converted([request(span(span_id=CHILD, parent=ROOT))])
    only = msgspec.structs.replace(whole.items[0], data=[event("bad")])
    first, second = parts(batch(only))
    assert (first.items[0].data, len(first.items[0].spans)) == ([], 1)
    assert (len(second.items[0].data), second.items[0].spans) == (1, ())
    assert parts(second) == parts(first) == []


def test_kept_spans_are_counted(path: Path) -> None:
    metrics = Metrics()
    exporter = SqliteExporter(settings("sqlite", metrics), SqliteConfig(path=str(path)))
    for _ in range(2):
        exporter.export(converted([request(span(), span(span_id=CHILD, parent=ROOT))]))
    name = "openfuse_store_written_rows_total"
    assert metric(metrics, name, exporter="sqlite", table="openfuse_raw_spans") == 2


def test_an_entity_of_an_unknown_type_is_refused_by_name_and_nothing_is_written(path: Path) -> None:
    exporter = SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path)))
    unknown = event("r1")
    unknown.entity = unknown.entity._replace(type="prompt")
    with pytest.raises(PermanentError, match="prompt r1: cannot be folded"):
        exporter.export(batch(item([unknown, event("o1")])))
    assert query(path, "SELECT * FROM raw_events") == []


async def test_a_file_of_an_older_version_gets_the_table(path: Path) -> None:
    execute(path, "CREATE TABLE openfuse_schema_migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL)")
    name, script = MIGRATIONS[0]
    for statement in _statements(script):
        execute(path, statement)
    execute(path, "INSERT INTO openfuse_schema_migrations VALUES (?, 0)", name)
    await ingest(path, [request(span())])
    assert len(query(path, KEPT)) == 1
    assert len(query(path, "SELECT * FROM openfuse_schema_migrations")) == len(MIGRATIONS)


@pytest.mark.parametrize(
    "where",
    ["openfuse_trace = 5", "openfuse_trace IN (1, 2)", "openfuse_trace >= 3 ORDER BY openfuse_trace LIMIT 500"],
)
async def test_the_spans_of_a_trace_are_found_by_index(path: Path, where: str) -> None:
    await ingest(path, [request(span())])
    (plan,) = query(path, f"EXPLAIN QUERY PLAN SELECT openfuse_trace FROM openfuse_raw_spans WHERE {where}")
    assert "openfuse_raw_spans_once" in plan["detail"]

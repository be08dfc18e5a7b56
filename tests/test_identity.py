"""Nothing is dropped in silence: /metrics says of all that was accepted whether it is stored, known, filtered, dead or waiting."""

from __future__ import annotations

import base64
import json
import sqlite3
import urllib.request
from contextlib import closing
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.builders import RECEIVED_AT
from tests.collector_process import CollectorProcess, wait_until
from tests.store_lock import locked

POISON = (666).to_bytes(8, "big")
REFUSE = f"""
CREATE TRIGGER refuse BEFORE INSERT ON raw_events WHEN NEW.entity_id = '{POISON.hex()}'
BEGIN SELECT RAISE(ABORT, 'not this one'); END
"""


def traces(number: int, *ids: bytes) -> ExportTraceServiceRequest:
    made = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    for id in ids or [(number * 100 + n).to_bytes(8, "big") for n in range(1, 21)]:
        span = scope.spans.add(name="chat", start_time_unix_nano=RECEIVED_AT, end_time_unix_nano=RECEIVED_AT + 1)
        span.trace_id, span.span_id = number.to_bytes(16, "big"), id
        span.attributes.add(key="gen_ai.request.model").value.string_value = "gpt-4o-mini"
    return made


def logs(count: int) -> ExportLogsServiceRequest:
    """Records that say nothing of GenAI."""
    made = ExportLogsServiceRequest()
    scope = made.resource_logs.add().scope_logs.add()
    for number in range(count):
        scope.log_records.add(time_unix_nano=RECEIVED_AT + number).body.string_value = "something else"
    return made


def ingestion(*names: str) -> dict[str, Any]:
    body = {"batch": [event(name) for name in names]}
    body["batch"].append({"id": "bad", "type": "trace-create", "timestamp": "never", "body": {}})
    return body


def event(name: str) -> dict[str, Any]:
    at = "2026-11-21T06:00:00.000Z"
    return {"id": f"event-{name}", "type": "trace-create", "timestamp": at, "body": {"id": name, "timestamp": at}}


def send(collector: CollectorProcess, path: str, body: bytes, kind: str) -> None:
    headers = {"Content-Type": kind, "Authorization": "Basic " + base64.b64encode(b"pk:sk").decode()}
    request = urllib.request.Request(collector.http_endpoint + path, body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status in (200, 207)


def send_all(collector: CollectorProcess) -> None:
    """Good spans, spans with a bad id, one the store will not take, a resend, logs nobody wants, events good, bad and repeated."""
    protobuf = "application/x-protobuf"
    for made in (traces(1), traces(2), traces(1), traces(3, POISON, (301).to_bytes(8, "big"), bytes(8))):
        send(collector, "/v1/traces", made.SerializeToString(), protobuf)
    send(collector, "/v1/logs", logs(7).SerializeToString(), protobuf)
    for names in (("a", "b"), ("b", "c")):
        send(collector, "/api/public/ingestion", json.dumps(ingestion(*names)).encode(), "application/json")


def total(collector: CollectorProcess, *names: str) -> float:
    return sum(collector.metric(name) for name in names)


def test_what_was_accepted_is_accounted_for(collector: CollectorProcess) -> None:
    accepted = (
        "otelcol_receiver_accepted_spans_total",
        "otelcol_receiver_accepted_log_records_total",
        "openfuse_receiver_accepted_events_total",
    )
    with closing(sqlite3.connect(collector.store, isolation_level=None, timeout=30)) as other:
        other.execute(REFUSE)
    with locked(collector.store):  # nothing is finished meanwhile
        send_all(collector)
        assert total(collector, *accepted) == total(collector, "openfuse_pipeline_queued_items") == 62 + 7 + 4
    wait_until(lambda: total(collector, "openfuse_pipeline_queued_items") == 0, lambda: collector.log, 60)
    consumed = "openfuse_connector_consumed_spans_total", "openfuse_connector_consumed_log_records_total"
    assert total(collector, *accepted[:2]) == total(collector, *consumed)
    into_the_store = total(collector, "openfuse_connector_emitted_events_total", accepted[2])
    stored = collector.metric("openfuse_store_written_rows_total", table="raw_events")
    known = collector.metric("openfuse_store_duplicate_events_total")
    dead = collector.metric("otelcol_exporter_send_failed_events_total")
    assert into_the_store == stored + known + dead
    assert stored == collector.query("SELECT count(*) AS n FROM raw_events")[0]["n"]
    assert collector.metric("openfuse_connector_filtered_log_records_total") == 7
    assert dead >= 1 and collector.metric("openfuse_dead_letters_total") >= 1
    assert known >= 20 + 1
    assert collector.metric("openfuse_receiver_rejected_spans_total") == 1
    assert collector.metric("openfuse_receiver_rejected_events_total") == 2


def test_the_page_holds_no_dates_of_series(collector: CollectorProcess) -> None:
    with urllib.request.urlopen(collector.metrics_url, timeout=20) as answer:
        assert "_created" not in answer.read().decode()

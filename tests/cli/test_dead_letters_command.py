"""`dead-letters` beside a running collector, and without one: what a store refused is seen, replayed and stored as if never refused."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.builders import RECEIVED_AT
from tests.collector_process import CollectorProcess, wait_until

Start = Callable[..., CollectorProcess]

PICKY = '''
import dataclasses
from pathlib import Path

from openfuse_collector.errors import PermanentError
from openfuse_collector.exporters.sqlite import FACTORY as SQLITE
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter


class Picky(SqliteExporter):
    """The SQLite store, refusing what is called poison for as long as a file beside it says why."""

    def export(self, batch):
        mood = Path(self._path).with_name("mood")
        if mood.exists() and any("poison" in str(e.body.get("name")) for item in batch.items for e in item.data):
            raise PermanentError(mood.read_text())
        super().export(batch)


FACTORY = dataclasses.replace(SQLITE, type="picky", create=Picky)
'''
SETS = {"service.pipelines.events.exporters": "[picky]"}
ROWS = "SELECT * FROM observations ORDER BY id"
RAW = "SELECT * FROM raw_events ORDER BY entity_id, event_id"


@pytest.fixture
def picky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with one exporter, importable by collectors."""
    plug_in = tmp_path / "plug-in"
    about = plug_in / "picky-1.0.dist-info"
    about.mkdir(parents=True)
    (plug_in / "picky.py").write_text(PICKY)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: picky\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[openfuse_collector.exporters]\npicky = picky:FACTORY\n")
    monkeypatch.setenv("PYTHONPATH", str(plug_in))


def request(*names: str) -> bytes:
    made = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    for number, name in enumerate(names, 1):
        span = scope.spans.add(name=name, start_time_unix_nano=RECEIVED_AT, end_time_unix_nano=RECEIVED_AT + 99)
        span.trace_id, span.span_id = b"t" * 16, number.to_bytes(8, "big")
        if number > 1:
            span.parent_span_id = (1).to_bytes(8, "big")
    return made.SerializeToString()


def post(collector: CollectorProcess, path: str, body: bytes, type: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", collector.http_port, timeout=60)
    try:
        connection.request("POST", path, body, {"Content-Type": type, "Authorization": "Basic cGs6c2s="})
        return connection.getresponse().status
    finally:
        connection.close()


def send(collector: CollectorProcess, *names: str) -> None:
    assert post(collector, "/v1/traces", request(*names), "application/x-protobuf") == 200


def command(journal: Path, *arguments: str, code: int = 0) -> str:
    """What a command prints, standard error included."""
    subcommand = [*arguments, "--set", f"service.journal.directory={journal}"]
    run = [sys.executable, "-m", "openfuse_collector", *subcommand]
    done = subprocess.run(run, capture_output=True, text=True, env=os.environ, timeout=120)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def listed(journal: Path, *arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(
        command(journal, "dead-letters", "list", "--format", "json", *arguments)
    )
    return found


def started(start: Start, tmp_path: Path, name: str, mood: str = "") -> CollectorProcess:
    directory = tmp_path / name
    directory.mkdir()
    if mood:
        (directory / "mood").write_text(mood)
    return start(name, sets={**SETS, "exporters.picky.path": str(directory / "openfuse.db")})


@pytest.mark.usefixtures("picky")
def test_refused_seen_replayed_stored(start_collector: Start, tmp_path: Path) -> None:
    collector = started(start_collector, tmp_path, "refusing", "tastes of \x1b[31mpoison")
    send(collector, "root", "poison'; DROP TABLE traces --", "good")
    collector.wait_for_rows(ROWS, at_least=2)
    journal = collector.journal
    collector.wait_for_rows("SELECT id FROM openfuse_dead_letters")
    (row,) = listed(journal)
    assert (row["component"], row["pipeline"], row["project_id"], row["signal"]) == (
        "picky",
        "traces",
        "default",
        "events",
    )
    assert listed(journal, "--component", "other") == listed(journal, "--project", "p2") == []
    assert listed(journal, "--since", "2h") == listed(journal, "--project", "default", "--component", "picky") == [row]
    table = command(journal, "dead-letters", "list")
    assert "tastes of" in table
    assert "\x1b" not in table
    shown = command(journal, "dead-letters", "show", str(row["id"])[:6])
    assert "tastes of" in shown
    assert "\x1b" not in shown
    assert "poison'; DROP TABLE traces --" in shown

    (collector.directory / "mood").write_text("still bitter")
    assert "1 dead letter to be replayed" in command(journal, "dead-letters", "replay", str(row["id"]))
    wait_until(lambda: [one["reason"] for one in listed(journal)] == ["still bitter"], lambda: collector.log, 60)
    wait_until(
        lambda: (
            [one["reason"] for one in collector.query("SELECT reason FROM openfuse_dead_letters")] == ["still bitter"]
        ),
        lambda: collector.log,
        60,
    )
    assert listed(journal)[0]["state"] == "kept"

    (collector.directory / "mood").unlink()
    assert "1 dead letter to be replayed" in command(journal, "replay-dead-letters", "--all")
    collector.wait_for_rows(ROWS, at_least=3)
    wait_until(lambda: listed(journal) == [], lambda: collector.log, 60)
    wait_until(lambda: not collector.query("SELECT id FROM openfuse_dead_letters"), lambda: collector.log, 60)
    assert collector.metric("openfuse_dead_letters_replayed_total", component="picky") == 2

    easy = started(start_collector, tmp_path, "taking-all")
    send(easy, "root", "poison'; DROP TABLE traces --", "good")
    easy.wait_for_rows(ROWS, at_least=3)
    assert [events["body"] for events in easy.query(RAW)] == [events["body"] for events in collector.query(RAW)]
    when = {"created_at": 0, "updated_at": 0, "eav_generation": 0}  # what follows from the time of receipt
    assert [{**row, **when} for row in easy.query(ROWS)] == [{**row, **when} for row in collector.query(ROWS)]
    received = {row["created_at"] for row in collector.query(ROWS)}
    assert len(received) == 1, "a replayed event keeps the time of receipt of its request"


@pytest.mark.usefixtures("picky")
def test_without_a_collector_they_wait_for_the_next_start(start_collector: Start, tmp_path: Path) -> None:
    collector = started(start_collector, tmp_path, "later", "no")
    send(collector, "root", "poison")
    event = {"id": "e1", "type": "span-create", "timestamp": "2026-11-21T06:00:00Z"}
    batch = {"batch": [{**event, "body": {"id": "s1", "traceId": "t1", "name": "poison"}}]}
    assert post(collector, "/api/public/ingestion", json.dumps(batch).encode(), "application/json") == 207
    wait_until(lambda: len(listed(collector.journal)) >= 2, lambda: collector.log, 60)
    assert collector.stop() == 0
    count = len(listed(collector.journal))
    (collector.directory / "mood").unlink()
    said = command(collector.journal, "dead-letters", "replay", "--since", "1h")
    assert "no collector is running" in said
    assert len(listed(collector.journal)) == count
    assert collector.query("SELECT id FROM observations WHERE id = 's1'") == []
    collector.start()
    collector.wait_for_rows("SELECT id FROM observations WHERE name = 'poison'", at_least=2)
    wait_until(lambda: listed(collector.journal) == [], lambda: collector.log, 60)
    assert collector.stop() == 0
    raw = collector.query("SELECT entity_id, event_id FROM raw_events")
    assert len({tuple(row.values()) for row in raw}) == len(raw)


@pytest.mark.usefixtures("picky")
def test_a_flood_of_poison_blocks_nobody(start_collector: Start, tmp_path: Path) -> None:
    """Thousands of refusals: every neighbour is stored, every refusal is kept once, and replayed they are all there once."""
    collector = started(start_collector, tmp_path, "flooded", "no")
    flood = 3000
    send(collector, "root", *(f"{'good' if number % 10 == 0 else 'poison'} {number}" for number in range(flood)))
    collector.wait_for_rows("SELECT 1 FROM observations", at_least=1 + flood // 10)
    kept = flood - flood // 10
    wait_until(lambda: collector.metric("openfuse_dead_letters_kept") == kept, lambda: collector.log, 60)
    assert len(listed(collector.journal)) == collector.metric("openfuse_dead_letters_total") == kept
    assert collector.log.count("set aside as dead letter") <= 20
    (collector.directory / "mood").unlink()
    command(collector.journal, "dead-letters", "replay", "--all")
    collector.wait_for_rows("SELECT 1 FROM observations", at_least=1 + flood)
    wait_until(lambda: not listed(collector.journal), lambda: collector.log, 60)
    assert len(collector.query("SELECT DISTINCT event_id FROM raw_events")) == len(
        collector.query("SELECT event_id FROM raw_events")
    )


@pytest.mark.usefixtures("picky")
def test_dropped_for_good(start_collector: Start, tmp_path: Path) -> None:
    collector = started(start_collector, tmp_path, "dropping", "no")
    send(collector, "root", "poison 1", "poison 2")
    collector.wait_for_rows("SELECT id FROM openfuse_dead_letters", at_least=2)
    journal = collector.journal
    first, second = listed(journal)
    assert "no dead letter 'typo'" in command(journal, "dead-letters", "drop", str(first["id"]), "typo", code=1)
    assert listed(journal) == [first, second]
    twice = str(first["id"]), str(first["id"])[:20]
    assert "1 dead letter dropped" in command(journal, "dead-letters", "drop", *twice)
    assert [one["id"] for one in listed(journal)] == [second["id"]]
    wait_until(
        lambda: [row["id"] for row in collector.query("SELECT id FROM openfuse_dead_letters")] == [second["id"]],
        lambda: collector.log,
        60,
    )


def test_wrong_use_is_explained(tmp_path: Path) -> None:
    assert "no dead letters in" in command(tmp_path, "dead-letters", "list")
    assert "no dead letter 'abc'" in command(tmp_path, "dead-letters", "show", "abc", code=1)
    assert "choose letters by ID, by filters, or take --all" in command(tmp_path, "dead-letters", "replay", code=2)
    assert "choose letters" in command(tmp_path, "dead-letters", "drop", "abc", "--all", code=2)
    assert "0 dead letters dropped" in command(tmp_path, "dead-letters", "drop", "--all")
    (tmp_path / "dead-letters").mkdir()
    (tmp_path / "dead-letters" / "letters.db").write_text("this is no database at all" * 100)
    assert "not a database" in command(tmp_path, "dead-letters", "list", code=1)

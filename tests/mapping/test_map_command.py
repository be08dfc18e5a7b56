"""The `map` command: either encoding in, one event per line out."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.protobuf.json_format import MessageToDict

from openfuse_collector.cli.map import format_of, map_command
from tests.mapping.log_requests import logs_request, record
from tests.mapping.span_requests import CHILD, ROOT, TRACE, request, span

REQUEST = request(span({"gen_ai.request.model": "m"}), resource={"service.name": "s"})


def as_json(value: Any) -> bytes:
    """A request in OTLP/JSON."""
    written = MessageToDict(value)
    for group in written["resourceSpans"]:
        for one in group["scopeSpans"][0]["spans"]:
            for key in ("traceId", "spanId", "parentSpanId"):
                if key in one:
                    one[key] = base64.b64decode(one[key]).hex()
    return json.dumps(written).encode()


def run(*arguments: str, stdin: bytes = b"") -> Result:
    """Call the command."""
    return CliRunner().invoke(map_command, arguments, input=stdin)


def lines(result: Result) -> list[dict[str, Any]]:
    """The printed events."""
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("body", [REQUEST.SerializeToString(), as_json(REQUEST)], ids=["protobuf", "json"])
def test_standard_input(body: bytes) -> None:
    result = run("--project", "p", stdin=body)
    assert result.exit_code == 0, result.output
    of_trace, of_observation = lines(result)
    assert of_trace["project"] == "p"
    assert of_trace["entity"] == {"type": "trace", "id": TRACE}
    assert (of_observation["type"], of_observation["body"]["model"]) == ("generation-create", "m")
    assert of_observation.keys() == {"project", "entity", "id", "timestamp", "type", "body", "metadata"}


def test_both_encodings_give_the_same_events() -> None:
    assert run(stdin=REQUEST.SerializeToString()).stdout == run(stdin=as_json(REQUEST)).stdout


def test_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one.pb", tmp_path / "two.json"
    one.write_bytes(REQUEST.SerializeToString())
    two.write_bytes(b"\n" + as_json(request(span(span_id=CHILD, parent=ROOT))))
    result = run(str(one), str(two))
    assert result.exit_code == 0, result.output
    assert [line["type"] for line in lines(result)] == [
        "trace-create",
        "generation-create",
        "span-create",
        "trace-create",
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = run(str(tmp_path / "none.pb"))
    assert (result.exit_code, result.stderr) == (1, f"{tmp_path}/none.pb: No such file or directory\n")


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b'{"resourceSpans":', b'{"resourceSpans": 5}', b"[]"])
def test_bad_input(body: bytes, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.write_bytes(body)
    good.write_bytes(REQUEST.SerializeToString())
    result = run(str(bad), str(good))
    assert result.exit_code == 1
    assert str(bad) in result.stderr
    assert len(lines(result)) == 2  # the other file is mapped all the same


def test_a_span_without_ids_is_named() -> None:
    result = run(stdin=request(span(span_id=""), span()).SerializeToString())
    assert result.exit_code == 1
    assert "span" in result.stderr
    assert len(lines(result)) == 2


def test_missing_file(tmp_path: Path) -> None:
    result = run(str(tmp_path / "nothing.pb"))
    assert result.exit_code == 1
    assert "nothing.pb" in result.stderr


def test_a_protobuf_request_that_looks_like_json() -> None:
    """0x0a 0x7b 0x0a 0x22: line feed, brace, line feed, quote to a JSON reader."""
    body = b'\n{\n"' + b"\x00" * 4
    assert format_of(body) == "protobuf"
    assert format_of(b'\n{\n"a": 1}') == "json"
    assert format_of(b"{broken") == "json"


LOGS = logs_request(record("gen_ai.user.message", {"content": "hi"}), record("unrelated"))


@pytest.mark.parametrize("as_text", [False, True])
def test_logs_are_told_from_traces(as_text: bool) -> None:
    body = LOGS.SerializeToString()
    if as_text:
        one = {
            "traceId": TRACE,
            "spanId": ROOT,
            "timeUnixNano": 1,
            "eventName": "gen_ai.user.message",
            "body": {"stringValue": "hi"},
        }
        body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [one, {}]}]}]}).encode()
    result = run(stdin=body)
    assert result.exit_code == 0, result.output
    (event,) = lines(result)
    assert (event["type"], event["entity"]) == ("observation-update", {"type": "observation", "id": ROOT})
    assert "1 log records belong to no span" in result.stderr


def test_explain_prints_a_table_per_event() -> None:
    result = run("--explain", stdin=REQUEST.SerializeToString())
    assert result.exit_code == 0, result.output
    of_trace, of_observation = result.stdout.strip().split("\n\n")
    assert of_trace.startswith(f"trace {TRACE}  trace-create\n")
    rows = [line.split() for line in of_observation.splitlines()]
    assert rows[0] == ["observation", ROOT, "generation-create"]
    assert ["model", "m", "rules.MODEL", "gen_ai.request.model"] in rows
    assert ["type", "GENERATION", "rules.MODEL_MEANS_GENERATION", "gen_ai.request.model"] in rows


def test_explain_names_an_attribute_once_for_metadata() -> None:
    said = span({"ai.operationId": "ai.generateText", "ai.telemetry.metadata.n": 3})
    result = run("--explain", stdin=request(said).SerializeToString())
    (row,) = (line for line in result.stdout.split("\n\n")[0].splitlines() if line.split()[0] == "metadata")
    assert row.rsplit("  ", 1)[1].count("ai.telemetry.metadata.n") == 1, row


def test_explain_of_logs() -> None:
    result = run("--explain", stdin=LOGS.SerializeToString())
    assert result.exit_code == 0, result.output
    assert "log_vocabulary.ROLES" in result.stdout and "(body)" in result.stdout


def test_explanations_cut_long_values() -> None:
    long = request(span({"input.value": "line\n" * 100}))
    result = run("--explain", stdin=long.SerializeToString())
    assert "line line" in result.stdout and max(map(len, result.stdout.splitlines())) < 200

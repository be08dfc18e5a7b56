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

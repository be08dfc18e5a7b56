"""Every recorded HTTP call, sent again byte for byte to a collector: the kind of answer it got then, and the rows one expects.

The default run takes one scenario of each library and all of the Langfuse SDKs; `-m long` takes everything there is.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.collector_process import CollectorProcess, wait_until

SHARED = Path(os.environ.get("OPENFUSE_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")
CORPUS = SHARED / "corpus"
OTHERS = ("/v2/traces/", "/v3/auth/token", "/v4/logs/upload/")
"""Calls of libraries to services of their own: they do not come here."""
NOT_SERVED = ("/api/public/v2/prompts", "/api/public/v2/datasets", "/api/public/dataset")
METRICS = "/v1/metrics"
"""Answered 404 for good: there is no pipeline for metrics. Those that Langfuse SDKs send to their own path are let go with 200."""
SDK_HEADERS = ("x-langfuse", "x_langfuse")
TIMEOUT = 120.0

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not CORPUS.is_dir(), reason=f"NO CORPUS at {CORPUS}: set OPENFUSE_SHARED"),
]

Start = Callable[..., CollectorProcess]


class Answer(NamedTuple):
    """What the collector said."""

    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Replay:
    """Sends the calls of scenarios in their order, and notes what the store should have in the end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._uploads: dict[str, str] = {}
        """Path of an upload in the recording -> the address it has here."""
        self.seen: Counter[str] = Counter()
        """Kind of call -> how many."""
        self.stated: dict[tuple[str, str], dict[str, Any]] = {}
        """(table, id) -> the last name and value an API call states, as the columns of its row."""
        self.entities: dict[str, set[str]] = {"traces": set(), "observations": set(), "scores": set()}

    def scenario(self, directory: Path) -> None:
        """All calls of one scenario."""
        for file in sorted(directory.iterdir()):
            number, kind = file.name.split(".")[:2]
            if kind == "langfuse":
                self._call(json.loads(file.read_bytes()), file)
            elif kind in ("traces", "logs", "metrics"):
                self._export(file, kind, json.loads((directory / f"{number}.headers.json").read_bytes()))

    def _export(self, file: Path, kind: str, recorded: dict[str, str]) -> None:
        """OTLP, by the path it was sent to. gRPC bodies go to the path of the same signal."""
        path = recorded["path"] if recorded["path"].startswith(("/v1/", "/api/")) else f"/v1/{kind}"
        content_type = "application/json" if file.suffix == ".json" else "application/x-protobuf"
        headers = {name: value for name, value in recorded.items() if name.lower().startswith(SDK_HEADERS)}
        answer = self._send("POST", path, file.read_bytes(), {**headers, "Content-Type": content_type})
        taken = path != METRICS
        assert (answer.status, answer.content_type) == (200 if taken else 404, content_type), (file, answer)
        if taken:
            assert answer.body in (b"", b"{}"), (file, answer)  # no partial success: nothing of it was refused
        self.seen[f"otlp {kind} {file.suffix[1:]}"] += 1

    def _call(self, call: dict[str, Any], file: Path) -> None:
        if call["path"].startswith(OTHERS):
            return
        check = next(check for start, check in CHECKS.items() if call["path"].startswith(start))
        body = call["body"]
        if isinstance(body, dict) and "_base64" in body:
            data: bytes | None = base64.b64decode(body["_base64"])
        else:
            data = None if body is None else json.dumps(body).encode()
        headers = {name: value for name, value in call["headers"].items() if name.lower().startswith(SDK_HEADERS)}
        content_type = next((v for k, v in call["headers"].items() if k.lower() == "content-type"), "application/json")
        address = self._uploads.get(call["path"], call["path"])
        answer = self._send(call["method"], address, data, {**headers, "Content-Type": content_type})
        check(self, call, answer)
        self.seen[f"{call['method']} {next(start for start in CHECKS if call['path'].startswith(start))}"] += 1

    def _send(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Answer:
        url = path if path.startswith("http") else self._url + path
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return Answer(answer.status, answer.headers.get("Content-Type", ""), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers.get("Content-Type", ""), error.read())

    def _ingestion(self, call: dict[str, Any], answer: Answer) -> None:
        sent = [event for event in call["body"]["batch"] if event["type"] != "sdk-log"]
        assert answer.status == (call.get("reply_status") or 207)
        assert answer.json["errors"] == [] and answer.json.keys() == (call.get("reply") or answer.json).keys()
        assert Counter(success["id"] for success in answer.json["successes"]) == Counter(e["id"] for e in sent)
        for event in sent:
            kind = {"trace-create": "traces", "score-create": "scores"}.get(event["type"], "observations")
            self._expect(kind, event["body"])

    def _scores(self, call: dict[str, Any], answer: Answer) -> None:
        """202 where the recorder said 207 with counts: the SDK takes both for success only if it is this one."""
        assert (answer.status, answer.json) == (202, {"message": "Accepted"})
        assert call["reply"]["rejected"] == 0
        for score in call["body"]:
            self._expect("scores", score)

    def _expect(self, table: str, body: dict[str, Any]) -> None:
        self.entities[table].add(body["id"])
        columns = self.stated.setdefault((table, body["id"]), {})
        if body.get("name"):
            columns["name"] = body["name"]
        if table == "scores":
            columns |= {"string_value" if isinstance(body["value"], str) else "value": body["value"]}
        elif isinstance(body.get("output"), str) and body["output"]:
            columns["output"] = body["output"]

    def _projects(self, call: dict[str, Any], answer: Answer) -> None:
        assert answer.status == call["reply_status"]
        assert answer.json["data"][0].keys() >= call["reply"]["data"][0].keys() - {"retentionDays"}

    def _media(self, call: dict[str, Any], answer: Answer) -> None:
        """201 with an address, or 200 without where an earlier scenario has sent the same file."""
        if call["method"] == "PATCH":
            assert answer.status in (200, 204), answer
            return
        reply = call.get("reply") or {}
        assert (answer.status, bool(answer.json["uploadUrl"])) in ((201, True), (200, False))
        assert answer.json["mediaId"] == call["body"]["sha256Hash"].replace("+", "-").replace("/", "_")[:22]
        if reply.get("uploadUrl") and answer.json["uploadUrl"]:
            self._uploads["/_upload/" + reply["uploadUrl"].rpartition("/")[2]] = answer.json["uploadUrl"]

    def _upload(self, call: dict[str, Any], answer: Answer) -> None:
        """A file that was there already has no address here: what the SDK would not have sent is not judged."""
        assert answer.status == 200 or call["path"] not in self._uploads, answer
        self._uploads.pop(call["path"], None)

    def _not_served(self, call: dict[str, Any], answer: Answer) -> None:
        assert answer.status == 404 and "message" in answer.json


CHECKS: dict[str, Callable[[Replay, dict[str, Any], Answer], None]] = {
    "/api/public/ingestion": Replay._ingestion,
    "/api/public/scores": Replay._scores,
    "/api/public/projects": Replay._projects,
    "/api/public/media": Replay._media,
    "/_upload/": Replay._upload,
    **dict.fromkeys(NOT_SERVED, Replay._not_served),
}
"""Start of a path -> what the answer has to be."""


def scenarios(*, complete: bool) -> list[Path]:
    """The folders to replay."""
    libraries = sorted(path for path in CORPUS.iterdir() if path.is_dir()) if CORPUS.is_dir() else []
    found = []
    for library in libraries:
        inside = sorted(path for path in library.iterdir() if path.is_dir())
        found += inside if complete or "langfuse-" in library.name else inside[:1]
    return found


def expected(chosen: list[Path]) -> Iterator[dict[str, Any]]:
    """What Langfuse's own code makes of the chosen scenarios, where that was recorded."""
    names = {str(path.relative_to(CORPUS)) for path in chosen}
    with (CORPUS / "expected.jsonl").open() as lines:
        for line in lines:
            case = json.loads(line)
            if case["scenario"] in names:
                yield case


def ids(store: Path, table: str) -> set[str]:
    """The ids a table of the store has."""
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True, timeout=20)) as connection:
        return {id for (id,) in connection.execute(f"SELECT id FROM {table}")}


@pytest.mark.parametrize("complete", [False, pytest.param(True, marks=pytest.mark.long)], ids=["sample", "complete"])
def test_recorded_calls_get_their_answer_and_make_their_rows(
    start_collector: Start, tmp_path: Path, complete: bool
) -> None:
    collector = start_collector(sets={"receivers.langfuse.media.directory": tmp_path / "media"})
    chosen = scenarios(complete=complete)
    replay = Replay(collector.http_endpoint)
    for directory in chosen:
        replay.scenario(directory)
    for case in expected(chosen):
        for table in ("traces", "observations"):
            replay.entities[table] |= case[table].keys()
    for table, wanted in replay.entities.items():
        wait_until(
            lambda table=table, wanted=wanted: wanted <= ids(collector.store, table),  # type: ignore[misc]
            lambda table=table, wanted=wanted: f"{table} lacks {sorted(wanted - ids(collector.store, table))[:5]}",  # type: ignore[misc]
            TIMEOUT,
        )
    for (table, id), columns in replay.stated.items():
        (row,) = collector.query(f"SELECT * FROM {table} WHERE id = ?", id)
        assert {column: row[column] for column in columns} == columns, (table, id)
    print(dict(replay.seen), {table: len(wanted) for table, wanted in replay.entities.items()}, len(chosen))
    assert replay.seen["otlp traces pb"] > 50 and replay.seen["otlp traces json"] > 10
    assert replay.seen["POST /api/public/ingestion"] > 10 and replay.seen["POST /api/public/media"] > 10
    assert len(replay.stated) > 40
    assert collector.query("SELECT * FROM openfuse_dead_letters") == []
    assert collector.stop() == 0

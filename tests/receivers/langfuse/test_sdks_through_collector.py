"""Five unmodified SDKs, a collector process with the API on the port of OTLP, and the rows in its store.

Each run has a project of its own, so all share one collector: the project of what an SDK sends is that of its key, by OTLP and by
the ingestion API.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from faulty_front import front_of
from sdk_peers import run_node, run_python

from tests.collector_process import CollectorProcess, wait_until

IMAGE = b"\x89PNG not really"
KINDS = {"span", "generation", "agent", "tool", "chain", "retriever", "evaluator", "embedding", "guardrail", "event"}
LEGACY_KINDS = {"span-1": "SPAN", "generation-1": "GENERATION", "generation-2": "GENERATION", "event-1": "EVENT"}
PATIENCE = 60


class Sdk(NamedTuple):
    """A version of an SDK and the script in which it says everything."""

    script: str
    version: str
    installed: bool = False
    """Whether it is the one the tests' environment has."""

    @property
    def legacy(self) -> bool:
        """Whether it sends traces by the ingestion API."""
        return self.script in ("python_v2.py", "javascript_v3.cjs")

    async def run(self, url: str, project: str, *arguments: str, patience: int = PATIENCE) -> Any:
        """What the script tells. `patience` is how many seconds the SDK waits for an answer."""
        keys = {"LANGFUSE_PUBLIC_KEY": f"pk-lf-{project}", "LANGFUSE_SECRET_KEY": f"sk-lf-{project}"}
        keys |= {"LANGFUSE_TIMEOUT": str(patience)}
        if self.script.endswith(".py"):
            return await run_python(self.script, url, None if self.installed else self.version, **keys)
        return await run_node(self.script, url, *arguments, **keys)


SDKS = {
    "python-2": Sdk("python_v2.py", "2.60.10"),
    "python-3": Sdk("everything_otel.py", "3.8.1"),
    "python-5": Sdk("everything_otel.py", "5.", installed=True),
    "javascript-3": Sdk("javascript_v3.cjs", "3.39.2"),
    "javascript-5": Sdk("everything_v5.mjs", "5.11.1"),
}
RUNS = ("plain", "bad", "429", "503", "cut", "unanswered")

every_sdk = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.node if name.startswith("javascript") else ()) for name in SDKS]
)


@pytest.fixture(scope="module")
def shared_collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorProcess]:
    """The default configuration with a project per run, and with media."""
    directory = tmp_path_factory.mktemp("sdks")
    projects = [
        {"id": f"{name}-{run}", "keys": [{"public_key": f"pk-lf-{name}-{run}", "secret_key": f"sk-lf-{name}-{run}"}]}
        for name in SDKS
        for run in RUNS
    ]
    keys = directory / "keys.yaml"
    keys.write_text(json.dumps({"projects": projects}))
    sets = {
        "extensions.api_keys.file": keys,
        "service.extensions": "[health_check, api_keys]",
        "receivers.langfuse.media.directory": directory / "media",
    }
    process = CollectorProcess(directory, sets).start()
    yield process
    assert process.stop() == 0, process.log


def rows(collector: CollectorProcess, table: str, project: str, at_least: int) -> dict[str, dict[str, Any]]:
    """The rows of a project by id, once there are enough."""
    found = collector.wait_for_rows(f"SELECT * FROM {table} WHERE project_id = ?", project, at_least=at_least)
    return {row["id"]: row for row in found}


def check(collector: CollectorProcess, sdk: Sdk, project: str, told: dict[str, Any]) -> None:
    """Everything is there, once, as it was said."""
    assert told["auth"] is True
    # A row may be there before its last update.
    wait_until(lambda: collector.metric("openfuse_pipeline_queued_items") == 0, lambda: collector.log, 60)
    trace = (check_legacy if sdk.legacy else check_spans)(collector, project, told)
    assert (trace["name"], trace["user_id"], trace["session_id"]) == ("chat", "u", "s")
    assert json.loads(trace["tags"]) == ["a", "b"] and trace["public"] == 1
    assert json.loads(trace["output"]) == {"a": 1}
    assert "@@@langfuseMedia:type=image/png|id=" in trace["metadata"]
    media = collector.directory / "media" / f"project-{project}"
    files = [path for path in media.iterdir() if len(path.name) == 22]
    assert [path.read_bytes() for path in files] == [IMAGE]
    assert files[0].name in trace["metadata"]


def check_legacy(collector: CollectorProcess, project: str, told: dict[str, Any]) -> dict[str, Any]:
    observations = rows(collector, "observations", project, 4)
    assert {id: row["type"] for id, row in observations.items()} == LEGACY_KINDS
    assert {row["trace_id"] for row in observations.values()} == {"trace-1"}
    generation = observations["generation-1"]
    assert generation["parent_observation_id"] == "span-1" and generation["provided_model_name"] == "gpt-4o"
    usage = json.loads(generation["usage_details"])
    assert (usage["input"], usage["output"], usage["total"]) == (3, 4, 7)
    assert generation["total_cost"] == 0.5 and json.loads(generation["output"])["text"].startswith("done")
    assert observations["span-1"]["output"] == "out" and observations["event-1"]["level"] == "WARNING"
    scores = rows(collector, "scores", project, 2)
    assert scores["score-1"]["value"] == 0.9 and scores["score-2"]["string_value"] == "good"
    return rows(collector, "traces", project, 1)["trace-1"]


def check_spans(collector: CollectorProcess, project: str, told: dict[str, Any]) -> dict[str, Any]:
    expected = {told["root"]: "SPAN", **{id: kind.upper() for kind, id in told["observations"].items()}}
    observations = rows(collector, "observations", project, len(expected))
    assert {id: row["type"] for id, row in observations.items()} == expected
    assert {row["environment"] for row in observations.values()} == {"prod"}
    assert told["observations"].keys() == KINDS
    for kind, id in told["observations"].items():
        row = observations[id]
        assert (row["trace_id"], row["parent_observation_id"], row["name"]) == (told["trace"], told["root"], kind)
        assert (row["input"], json.loads(row["output"])) == (f"{kind} in", {"text": f"{kind} out"})
        if kind != "event":
            assert (row["level"], row["status_message"], row["version"]) == ("WARNING", "careful", "2")
    generation = observations[told["observations"]["generation"]]
    assert json.loads(generation["usage_details"]) == {"input": 3, "output": 4, "total": 7}
    assert (generation["provided_model_name"], generation["total_cost"]) == ("gpt-4o", 0.5)
    assert json.loads(generation["model_parameters"]) == {"temperature": 0.5}
    assert generation["completion_start_time"] >= generation["start_time"]
    scores = rows(collector, "scores", project, len(KINDS) + 1)
    assert len(scores) == len(KINDS) + 1
    for kind in KINDS - {"event"}:
        score = scores[f"{told['trace']}-{kind}"]
        assert (score["observation_id"], score["value"]) == (told["observations"][kind], 0.5)
    assert scores[f"{told['trace']}-trace"]["string_value"] == "good"
    session = scores[f"{told['trace']}-session"]
    assert (session["session_id"], session["string_value"], session["comment"]) == ("s", "True", "ok")
    return rows(collector, "traces", project, 1)[told["trace"]]


@every_sdk
async def test_everything_an_sdk_says_is_in_the_store(shared_collector: CollectorProcess, name: str) -> None:
    sdk, project = SDKS[name], f"{name}-plain"
    told = await sdk.run(shared_collector.http_endpoint, project)
    assert told.get("version", sdk.version).startswith(sdk.version)
    check(shared_collector, sdk, project, told)


BAD = {"python-2": Sdk("python_v2_bad.py", "2.60.10"), "javascript-3": SDKS["javascript-3"]}


@pytest.mark.parametrize("name", ["python-2", pytest.param("javascript-3", marks=pytest.mark.node)])
async def test_a_batch_sent_again_for_one_bad_event_doubles_nothing(
    shared_collector: CollectorProcess, name: str
) -> None:
    """Both SDKs answer a 207 with an error in it by sending the whole batch again."""
    project = f"{name}-bad"
    before = shared_collector.metric("openfuse_receiver_rejected_events_total")
    await BAD[name].run(shared_collector.http_endpoint, project, "bad")
    assert shared_collector.metric("openfuse_receiver_rejected_events_total") - before > 1
    (trace,) = rows(shared_collector, "traces", project, 1).values()
    assert (trace["id"], trace["name"]) == ("good", "n")
    assert len(shared_collector.query("SELECT event_id FROM raw_events WHERE project_id = ?", project)) == 1


NOT_REPEATED = {
    ("javascript-3", "429"): ["/media"],
    ("javascript-3", "503"): ["/media"],
    ("javascript-3", "cut"): ["/media"],
    ("javascript-3", "unanswered"): ["/media"],
    ("javascript-5", "cut"): ["/media", "/ingestion"],
    ("javascript-5", "unanswered"): ["/media", "/ingestion"],
}
"""What an SDK itself gives up at the first failure of that kind, see docs/langfuse-api.md: those calls are not spoiled."""
OFTEN = {("python-5", "429"), ("javascript-3", "429"), ("javascript-5", "503")}


def fault_runs() -> Iterator[Any]:
    for name in SDKS:
        for fault in RUNS[2:]:
            marks = [pytest.mark.node] if name.startswith("javascript") else []
            marks += [] if (name, fault) in OFTEN else [pytest.mark.long]
            yield pytest.param(name, fault, marks=marks)


@pytest.mark.parametrize(("name", "fault"), list(fault_runs()))
async def test_calls_that_fail_at_first_lose_and_double_nothing(
    shared_collector: CollectorProcess, name: str, fault: str
) -> None:
    """The first call of each kind is refused, or cut off, or carried out but not answered until the SDK's patience ends."""
    sdk, project = SDKS[name], f"{name}-{fault}"
    spared = NOT_REPEATED.get((name, fault), ())
    async with front_of(shared_collector.http_endpoint, fault, times=1, spared=spared) as front:
        told = await sdk.run(front.url, project, patience=3 if fault == "unanswered" else PATIENCE)
    assert front.met.total() >= (1 if sdk.legacy else 2) - len(spared) // 2
    check(shared_collector, sdk, project, told)
    raw = shared_collector.query("SELECT entity_id, event_id FROM raw_events WHERE project_id = ?", project)
    assert len({(row["entity_id"], row["event_id"]) for row in raw}) == len(raw)

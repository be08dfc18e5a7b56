"""Every program in examples/ against a real collector: what it sends is in the store, typed, with model and tokens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.collector_process import CollectorProcess

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LIBRARIES = {"support_agent.py"}
"""Files there that other examples import."""


@dataclass(frozen=True)
class Expected:
    """What an example needs, and what it must leave in the store: `types` of all observations, sorted."""

    needs: tuple[str, ...]
    types: tuple[str, ...]
    models: frozenset[str]
    input_tokens: int
    output_tokens: int
    user: str | None = None
    session: str | None = None


AGENT_TYPES = ("AGENT", "GENERATION", "GENERATION", "GENERATION", "RETRIEVER", "TOOL", "TOOL")
AGENT_MODELS = frozenset(("gpt-4o-mini-2024-07-18",))

EXPECTED = {
    "otel_sdk_grpc.py": Expected(
        ("opentelemetry.exporter.otlp.proto.grpc",),
        AGENT_TYPES,
        AGENT_MODELS,
        412 + 466 + 521,
        19 + 17 + 34,
        "ada",
        "session-7",
    ),
    "otel_sdk_http.py": Expected(
        ("opentelemetry.exporter.otlp.proto.http",),
        AGENT_TYPES,
        AGENT_MODELS,
        412 + 466 + 521,
        19 + 17 + 34,
        "ada",
        "session-7",
    ),
    "langfuse_sdk.py": Expected(
        ("langfuse",), ("AGENT", "GENERATION", "TOOL"), frozenset(("claude-sonnet-4-5",)), 148, 23
    ),
    "openinference_openai.py": Expected(
        ("openinference.instrumentation.openai", "openai"),
        ("CHAIN", "GENERATION"),
        frozenset(("gpt-4o-mini-2024-07-18",)),
        24,
        2,
        session="geography",
    ),
}


def is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def run_example(name: str, collector: CollectorProcess) -> str:
    """Run it against the collector; gives the trace id it prints."""
    grpc = name == "otel_sdk_grpc.py"
    addresses = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.grpc_endpoint if grpc else collector.http_endpoint,
        "LANGFUSE_HOST": collector.http_endpoint,
    }
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LANGFUSE_", "OPENAI_"))
    }
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        env={**inherited, **addresses},
        cwd=collector.directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split()[1].rstrip(":")


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} - LIBRARIES == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str, collector: CollectorProcess) -> None:
    expected = EXPECTED[name]
    missing = [module for module in expected.needs if not is_installed(module)]
    if missing:
        pytest.skip(f"{name} needs {', '.join(missing)}: pip install -r examples/requirements.txt")
    trace_id = run_example(name, collector)
    rows = collector.wait_for_rows(
        "SELECT * FROM observations WHERE trace_id = ?", trace_id, at_least=len(expected.types)
    )
    assert tuple(sorted(row["type"] for row in rows)) == expected.types
    generations = [row for row in rows if row["type"] == "GENERATION"]
    assert {row["provided_model_name"] for row in generations} == expected.models
    usage = [json.loads(row["usage_details"]) for row in generations]
    assert sum(counts["input"] for counts in usage) == expected.input_tokens
    assert sum(counts["output"] for counts in usage) == expected.output_tokens
    assert all(row["input"] and row["output"] for row in generations)
    (trace,) = collector.wait_for_rows("SELECT * FROM traces WHERE id = ? AND name != ''", trace_id)
    assert (trace["user_id"], trace["session_id"]) == (expected.user, expected.session)
    parents = {row["parent_observation_id"] for row in rows} - {None}
    assert parents <= {row["id"] for row in rows}


def test_a_failed_tool_is_an_error(collector: CollectorProcess) -> None:
    trace_id = run_example("otel_sdk_http.py", collector)
    (failed,) = collector.wait_for_rows("SELECT * FROM observations WHERE trace_id = ? AND level = 'ERROR'", trace_id)
    assert (failed["type"], failed["status_message"]) == ("TOOL", "no order B-7")


def test_the_terminal_shows_what_an_example_sent(collector: CollectorProcess) -> None:
    trace_id = run_example("otel_sdk_http.py", collector)
    collector.wait_for_rows("SELECT id FROM observations WHERE trace_id = ?", trace_id, at_least=len(AGENT_TYPES))
    collector.wait_for_rows("SELECT id FROM traces WHERE id = ? AND name != ''", trace_id)
    for arguments, facts in (
        ([], (trace_id[:16], "ada", "1 error")),
        (
            [trace_id[:8]],
            ("look_up_order", "gpt-4o-mini-2024-07-18", "412→19", "no order B-7", "user: Where is my"),
        ),
    ):
        command = [sys.executable, "-m", "openfuse_collector", "traces", "--store", str(collector.store), *arguments]
        shown = subprocess.run(
            command, capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "utf-8"}
        )
        assert all(fact in shown.stdout.decode() for fact in facts), shown.stdout.decode()

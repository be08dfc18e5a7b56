"""Recorded telemetry of libraries that send content as logs: whichever signal comes first, and that the content is there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from openfuse_collector.events.event import Event
from openfuse_collector.mapping import map_logs, map_traces
from openfuse_collector.pdata import otlp_json, otlp_protobuf
from openfuse_collector.pdata.forms import LOGS, TRACES, Form
from openfuse_collector.signals import Origin, Signal
from tests.mapping.log_requests import rows_of

CORPUS = Path(os.environ.get("OPENFUSE_SHARED", Path(__file__).parents[3] / "shared")) / "corpus"
BY_LOGS_ALONE = re.compile(r"py-(otel-botocore|semantic-kernel|traceloop-openai|pydantic-ai-0)")
"""Libraries whose spans hold no messages in these scenarios."""

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no shared corpus at {CORPUS}"),
]
SCENARIOS = sorted({file.parent for file in CORPUS.glob("*/*/*.logs.*")})


def requests(scenario: Path, form: Form) -> list[Any]:
    """The recorded exports of a signal."""
    files = sorted(scenario.glob(f"*.{form.signal}.*"))
    decoders = {".json": otlp_json.decode, ".pb": otlp_protobuf.decode}
    return [decoders[file.suffix](file.read_bytes(), form).request for file in files]


def events(scenario: Path) -> tuple[list[Event], list[Event]]:
    """Events of observations: from spans, from log records."""
    origin = Origin(Signal.TRACES, "otlp", 1_795_000_000_000_000_000)
    of_spans = [event for one in requests(scenario, TRACES) for event in map_traces(one, origin).events]
    of_logs = [event for one in requests(scenario, LOGS) for event in map_logs(one, origin).events]
    return [event for event in of_spans if event.entity.type == "observation"], of_logs


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_content_joins_from_either_side(scenario: Path) -> None:
    of_spans, of_logs = events(scenario)
    rows = rows_of([*of_spans, *of_logs])
    assert rows == rows_of([*of_logs[::-1], *of_spans])
    alone = rows_of(of_spans)
    for entity in {event.entity for event in of_logs}:
        assert rows[entity]["input"]
        for side in ("input", "output"):
            before = alone[entity][side] or ""
            assert rows[entity][side] == before or not before or before.startswith('{"tools":')
    if BY_LOGS_ALONE.match(scenario.parent.name):
        assert of_logs and any(rows[event.entity]["input"] != alone[event.entity]["input"] for event in of_logs)
        assert "error" in scenario.name or any(rows[e.entity]["output"] or "stream" in scenario.name for e in of_logs)

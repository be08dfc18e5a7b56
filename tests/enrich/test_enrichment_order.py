"""The order of enrichment: that of docs/fold.md, whatever is configured; and that steps leave what events hold alone."""

from __future__ import annotations

import copy
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from openfuse_collector import enrich as package
from openfuse_collector.enrich import enrichment
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.event import Entity, Event

PAGE = Path(__file__).parents[2] / "docs" / "fold.md"
STEPS = ("assemble_log_events", "extract_tools", "usage_total", "price", "fill_unrecorded", "leave_out_of_sums")


def test_steps_run_in_the_documented_order(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def step(name: str, record: dict[str, Any], **_: Any) -> dict[str, Any]:
        ran.append(name)
        return record

    for name in STEPS:
        monkeypatch.setattr(package, name, partial(step, name.removesuffix("_log_events")))
    slots = {name: partial(step, name) for name in ("assemble", "tokenise", "inflate")}
    enriched = enrichment(**slots)
    documented = re.findall(r"^\| \d \| `(\w+)`", PAGE.read_text(), re.MULTILINE)
    for entity_type in ("observation", "score", "trace"):
        enriched(entity_type, {})
    assert ran == [*documented, "inflate"]


def test_events_are_as_they_were_after_their_record_is_enriched() -> None:
    body = {
        "id": "o",
        "traceId": "t",
        "model": "gpt-4o",
        "usageDetails": {"input": 10, "output": 2},
        "metadata": {"tools": [{"name": "find", "parameters": {}}], "a": {"b": 1}},
        "input": {"messages": [{"role": "user", "content": "?"}]},
        "output": {"tool_calls": [{"id": "1", "function": {"name": "find", "arguments": "{}"}}]},
    }
    event = Event(Entity("p", "observation", "o"), "e", "generation-create", "2026-11-21T06:00:00Z", body, 1)
    before = copy.deepcopy(body)
    accumulator = Accumulator.of([event])
    enriched = enrichment(package.Catalogue())
    first = enriched("observation", accumulator.record() or {})
    assert first["tool_call_names"] == ["find"] and first["total_cost"] > 0 and first["usage_details"]["total"] == 12
    assert event.body == before
    assert enriched("observation", accumulator.record() or {}) == first

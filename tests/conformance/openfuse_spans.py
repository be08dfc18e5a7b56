"""Judges of Openfuse's cases about OTLP: what spans become (spec/openfuse.md 5)."""

from __future__ import annotations

from typing import Any

from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.connectors.genai.connector import GenAIConnector
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.event import Event
from openfuse_collector.signals import Signal
from tests.builders import batch, item, settings
from tests.conformance.outcomes import Case, Difference, Judge, differing
from tests.mapping.span_requests import CHILD, END, ROOT, START, TRACE, mapped, observation, request, span

FULL, SHALLOW, OBSERVATION = "trace-create(full)", "trace-create(shallow: id,timestamp,environment)", "span-create"


def otel(case: Case) -> list[Difference]:
    """One case of the group."""
    judge: Judge = _JUDGES[case["name"]]
    return judge(case)


def _kinds(events: list[Event]) -> list[str]:
    """Traces first. A trace event is shallow when it says nothing but that there is a trace."""
    traces = [SHALLOW if event.shallow else FULL for event in events if event.entity.type == "trace"]
    return [*traces, *(OBSERVATION for event in events if event.entity.type == "observation")]


def _announced(case: Case) -> list[Difference]:
    """`seen`: the connector has announced the trace in an earlier request."""
    is_root, seen = case["input"]["span"]["root"], case["input"]["seen"]
    connector = GenAIConnector(settings("genai"), GenAIConfig())
    earlier = request(span(span_id="00f067aa0ba902b8", parent=ROOT))
    later = request(span(span_id=ROOT if is_root else CHILD, parent="" if is_root else ROOT))
    for one in [earlier, later] if seen else [later]:
        converted = connector.convert(batch(item(one, signal=Signal.TRACES), signal=Signal.TRACES))
    events = [event for each in converted.items for event in each.data]
    shallow = [event for event in events if event.shallow]
    found = differing(events=(case["expect"]["events"], _kinds(events)))
    return found + [
        d for event in shallow for d in differing(body=({"id", "timestamp", "environment"}, set(event.body)))
    ]


def _one_trace(case: Case) -> list[Difference]:
    events, _ = mapped(span(span_id=CHILD, parent=ROOT), span(span_id=ROOT))
    return differing(creates=(case["expect"]["trace_creates"], sum(event.entity.type == "trace" for event in events)))


def _usage(case: Case) -> list[Difference]:
    usage = {f"gen_ai.usage.{key}": units for key, units in case["input"]["gen_ai.usage"].items()}
    return differing(usage=(case["expect"]["usageDetails"], observation(usage).body["usageDetails"]))


def _times(case: Case) -> list[Difference]:
    made = observation(of={"start": case["input"]["start"] or 0, "end": case["input"]["end"]}).body
    wanted = case["expect"]
    return differing(**{key: (wanted[key][:19], made[key][:19]) for key in ("startTime", "endTime")})


def _environment(case: Case) -> list[Difference]:
    found = [
        observation({} if value is None else {"langfuse.environment": value}).body["environment"]
        for value in case["input"]["values"]
    ]
    return differing(environments=(case["expect"]["environments"], found))


def _status(case: Case) -> list[Difference]:
    made = observation(of={"error": case["input"]["message"]}).body
    return differing(**{key: (value, made[key]) for key, value in case["expect"].items()})


def _metadata(case: Case) -> list[Difference]:
    asked, expected = case["input"], case["expect"]
    metadata: dict[str, Any] = observation(asked["attrs"], scope=asked["scope"], resource=asked["resource"]).body[
        "metadata"
    ]
    attribute = metadata["attributes"]["a"]
    return differing(
        keys=(set(expected["metadata_keys"]), set(metadata) & set(expected["metadata_keys"])),
        attribute=(expected["attributes.a"], str(attribute)),
    )


def _late_root(case: Case) -> list[Difference]:
    """That the store has one row is judged with the store."""
    (child,), (root,) = case["input"]["batches"]
    at = [START + one * 1_000_000 for one in (child["child_start"], root["root_start"])]
    events = [
        event
        for one in (
            span(span_id=CHILD, parent=ROOT, start=at[0], end=END + 10**10),
            span(start=at[1], end=END + 10**10),
        )
        for event in mapped(one).events
        if event.entity.type == "trace"
    ]
    record = Accumulator.of(events).record() or {}
    moved = record["timestamp"] - START // 1_000_000
    return differing(
        timestamp=(case["expect"]["final_trace_timestamp"], moved), traces=({TRACE}, {e.entity.id for e in events})
    )


def _retried(case: Case) -> list[Difference]:
    once, again = (mapped(span({"a": 1}), span(span_id=CHILD, parent=ROOT)).events for _ in range(2))
    return differing(event_ids=([event.id for event in once], [event.id for event in again]))


_JUDGES: dict[str, Judge] = {
    "non-root unseen trace is shallow": _announced,
    "non-root seen trace": _announced,
    "root always full trace": _announced,
    "shallow removed when full in batch": _one_trace,
    "cache usage normalised": _usage,
    "missing edge timestamps": _times,
    "environment normalised": _environment,
    "status error": _status,
    "metadata blob keys": _metadata,
    "late root moves trace time": _late_root,
    "retry idempotent": _retried,
}

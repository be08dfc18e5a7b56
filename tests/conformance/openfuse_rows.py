"""Judges of Openfuse's cases about raw events and the fold (conformance/openfuse_cases.json, spec/openfuse.md 2 and 3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

from openfuse_collector.enrich import enrich
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.columns import MERGES, Merge
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.metadata import metadata_record
from openfuse_collector.events.order import order_key
from openfuse_collector.events.reference import overwrite
from openfuse_collector.events.rows import metadata_strings, raw_row, row
from openfuse_collector.receivers.langfuse.ingestion import accept
from openfuse_collector.receivers.langfuse.schemas.bodies import BODIES, ENTITY_OF
from openfuse_collector.receivers.langfuse.schemas.envelope import read_envelope
from tests.conformance.outcomes import Case, Difference, Judge, differing

STAMP = "2026-01-15T12:00:00.000Z"
Record = dict[str, Any]


def stamp(millis: int) -> str:
    """Epoch milliseconds as an envelope has them."""
    return datetime.fromtimestamp(millis / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{millis % 1000:03d}Z"


def said(kind: str, type_: str, at: str = STAMP, arrived: int = 1000, id: str = "e1", **body: Any) -> Event:
    """An event about the one entity of a case."""
    return Event(Entity("p1", kind, "x"), id, type_, at, {"id": "x", **body}, arrived)


def folded(*events: Event) -> Record:
    """The record of events; of none that say anything, an empty one."""
    return Accumulator.of(events).record() or {}


def stored(event: Event) -> Record:
    """The row of an entity with that one event."""
    return dict(row(event.entity.type, enrich(event.entity.type, folded(event))))


def read(type_: str, **body: Any) -> Event:
    """An event as the API takes it, its body in normal form."""
    envelope = read_envelope({"id": "e1", "timestamp": STAMP, "type": type_, "body": {"id": "x", **body}})
    assert not isinstance(envelope, list), envelope
    return Event(Entity("p1", ENTITY_OF[type_], "x"), "e1", type_, envelope.timestamp, envelope.body, 1000)


def raw_event_mapping(case: Case) -> list[Difference]:
    """Columns of raw_events."""
    asked, expected = case["input"], case["expect"]
    if "types" in asked:
        found = {type_: ENTITY_OF[type_] for type_ in asked["types"] if type_ in ENTITY_OF}
        wanted = dict(zip(asked["types"], expected["entity_types"], strict=True))
        kept = {type_ for type_ in BODIES if type_ not in ENTITY_OF}
        return differing(types=({type_: wanted[type_] for type_ in found}, found), not_stored=({"sdk-log"}, kept))
    if "events" in asked:
        events = [_in_request(text) for text in asked["events"]]
        made = accept(events, "p1", asked["now"] * 1_000_000).events
        return differing(
            order=(expected["order"], [event.id for event in made]),
            ingested_at=(expected["ingested_at"], [event.ingested_at for event in made]),
        )
    event = asked["event"]
    arrived = asked.get("ingested_at", 1000)
    entity = Entity(asked.get("project", "p1"), ENTITY_OF[event["type"]], event["body"]["id"])
    made_row = raw_row(Event(entity, event["id"], event["type"], event["timestamp"], event["body"], arrived))
    names = ("ingested_at", "project_id", "entity_type", "entity_id", "event_id", "event_type", "event_ts", "body")
    found = dict(zip(names, made_row, strict=True))
    columns = {name: value for name, value in expected.items() if name in names}
    return differing(row=(columns, {name: found[name] for name in columns}), body=(event, json.loads(found["body"])))


def _in_request(text: str) -> Record:
    """`u2(update ts=3)` as an element of a batch."""
    id, _, rest = text.partition("(")
    verb, _, at = rest.rstrip(")").partition(" ts=")
    body = {"id": "one", "traceId": "t"}
    return {"id": id, "type": f"span-{verb}", "timestamp": f"2026-01-15T12:00:0{at}.000Z", "body": body}


def history_parse(case: Case) -> list[Difference]:
    """What the raw events of an entity amount to."""
    asked, expected = case["input"], case["expect"]
    if "rows_a" in asked:
        generations = [Accumulator.of(_history(asked[key])).generation() for key in ("rows_a", "rows_b")]
        return differing(generations=([expected["generation_a"], expected["generation_b"]], generations))
    if isinstance(asked["rows"], str):  # 5000 distinct live events at ms 7
        events = [said("trace", "trace-create", arrived=7, id=f"e{n}") for n in range(5000)]
        return differing(generation=(expected["generation"], Accumulator.of(events).generation()))
    accumulator = Accumulator.of(_history(asked["rows"]))
    record = accumulator.record()
    if not expected.get("live_events", 1):
        return differing(record=(None, record))
    assert record is not None
    arrivals = [one["ingested_at"] for one in asked["rows"]]
    distinct = {one["event_id"]: one for one in reversed(asked["rows"])}
    found = differing(
        deleted=(expected["deleted"], record["is_deleted"]), created_at=(min(arrivals), record["created_at"])
    )
    if "event_names" in expected:
        found += differing(
            names=(expected["event_names"][-1], record["name"]),
            events=(set(distinct), set(accumulator.event_ids)),
            generation=(expected["generation"], accumulator.generation()),
            updated_at=(expected["max_ingested_at"], record["updated_at"]),
        )
    return found


def _history(rows: list[Record]) -> list[Event]:
    return [said("trace", r["event_type"], arrived=r["ingested_at"], id=r["event_id"], **r["body"]) for r in rows]


def sort(case: Case) -> list[Difference]:
    """The order in which events are laid over each other."""
    facts = case["input"].get("events")
    if facts is None:  # any permutation of the deduplicated set
        events = [
            said("trace", "trace-create", stamp(n // 2), n, f"e{n}", name=f"n{n}", metadata={f"k{n}": n})
            for n in range(4)
        ]
        records = {json.dumps(folded(*some)) for some in permutations([*events, events[1]])}
        return differing(snapshots=(1, len(records)))
    events = [
        said(
            "observation",
            one["type"].replace("observation", "span"),
            stamp(one["timestamp"]),
            one.get("ingested_at", n),
            one.get("event_id", f"e{n}"),
        )
        for n, one in enumerate(facts)
    ]
    order = sorted(range(len(events)), key=lambda n: order_key(events[n]))
    wanted = case["expect"]["order"]
    return differing(order=(wanted, order if isinstance(wanted[0], int) else [events[n].id for n in order]))


def overwrite_merge(case: Case) -> list[Difference]:
    """One record over another, and what a single event writes."""
    asked = case["input"]
    if "a" in asked:
        return _overwritten(case)
    judge: Callable[[Case], list[Difference]] = _SINGLE[case["name"]]
    return judge(case)


def _overwritten(case: Case) -> list[Difference]:
    """Our events hold no empty maps and no null for tags and metadata: that is how "empty keeps" comes about."""
    asked, expected = case["input"], case["expect"]
    merges = {**MERGES["trace"], **dict.fromkeys(asked.get("immutable", ()), Merge.FIRST)}
    state = {key: value for key, value in asked["a"].items() if (key, value) != ("metadata", None)}
    overwrite(state, {key: value for key, value in asked["b"].items() if value != {}}, merges)
    state.setdefault("metadata", {})
    if "tags" in state:
        state["tags"] = sorted(set(state["tags"]))
    return differing(record=(expected, {key: state[key] for key in expected}))


def _literals(case: Case) -> list[Difference]:
    found = [metadata_strings(metadata_record(value)) for value in case["input"]["metadata"]]
    return differing(records=(case["expect"]["records"], found))


def _last_truthy(case: Case) -> list[Difference]:
    events = [
        said("observation", "span-update", stamp(n), n, f"e{n}", **io)
        for n, io in enumerate(case["input"]["events_io"])
    ]
    record = folded(*events)
    return differing(io=(case["expect"], {side: record[side] for side in ("input", "output")}))


def _end_before_start(case: Case) -> list[Difference]:
    times = {"startTime": stamp(case["input"]["start_time"]), "endTime": stamp(case["input"]["end_time"])}
    return differing(end=(case["expect"]["end_time"], folded(said("observation", "span-create", **times))["end_time"]))


def _level(case: Case) -> list[Difference]:
    return differing(level=(case["expect"]["level"], folded(said("observation", "span-create", level=None))["level"]))


def _usage(case: Case) -> list[Difference]:
    found = stored(read("generation-create", **case["input"]))
    return differing(**{name: (value, json.loads(found[name])) for name, value in case["expect"].items()})


_SINGLE: dict[str, Judge] = {
    "metadata literals": _literals,
    "last truthy io": _last_truthy,
    "end before start": _end_before_start,
    "level default": _level,
    "usage legacy total": _usage,
    "usageDetails suppress derived total": _usage,
}

"""Spans and their log records in any order, any requests, with any restarts: the rows are the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openfuse_collector.events.event import Entity, Event
from openfuse_collector.mapping import map_logs, map_traces
from openfuse_collector.signals import Origin, Signal
from tests.mapping.log_requests import logs_request, record, rows_of
from tests.mapping.span_requests import CHILD, ROOT, START, request, span

MESSAGES = [f"gen_ai.{role}.message" for role in ("system", "user", "assistant", "tool")]
bodies = st.one_of(
    st.fixed_dictionaries({"content": st.sampled_from(("a", "ü", [{"text": "b"}], {"deep": [{"c": None}]}))}),
    st.sampled_from(("plain", '{"content": "json"}', ["list"])),
)
details = st.fixed_dictionaries(
    {},
    optional={
        "gen_ai.input.messages": st.sampled_from(('[{"role":"user"}]', [{"role": "user", "content": "x"}])),
        "gen_ai.output.messages": st.sampled_from(("[1]", [{"role": "assistant"}])),
        "gen_ai.system_instructions": st.just("be brief"),
        "gen_ai.tool.definitions": st.just('[{"name":"t"}]'),
    },
)
indexes = st.sampled_from(({}, {"gen_ai.message.index": 0}, {"gen_ai.message.index": 1}))
times = st.sampled_from((0, START - 1, START, START + 1))
records = st.one_of(
    st.builds(
        lambda name, body, attributes, time, id_: record(name, body, attributes, time=time, observed=7, span_id=id_),
        st.sampled_from((*MESSAGES, "gen_ai.choice", "unrelated")),
        bodies,
        indexes,
        times,
        st.sampled_from((ROOT, CHILD, "")),
    ),
    st.builds(lambda given, time: record("", "", given, time=time, observed=7, span_id=CHILD), details, times),
)
spans = st.lists(
    st.sampled_from(
        (
            span({"gen_ai.operation.name": "chat"}),
            span({"gen_ai.operation.name": "chat"}, span_id=CHILD, parent=ROOT, name="child"),
            span({"gen_ai.input.messages": '[{"role":"user"}]', "gen_ai.tool.definitions": '[{"name":"t"}]'}),
        )
    ),
    max_size=2,
    unique_by=lambda one: one.span_id,
)


def events_of(spans: list[Any], records: list[Any], split: bool) -> list[Event]:
    """The events of all of it, in one request each or in as many as there are items."""
    at = 1_795_000_009_000_000_000
    groups = [[one] for one in records] if split else [records]
    events = [event for one in spans for event in map_traces(request(one), Origin(Signal.TRACES, "otlp", at)).events]
    for group in groups:
        events += map_logs(logs_request(*group), Origin(Signal.LOGS, "otlp", at)).events
    return events


def as_bytes(rows: dict[Entity, dict[str, Any]]) -> dict[Entity, bytes]:
    """Rows without what says when they came."""
    volatile = ("created_at", "updated_at", "eav_generation")
    return {
        entity: msgspec.json.encode({column: value for column, value in row.items() if column not in volatile})
        for entity, row in rows.items()
    }


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spans=spans, records=st.lists(records, max_size=8), data=st.data())
def test_any_interleaving_gives_the_same_rows(spans: list[Any], records: list[Any], data: st.DataObject) -> None:
    expected = as_bytes(rows_of(events_of(spans, records, split=False)))
    again = data.draw(st.permutations(events_of(spans, records, split=True) * 2))
    restarts = data.draw(st.frozensets(st.integers(0, max(0, len(again) - 1)), max_size=4))
    assert as_bytes(rows_of(again, restarts)) == expected


def test_records_whose_span_never_comes_make_a_sensible_observation() -> None:
    late, early = (record("gen_ai.user.message", "hi", time=START + more) for more in (2_000_000_000, 0))
    ((entity, row),) = rows_of(map_logs(logs_request(late, early), Origin(Signal.LOGS, "otlp", 1)).events).items()
    assert (entity.type, row["type"], row["level"], row["name"]) == ("observation", "SPAN", "DEFAULT", None)
    assert (row["start_time"], row["end_time"], row["environment"]) == (START // 10**6, None, "default")
    assert [message["content"] for message in json.loads(row["input"])] == ["hi", "hi"]


def test_a_span_that_comes_later_says_what_it_is() -> None:
    joined = map_logs(
        logs_request(record("gen_ai.user.message", "hi", time=START - 10**9)), Origin(Signal.LOGS, "o", 1)
    )
    of_span = map_traces(request(span({"gen_ai.operation.name": "chat"}, name="call")), Origin(Signal.TRACES, "o", 2))
    rows = rows_of([*joined.events, *of_span.events])
    row = next(row for entity, row in rows.items() if entity.type == "observation")
    assert (row["type"], row["name"], row["start_time"]) == ("GENERATION", "call", START // 10**6)
    assert json.loads(row["input"]) == [{"role": "user", "content": "hi"}]

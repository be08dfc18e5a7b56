"""Log records to events: which ones join an observation, what the update says, and that it depends on content alone."""

from __future__ import annotations

from typing import Any

import pytest

from openfuse_collector.mapping import MAPPING_VERSION, MappedLogs, map_logs
from openfuse_collector.mapping.timestamps import iso_nanoseconds
from openfuse_collector.signals import Origin, Signal
from tests.mapping.log_requests import LOGS_ORIGIN, logs_request, record
from tests.mapping.span_requests import CHILD, ROOT, START, TRACE

USER, CHOICE, DETAILS = "gen_ai.user.message", "gen_ai.choice", "gen_ai.client.inference.operation.details"
HELLO = {"content": "hello"}


def mapped(*records: Any, origin: Origin = LOGS_ORIGIN, **around: Any) -> MappedLogs:
    """What becomes of records."""
    return map_logs(logs_request(*records, **around), origin)


def kept(*records: Any) -> tuple[str, dict[str, Any]]:
    """Key and entry of the only record that is kept."""
    (event,) = mapped(*records).events
    ((key, entry),) = event.body["metadata"]["gen_ai.log_events"].items()
    return key, entry


def test_the_update_says_nothing_but_the_record() -> None:
    (event,), failures, filtered = mapped(record(USER, HELLO, {"gen_ai.system": "openai"}))
    assert (failures, filtered) == ([], 0)
    assert event.entity == ("default", "observation", ROOT)
    assert (event.type, event.timestamp) == ("observation-update", iso_nanoseconds(START + 1000))
    digest = event.metadata["source"]
    assert event.metadata == {"source": digest, "mapping": MAPPING_VERSION}
    entry = {"name": USER, "body": HELLO, "attributes": {"gen_ai.system": "openai"}}
    assert event.body == {
        "id": ROOT,
        "traceId": TRACE,
        "metadata": {"gen_ai.log_events": {f"0{START + 1000}-{digest}": entry}},
    }


@pytest.mark.parametrize(
    "one",
    [
        record(USER, HELLO),
        record("", HELLO, {"event.name": USER}),
        record("", HELLO, {"event_name": USER}),
        record(USER, '{"content": "hello"}'),
        record(USER, "hello"),
        record(USER, None, {"content": "hello"}),
        record(USER, None, {"gen_ai.event.content": '{"content": "hello"}'}),
        record(USER, USER, {"gen_ai.prompt": "hello"}),
        record("gen_ai.developer.message", HELLO),
        record("gen_ai.content.prompt", HELLO),
        record("gen_ai.content.completion", {"index": 0, "message": HELLO}),
        record(CHOICE, {"index": 0, "finish_reason": "stop", "message": {"role": "assistant"}}),
        record(DETAILS, DETAILS, {"gen_ai.input.messages": [{"role": "user"}]}),
        record(DETAILS, "", {"gen_ai.system_instructions": "be brief"}),
        record("some.event.of.tomorrow", None, {"gen_ai.output.messages": "[1]"}),
        record("", "a line", {"gen_ai.tool.call.result": {"r": 1}}),
    ],
)
def test_records_with_content_are_kept(one: Any) -> None:
    assert kept(one)[1]


@pytest.mark.parametrize(
    "one",
    [
        record(USER, HELLO, span_id=""),
        record(USER, HELLO, span_id="0" * 16),
        record(USER, HELLO, trace_id=""),
        record(USER, HELLO, trace_id="0" * 32),
        record("", "GET / 200"),
        record("http.request", {"content": "hello"}),
        record("", None, {"event.name": "exception", "content": "x"}),
        record("", HELLO, {"event.name": 5}),
        record(USER),
        record(USER, ""),
        record(USER, {}),
        record(USER, USER),
        record(CHOICE, None, {"gen_ai.system": "openai"}),
        record(DETAILS, "", {"gen_ai.operation.name": "chat", "gen_ai.input.messages": ""}),
        record(DETAILS, {"content": "body of details is not content"}),
    ],
)
def test_other_records_are_filtered_and_counted(one: Any) -> None:
    assert mapped(one, record(USER, HELLO, span_id=CHILD)).filtered == 1
    assert mapped(one) == ([], [], 1)


def test_only_parts_that_are_there_are_kept() -> None:
    assert kept(record("", HELLO, {"event.name": USER}))[1] == {"name": USER, "body": HELLO}
    assert kept(record("", None, {"gen_ai.output.messages": "x"}))[1] == {"attributes": {"gen_ai.output.messages": "x"}}


@pytest.mark.parametrize(
    ("times", "key", "moment"),
    [
        ({"time": START, "observed": START + 5}, START, START),
        ({"time": 0, "observed": START}, START, START),
        ({"time": 2**64 - 1, "observed": START}, START, START),
        ({"time": 0, "observed": 0}, 0, LOGS_ORIGIN.received_at),
    ],
)
def test_times(times: dict[str, int], key: int, moment: int) -> None:
    (event,) = mapped(record(USER, HELLO, **times)).events
    (found,) = event.body["metadata"]["gen_ai.log_events"]
    assert (found[:20], event.timestamp) == (f"{key:020d}", iso_nanoseconds(moment))


def test_same_in_same_out_whoever_stands_beside_it() -> None:
    one, other = record(USER, HELLO), record(CHOICE, {"message": HELLO})
    later = Origin(Signal.LOGS, "otlp", LOGS_ORIGIN.received_at + 10**9)
    (alone,) = mapped(one).events
    beside, twice = mapped(other, one).events[1], mapped(one, origin=later).events[0]
    assert alone.id == beside.id == twice.id
    assert alone.body == beside.body == twice.body
    assert (alone.ingested_at, beside.ingested_at) == (LOGS_ORIGIN.received_at // 10**6, alone.ingested_at + 1)


def test_project_scope_and_resource_are_part_of_the_identity() -> None:
    one = record(USER, HELLO)
    elsewhere = Origin(Signal.LOGS, "otlp", LOGS_ORIGIN.received_at, "other")
    found = [mapped(one), mapped(one, scope="b"), mapped(one, resource={"a": 1}), mapped(one, origin=elsewhere)]
    assert len({result.events[0].id for result in found}) == 4


def test_a_record_that_cannot_be_mapped_leaves_its_neighbours_alone() -> None:
    """No time of its own, and a receive time no calendar knows."""
    nowhen = Origin(Signal.LOGS, "otlp", 2**70)
    timeless = record(USER, HELLO, time=0)
    events, (failure,), filtered = mapped(record("", "x"), timeless, record(USER, HELLO), origin=nowhen)
    assert (len(events), filtered) == (1, 1)
    assert failure.path == "resourceLogs[0].scopeLogs[0].logRecords[1]"
    assert failure.request == logs_request(timeless)

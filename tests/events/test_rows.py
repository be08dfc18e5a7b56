"""Rows hold scalars in the schema's order that any store can encode; raw rows hold the envelope."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openfuse_collector.enrich import enrich
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.columns import COLUMNS
from openfuse_collector.events.event import Entity, Event, decode_envelope
from openfuse_collector.events.rows import RAW_COLUMNS, metadata_strings, raw_row, row

STAMP = "2026-01-15T12:00:00.000000001Z"
KINDS = {
    "trace": "trace-create",
    "observation": "generation-create",
    "score": "score-create",
    "dataset_run_item": "dataset-run-item-create",
}


def event(kind: str, **body: Any) -> Event:
    return Event(Entity("p", kind, "e"), "ev", KINDS[kind], STAMP, {"id": "e", **body}, 7)


def row_of(kind: str, **body: Any) -> dict[str, Any]:
    record = Accumulator.of([event(kind, value=1, **body)]).record()
    assert record is not None
    return row(kind, enrich(kind, record))


@pytest.mark.parametrize("kind", KINDS)
def test_columns_and_scalars(kind: str) -> None:
    made = row_of(kind, metadata={"a": [1]}, tags=["x"])
    assert tuple(made) == COLUMNS[kind]
    assert all(value is None or type(value) in (str, int, float, bool) for value in made.values())
    assert (made["project_id"], made["id"], made["is_deleted"]) == ("p", "e", False)


def test_json_columns() -> None:
    metadata = {"text": "5", "number": 5, "null": None, "flag": True, "list": [1, "ü"], "map": {"b": 1.5, "a": []}}
    made = row_of(
        "observation", metadata=metadata, modelParameters={"t": 0.5}, usageDetails={"input": 1}, input={"ä": 1}
    )
    strings = {"text": "5", "number": "5", "null": "null", "flag": "true", "list": '[1,"ü"]', "map": '{"b":1.5,"a":[]}'}
    assert metadata_strings(metadata) == strings
    assert made["metadata"] == json.dumps(strings, ensure_ascii=False, separators=(",", ":"))
    assert (made["model_parameters"], made["usage_details"]) == ('{"t":0.5}', '{"input":1,"total":1}')
    assert made["input"] == '{"ä":1}'


def test_empty_columns_are_what_readers_need() -> None:
    trace, observation, score = row_of("trace"), row_of("observation"), row_of("score")
    assert (trace["tags"], trace["metadata"], trace["environment"]) == ("[]", "{}", "default")
    assert (trace["public"], trace["bookmarked"]) == (False, False)
    empty = {c: observation[c] for c in COLUMNS["observation"] if "details" in c or "tool" in c}
    assert set(empty.values()) == {"{}", "[]"}
    assert observation["model_parameters"] is None
    assert (score["source"], score["data_type"], score["long_string_value"]) == ("API", "NUMERIC", "")


BROKEN = "a\0b\ud800c"


def test_what_no_store_takes_is_replaced() -> None:
    odd = {BROKEN: {BROKEN: [BROKEN]}}
    made = row_of("trace", name=BROKEN, input=BROKEN, output=[BROKEN], metadata=odd, tags=[BROKEN])
    assert made["name"] == made["input"] == "a�b�c"
    for value in made.values():
        text = str(value)
        assert "\0" not in text and "\\u0000" not in text
        text.encode()
    assert json.loads(made["metadata"]) == {"a�b�c": '{"a�b�c":["a�b�c"]}'}
    body = raw_row(event("trace", name=BROKEN, metadata=odd))[-1]
    assert json.loads(body.encode())["body"]["name"] == "a�b�c"


def test_text_that_only_looks_like_an_escape_stays() -> None:
    assert json.loads(row_of("trace", metadata={"path": r"C:\u0000"})["metadata"]) == {"path": r"C:\u0000"}


def test_raw_row_is_the_event() -> None:
    made = event("observation", startTime="2026-01-15T11:00:00Z", name="ü")
    raw = dict(zip(RAW_COLUMNS, raw_row(made), strict=True))
    assert raw["event_ts"] == 1768474800000
    assert decode_envelope(made.entity, raw["body"], raw["ingested_at"]) == made
    assert raw["body"] == json.dumps(json.loads(raw["body"]), ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"startTime": "odd", "timestamp": "2026-01-15T11:00:00Z"}, 1768474800000),
        ({"startTime": 5}, 1768478400000),
    ],
)
def test_event_ts_falls_back(body: dict[str, Any], expected: int) -> None:
    assert raw_row(event("trace", **body))[6] == expected

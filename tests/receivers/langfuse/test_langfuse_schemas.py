"""Event schemas: Langfuse's recorded cases, and the rules a checkout without them can check."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langfuse_harness import NOW, cases, envelope, needs_shared

from openfuse_collector.receivers.langfuse.schemas.bodies import BODIES
from openfuse_collector.receivers.langfuse.schemas.envelope import read_envelope
from openfuse_collector.receivers.langfuse.schemas.fields import (
    Parse,
    integer,
    list_of_text,
    number,
    one_of,
    option,
    text,
)
from openfuse_collector.receivers.langfuse.schemas.issues import MISSING, sentence, type_name
from tests.conformance import api_cases

IGNORED = {"issues", "valid", "parsed", "internal", "event", "id", "name"}


def issues_of(event: Any) -> list[str]:
    """The problems with an event as `path: message`; [] when there are none."""
    read = read_envelope(event)
    return [sentence(issue) for issue in read] if isinstance(read, list) else []


def body_of(event: Any) -> dict[str, Any]:
    """The normalised body of a good event."""
    read = read_envelope(event)
    assert not isinstance(read, list), read
    return read.body


@pytest.mark.shared
@needs_shared
@pytest.mark.parametrize(
    "case", [case for case in cases("schema_validation") if not case["internal"]], ids=lambda case: case["id"]
)
def test_recorded_validation(case: dict[str, Any]) -> None:
    assert api_cases.schema_validation(case) == []


@pytest.mark.shared
@needs_shared
@pytest.mark.parametrize(
    "case", [case for case in cases("environment") if not case["internal"]], ids=lambda case: case["id"]
)
def test_recorded_environment(case: dict[str, Any]) -> None:
    assert api_cases.normalised_environment(case) == []


GOOD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "unknown keys go": (
        envelope("trace-create", {"id": "t", "bookmarked": True, "createdAt": NOW}),
        {"id": "t", "environment": "default"},
    ),
    "null stays null, absent stays absent": (
        envelope("trace-create", {"id": "t", "name": None, "tags": None}),
        {"id": "t", "name": None, "tags": None, "environment": "default"},
    ),
    "whole floats are integers": (
        envelope("generation-create", {"id": "g", "usage": {"input": 2.0}, "promptName": "p", "promptVersion": 3.0}),
        {"id": "g", "environment": "default", "usage": {"input": 2}, "promptName": "p", "promptVersion": 3},
    ),
    "OpenAI names discard the rest": (
        envelope("generation-create", {"id": "g", "usage": {"promptTokens": 1, "input": 9, "inputCost": 2}}),
        {"id": "g", "environment": "default", "usage": {"input": 1, "unit": "TOKENS"}},
    ),
    "details of OpenAI are taken out": (
        envelope(
            "generation-create",
            {
                "id": "g",
                "usageDetails": {
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "total_tokens": 15,
                    "prompt_tokens_details": {"cached_tokens": 4},
                },
            },
        ),
        {
            "id": "g",
            "environment": "default",
            "usage": None,
            "usageDetails": {"input": 6, "output": 5, "total": 15, "input_cached_tokens": 4},
        },
    ),
    "numeric text is a count but no cost": (
        envelope("tool-create", {"id": "g", "usageDetails": {"a": "12.7", "b": "x"}, "costDetails": {"c": "1"}}),
        {"id": "g", "environment": "default", "usage": None, "usageDetails": {"a": 12}},
    ),
    "legacy observations have no environment": (
        envelope("observation-update", {"id": "o", "type": "SPAN", "environment": "prod"}),
        {"id": "o", "type": "SPAN", "usage": None},
    ),
    "an empty target is none": (
        envelope("score-create", {"name": "n", "value": "a", "traceId": "", "sessionId": "s"}),
        {"name": "n", "value": "a", "traceId": "", "sessionId": "s", "environment": "default", "source": "API"},
    ),
    "an empty label is one": (
        envelope("score-create", {"name": "n", "value": "", "traceId": "t", "dataType": "CATEGORICAL"}),
        {
            "name": "n",
            "value": "",
            "traceId": "t",
            "dataType": "CATEGORICAL",
            "environment": "default",
            "source": "API",
        },
    ),
}


@pytest.mark.parametrize(("event", "body"), GOOD.values(), ids=GOOD)
def test_bodies_in_normal_form(event: dict[str, Any], body: dict[str, Any]) -> None:
    assert body_of({**event, "surplus": 1}) == body


TARGETS = "body.traceId.sessionId.datasetRunId.observationId"
BAD: dict[str, tuple[Any, list[str]]] = {
    "no object": ([], ["Invalid input: expected object, received array"]),
    "no type": ({"id": "e"}, ["type: Invalid input"]),
    "an update that does not exist": (envelope("event-update", {}), ["type: Invalid input"]),
    "a type only Langfuse itself may send": (
        envelope("dataset-run-item-create", {}),
        ["Dataset run item creation is only allowed for internal usage"],
    ),
    "everything at once, in the order of the schema": (
        {"type": "span-create", "timestamp": "2026-01-15", "body": {"level": "info", "startTime": 1, "id": ""}},
        [
            "id: Invalid input: expected string, received undefined",
            "timestamp: Invalid ISO datetime",
            "body.startTime: Invalid input: expected string, received number",
            'body.level: Invalid option: expected one of "DEBUG"|"DEFAULT"|"WARNING"|"ERROR"',
            "body.id: Too small: expected string to have >=1 characters",
        ],
    ),
    "an id that is too long and broken": (
        envelope("trace-create", {"id": "x" * 800 + "\r"}),
        [
            "body.id: Too big: expected string to have <=800 characters",
            "body.id: ID cannot contain carriage return characters",
        ],
    ),
    "characters beyond U+FFFF count twice": (
        envelope("trace-create", {"id": "t", "name": "😀" * 501}),
        ["body.name: Too big: expected string to have <=1000 characters"],
    ),
    "true is no number": (
        envelope("score-create", {"name": "n", "traceId": "t", "value": True, "dataType": "NUMERIC"}),
        ["body.value: Invalid input: expected number, received boolean"],
    ),
    "a number is no truth": (
        envelope("trace-create", {"id": "t", "public": 1}),
        ["body.public: Invalid input: expected boolean, received number"],
    ),
    "two targets": (
        envelope("score-create", {"name": "n", "traceId": "t", "sessionId": "s", "value": 1}),
        [
            f"{TARGETS}: Provide exactly one of the following: traceId (with optional observationId), sessionId or "
            "datasetRunId. ObservationId requires traceId."
        ],
    ),
    "a correction with a config": (
        envelope(
            "score-create", {"name": "n", "traceId": "t", "value": "v", "dataType": "CORRECTION", "configId": "c"}
        ),
        ["body.configId: Invalid input: expected undefined, received string"],
    ),
    "half a prompt": (
        envelope("generation-update", {"id": "g", "promptName": "p"}),
        ["body: Invalid input"],
    ),
    "no prompt rule while something else is wrong": (
        envelope("generation-update", {"id": "g", "promptName": "p", "model": 5}),
        ["body.model: Invalid input: expected string, received number"],
    ),
    "an integer JavaScript cannot hold": (
        envelope("generation-create", {"id": "g", "usage": {"input": 2**53}}),
        [f"body.usage.input: Too big: expected int to be <={2**53 - 1}"],
    ),
    "numbers in a list of a parameter": (
        envelope("generation-create", {"id": "g", "modelParameters": {"stop": [1], "n": 1}}),
        ["body.modelParameters.stop: Invalid input"],
    ),
    "a log without its log": (envelope("sdk-log", {}), ["body.log: Invalid input"]),
}


@pytest.mark.parametrize(("event", "issues"), BAD.values(), ids=BAD)
def test_issues_name_the_field(event: Any, issues: list[str]) -> None:
    assert issues_of(event) == issues


def test_a_union_says_what_each_alternative_misses() -> None:
    read = read_envelope(envelope("score-create", {"name": "n", "traceId": "t", "value": [1]}))
    assert isinstance(read, list)
    assert [[issue["expected"] for issue in errors] for errors in read[0]["errors"]] == [["string"], ["number"]]


GOOD_TIMES = [
    "2026-01-15T12:00Z",
    "2026-01-15T12:00:00.1234567891Z",
    "2024-02-29T23:59:59-14:30",
    "2026-01-15T12:00+00:00",
]
BAD_TIMES = [
    "2026-01-15T12:00:00", "2026-01-15", "2026-01-15 12:00:00Z", "2026-01-15T12:00:00+0200", "2026-01-15t12:00:00Z",
    "2026-01-15T12:00:00z", "2026-01-15T24:00:00Z", "2026-01-15T12:00:60Z", "2026-02-30T12:00:00Z", "2025-02-29T12:00:00Z",
    "2026-01-15T12:00:00.Z", "２０２６-01-15T12:00:00Z", "2026-01-15T12:00:00Z\n", "",
]  # fmt: skip


@pytest.mark.parametrize("timestamp", GOOD_TIMES)
def test_timestamps(timestamp: str) -> None:
    read = read_envelope(envelope("trace-create", {"id": "t"}, timestamp=timestamp))
    assert not isinstance(read, list) and read.timestamp == timestamp


@pytest.mark.parametrize("timestamp", BAD_TIMES)
def test_text_that_is_no_timestamp(timestamp: str) -> None:
    assert issues_of(envelope("trace-create", {"id": "t"}, timestamp=timestamp)) == ["timestamp: Invalid ISO datetime"]


# Recorded from zod 4.3.6, the validator of Langfuse.
RENDERED = {
    "absent": (
        text(),
        MISSING,
        {
            "expected": "string",
            "code": "invalid_type",
            "path": ["a"],
            "message": "Invalid input: expected string, received undefined",
        },
    ),
    "fraction": (
        integer,
        1.5,
        {
            "expected": "int",
            "format": "safeint",
            "code": "invalid_type",
            "path": ["a"],
            "message": "Invalid input: expected int, received number",
        },
    ),
    "unsafe": (
        integer,
        -(2**60),
        {
            "code": "too_small",
            "minimum": -9007199254740991,
            "note": "Integers must be within the safe integer range.",
            "origin": "int",
            "inclusive": True,
            "path": ["a"],
            "message": "Too small: expected int to be >=-9007199254740991",
        },
    ),
    "short": (
        text(least=1),
        "",
        {
            "origin": "string",
            "code": "too_small",
            "minimum": 1,
            "inclusive": True,
            "path": ["a"],
            "message": "Too small: expected string to have >=1 characters",
        },
    ),
    "option": (
        option("A", "B"),
        "x",
        {
            "code": "invalid_value",
            "values": ["A", "B"],
            "path": ["a"],
            "message": 'Invalid option: expected one of "A"|"B"',
        },
    ),
    "union": (
        one_of(text(), number),
        True,
        {
            "code": "invalid_union",
            "errors": [
                [
                    {
                        "expected": "string",
                        "code": "invalid_type",
                        "path": [],
                        "message": "Invalid input: expected string, received boolean",
                    }
                ],
                [
                    {
                        "expected": "number",
                        "code": "invalid_type",
                        "path": [],
                        "message": "Invalid input: expected number, received boolean",
                    }
                ],
            ],
            "path": ["a"],
            "message": "Invalid input",
        },
    ),
    "list": (
        list_of_text,
        [1],
        {
            "expected": "string",
            "code": "invalid_type",
            "path": ["a", 0],
            "message": "Invalid input: expected string, received number",
        },
    ),
}


@pytest.mark.parametrize(("parse", "value", "issue"), RENDERED.values(), ids=RENDERED)
def test_issues_are_written_as_langfuse_writes_them(parse: Parse, value: Any, issue: dict[str, Any]) -> None:
    """Down to the order of keys, because `error` is text."""
    issues: list[Any] = []
    parse(value, ("a",), issues)
    assert json.dumps(issues) == json.dumps([issue])


def test_an_answer_is_not_many_times_larger_than_the_request() -> None:
    for body in (
        {"id": "t", "tags": [1] * 10_000},
        {"id": "t", "modelParameters": {str(n): [1] for n in range(10_000)}},
    ):
        read = read_envelope(envelope("trace-create" if "tags" in body else "generation-create", body))
        assert isinstance(read, list) and len(read) == 20


def test_numbers_beyond_a_double() -> None:
    score = {"name": "n", "traceId": "t", "value": 10**30}
    assert body_of(envelope("score-create", score))["value"] == 1e30
    assert issues_of(envelope("score-create", {**score, "value": 10**400, "dataType": "NUMERIC"})) == [
        "body.value: Invalid input: expected number, received number"
    ]
    generation = body_of(envelope("generation-create", {"id": "g", "costDetails": {"a": 10**400, "b": 1}}))
    assert generation["costDetails"] == {"b": 1}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["id", "traceId", "name", "type", "level", "usage", "usageDetails", "costDetails", "modelParameters", "tags",
          "value", "dataType", "configId", "promptName", "promptVersion", "startTime", "public", "environment", "log"]  # fmt: skip


@given(kind=st.sampled_from(sorted(BODIES)), body=json_values | st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_any_body_is_read_or_refused_with_issues(kind: str, body: Any) -> None:
    """Nothing a client sends raises; what passes passes again and stays as it is.

    Except usage details: entries that are no counts are left out, and what remains may have OpenAI's form.
    """
    read = read_envelope({"id": "e", "timestamp": NOW, "type": kind, "body": body})
    if isinstance(read, list):
        assert read and all(issue["message"] and isinstance(issue["path"], list) for issue in read)
        json.dumps(read)
    else:
        again = read_envelope({"id": "e", "timestamp": NOW, "type": kind, "body": read.body})
        assert not isinstance(again, list)
        assert "usageDetails" in body or again.body == read.body


@given(json_values)
def test_any_element_is_read_or_refused(element: Any) -> None:
    assert isinstance(read_envelope(element), list) or element["type"] in BODIES


def test_types_are_called_as_javascript_calls_them() -> None:
    assert [type_name(value) for value in (MISSING, None, True, 1, 1.5, "", [], {})] == [
        "undefined", "null", "boolean", "number", "number", "string", "array", "object",
    ]  # fmt: skip

"""Explanations: every field of every event has a reason, and the attribute it names did give the value."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from openfuse_collector.mapping import map_logs, map_traces, rules
from openfuse_collector.mapping.coercion import text
from openfuse_collector.mapping.explain import Explained, Reason, explain_logs, explain_traces
from openfuse_collector.mapping.rule_names import rule_name
from openfuse_collector.pdata.otlp_json import decode_traces
from tests.mapping.log_requests import LOGS_ORIGIN, logs_request, record
from tests.mapping.span_requests import CHILD, ORIGIN, ROOT, request, span

SHARED = Path(os.environ.get("OPENFUSE_SHARED", Path(__file__).parents[3] / "shared"))


def reasons(attributes: dict[str, Any], kind: str = "observation", **around: Any) -> dict[str, Reason]:
    """Reasons by field, for a root with these attributes."""
    explained = explain_traces(request(span(attributes), **around), ORIGIN)
    (one,) = (one for one in explained if one.event.entity.type == kind)
    return {reason.field: reason for reason in one.reasons}


@pytest.mark.parametrize(
    ("field", "attributes", "keys", "rule"),
    [
        ("type", {"gen_ai.operation.name": "chat"}, "gen_ai.operation.name", "gen_ai.OPERATION_TYPE"),
        ("type", {"traceloop.span.kind": "tool"}, "traceloop.span.kind", "openllmetry.VOCABULARY.types[0]"),
        ("type", {"llm.model_name": "m"}, "llm.model_name", "rules.MODEL_MEANS_GENERATION"),
        ("model", {"gen_ai.request.model": "a", "gen_ai.response.model": "b"}, "gen_ai.response.model", "rules.MODEL"),
        ("model", {"gen_ai.response.model": "", "gen_ai.request.model": "a"}, "gen_ai.request.model", "rules.MODEL"),
        ("input", {"input.value": "i", "input": "j"}, "input.value", "openinference.VALUES"),
        ("output", {"input.value": "i", "output": "o"}, "output", "pydantic_ai.PLAIN"),
        (
            "usageDetails",
            {"langfuse.observation.usage_details": '{"input":1}'},
            "langfuse.observation.usage_details",
            "langfuse.USAGE",
        ),
        (
            "usageDetails",
            {"gen_ai.usage.input_tokens": 1},
            "gen_ai.usage.input_tokens",
            "every gen_ai.usage. and llm.token_count.*",
        ),
        ("costDetails", {"gen_ai.usage.cost": 1.5}, "gen_ai.usage.cost", "gen_ai.COST"),
        (
            "modelParameters",
            {"gen_ai.request.top_p": 1},
            "gen_ai.request.top_p",
            "every gen_ai.request. and llm.invocation_parameters.*",
        ),
        ("name", {"gen_ai.tool.name": "t"}, "gen_ai.tool.name", "rules.NAME"),
        ("name", {"langfuse.trace.name": "t"}, "(name of the span)", ""),
        ("environment", {"langfuse.environment": "p"}, "langfuse.environment", "rules.ENVIRONMENT"),
        ("environment", {}, "(nothing says otherwise)", ""),
        ("level", {"langfuse.observation.level": "WARNING"}, "langfuse.observation.level", ""),
        ("level", {"langfuse.observation.level": "loud"}, "(status of the span)", ""),
        ("level", {}, "(status of the span)", ""),
        ("version", {"langfuse.version": "1"}, "langfuse.version", ""),
        ("id", {}, "(ids of the span)", ""),
    ],
)
def test_where_a_field_comes_from(field: str, attributes: dict[str, Any], keys: str, rule: str) -> None:
    reason = reasons(attributes)[field]
    assert (", ".join(reason.attributes), reason.rule) == (keys, rule)


@pytest.mark.parametrize(
    ("field", "attributes", "keys", "rule"),
    [
        ("name", {"langfuse.trace.name": "t", "gen_ai.tool.name": "x"}, "langfuse.trace.name", ""),
        ("userId", {"user.id": "u"}, "user.id", "rules.USER"),
        ("sessionId", {"gen_ai.conversation.id": "s"}, "gen_ai.conversation.id", "rules.SESSION"),
        ("tags", {"langfuse.tags": "a,b"}, "langfuse.tags", "rules.TAGS"),
        ("public", {"langfuse.public": False}, "langfuse.public", "rules.PUBLIC"),
        ("input", {"langfuse.trace.input": "t", "input": "i"}, "langfuse.trace.input", "langfuse.TRACE_CONTENT"),
        (
            "metadata",
            {"langfuse.trace.metadata.k": "v"},
            "langfuse.trace.metadata.k, (everything the span, its scope and its resource say)",
            "metadata",
        ),
    ],
)
def test_where_a_field_of_a_trace_comes_from(field: str, attributes: dict[str, Any], keys: str, rule: str) -> None:
    reason = reasons(attributes, "trace")[field]
    assert (", ".join(reason.attributes), reason.rule) == (keys, rule)


def test_the_resource_is_named() -> None:
    around = {"resource": {"deployment.environment": "prod", "session.id": "s"}}
    assert reasons({}, **around)["environment"].attributes == ("resource deployment.environment",)
    assert reasons({}, "trace", **around)["sessionId"].attributes == ("resource session.id",)


def test_tools_beside_the_input_are_named() -> None:
    reason = reasons({"input.value": "i", "gen_ai.tool.definitions": '[{"name":"t"}]'})["input"]
    assert reason.attributes == ("input.value", "gen_ai.tool.definitions")
    assert reasons({"gen_ai.tool.definitions": '[{"name":"t"}]'})["input"].rule == "tool_definitions.move_tools"


def test_content_of_span_events_is_named() -> None:
    made = request(span(events=[("gen_ai.user.message", {"content": "hi"})]))
    observation = explain_traces(made, ORIGIN)[1]
    reason = next(reason for reason in observation.reasons if reason.field == "input")
    assert reason.rule == "gen_ai.EVENT_MESSAGES" and reason.attributes == ("(events, name or status of the span)",)


def test_a_first_sight_says_so() -> None:
    *_, shallow = explain_traces(request(span(span_id=CHILD, parent=ROOT)), ORIGIN)
    assert shallow.event.shallow and {reason.rule for reason in shallow.reasons} == {"shallow"}


def test_a_span_that_cannot_be_mapped_is_passed_over() -> None:
    made = request(span(span_id=""), span())
    assert [one.event for one in explain_traces(made, ORIGIN)] == map_traces(made, ORIGIN).events


def test_log_records() -> None:
    sent = logs_request(
        record("gen_ai.user.message", {"content": "hi"}),
        record("gen_ai.choice", None, {"content": "yes"}),
        record("x", None, {"gen_ai.input.messages": "[1]", "gen_ai.output.messages": "[2]", "other": 1}),
        record("unrelated"),
    )
    explained = explain_logs(sent, LOGS_ORIGIN)
    assert [one.event for one in explained] == map_logs(sent, LOGS_ORIGIN).events
    found = [(reason.field, reason.attributes, reason.rule) for one in explained for reason in one.reasons[2:]]
    assert found == [
        ("gen_ai.log_events: message", ("(body)",), "log_vocabulary.ROLES"),
        ("gen_ai.log_events: answer", ("content",), "log_vocabulary.ANSWERS"),
        ("gen_ai.log_events: input", ("gen_ai.input.messages",), "log_vocabulary.INPUTS"),
        ("gen_ai.log_events: output", ("gen_ai.output.messages",), "log_vocabulary.OUTPUTS"),
    ]


def test_a_remark_is_told_as_what_it_is() -> None:
    below = span({"gen_ai.usage.input_tokens": 1}, span_id=CHILD, parent=ROOT)
    explained = explain_traces(request(below, scope="com.anthropic.sdk.python"), ORIGIN)
    (remark,) = (one for one in explained if one.event.remark)
    assert {(reason.field, reason.rule) for reason in remark.reasons} == {
        (field, "remarks.remark_of") for field in ("id", "traceId", "metadata")
    }


def test_every_rule_has_a_name() -> None:
    tables = (rules.TYPES, rules.OBSERVATION_CONTENT, rules.TRACE_CONTENT, rules.USAGE, rules.MORE_USAGE, rules.COST)
    more = (rules.MORE_COST, rules.FIRST_TOKEN, rules.PARAMETERS, rules.MORE_PARAMETERS)
    inside = (rules.MODEL_RULES, rules.SESSION_RULES)
    names = [rule_name(rule) for table in (*tables, *more, *inside) for rule in dict.fromkeys(table)]
    assert all("." in name for name in names)


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "corpus").is_dir(), reason=f"no shared corpus at {SHARED}")
def test_real_telemetry_is_explained_as_it_is_mapped() -> None:
    """The same events, every field told of, and single values are those of the attribute that is named."""
    single = {"model", "userId", "sessionId", "name", "version", "promptName"}
    compared = 0
    for file in sorted((SHARED / "corpus").glob("*/*/000.traces.*")) + sorted(
        (SHARED / "corpus").glob("*/*/001.traces.*")
    ):
        body = file.read_bytes()
        sent = decode_traces(body).request if file.suffix == ".json" else type(request()).FromString(body)
        explained = explain_traces(sent, ORIGIN)
        assert [one.event for one in explained] == map_traces(sent, ORIGIN).events, file
        spans = {
            one.span_id.hex(): {pair.key: pair.value.string_value for pair in one.attributes}
            for group in sent.resource_spans
            for scope in group.scope_spans
            for one in scope.spans
        }
        for one in explained:
            assert {reason.field for reason in one.reasons} >= one.event.body.keys(), file
            assert not any(
                reason.attributes in ((), ("(default)",)) for reason in one.reasons if reason.field != "type"
            )
            compared += sum(_same(one, reason, spans) for reason in one.reasons if reason.field in single)
    assert compared > 500


def _same(one: Explained, reason: Reason, spans: dict[str, dict[str, str]]) -> bool:
    """Whether there was a text to compare with; it must be the value."""
    written = spans.get(one.event.body["id"], {}).get(reason.attributes[0])
    if not written or reason.rule == "" or reason.attributes[0] == "ai.operationId":
        return False
    inside = "_rules[" in reason.rule
    assert text(reason.value) in written if inside else text(reason.value) == written, (one.event.body["id"], reason)
    return True

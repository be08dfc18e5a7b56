"""Assembly of input and output from log events: every shape libraries send, and that what the span said stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openfuse_collector.enrich import enrich
from openfuse_collector.enrich.log_events import LOG_EVENTS, assemble, log_event_key
from openfuse_collector.events.reference import fold
from tests.builders import event

SYSTEM, USER, ASSISTANT, TOOL = (f"gen_ai.{role}.message" for role in ("system", "user", "assistant", "tool"))
CHOICE, DETAILS = "gen_ai.choice", "gen_ai.client.inference.operation.details"
HI, YES = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}


def entry(name: str, body: Any = None, **attributes: Any) -> dict[str, Any]:
    """A kept record; underscores in attribute names stand for dots where a pair of them is written."""
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return {part: value for part, value in {"name": name, "body": body, "attributes": named}.items() if value}


def assembled(*entries: Any, input: str | None = None, output: str | None = None) -> tuple[Any, Any]:
    """Input and output, as values, of an observation with these records, one per nanosecond."""
    kept = {log_event_key(number, f"{number:032x}"): one for number, one in enumerate(entries, 1)}
    record = assemble({"input": input, "output": output, "metadata": {LOG_EVENTS: kept}})
    return tuple(value and parsed(value) for value in (record["input"], record["output"]))  # type: ignore[return-value]


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (entry(USER, {"content": "hi"}), HI),
        (entry(USER, {"role": "end user", "content": "hi"}), {"role": "end user", "content": "hi"}),
        (entry(USER, {"content": [{"text": "hi"}]}), {"role": "user", "content": [{"text": "hi"}]}),
        (entry(USER, '{"content": "hi"}'), HI),
        (entry(USER, "hi"), HI),
        (entry(USER, "42"), {"role": "user", "content": 42}),
        (entry(USER, ["hi"]), {"role": "user", "content": ["hi"]}),
        (entry(USER, None, content="hi", gen_ai__system="x"), HI),
        (entry(USER, None, gen_ai__event__content='{"content": "hi"}'), HI),
        (entry(USER, USER, gen_ai__prompt="hi"), HI),
        (entry("gen_ai.developer.message", {"content": "hi"}), {"role": "developer", "content": "hi"}),
        (entry("gen_ai.content.prompt", {"role": "tool", "content": "hi"}), {"role": "tool", "content": "hi"}),
    ],
)
def test_messages(one: Any, message: Any) -> None:
    assert assembled(one) == ([message], None)


@pytest.mark.parametrize(
    ("one", "answer"),
    [
        (entry(CHOICE, {"index": 0, "message": YES}), {"index": 0, "message": YES}),
        (entry(CHOICE, json.dumps({"message": YES})), {"message": YES}),
        (entry(CHOICE, "yes"), {"content": "yes"}),
        (entry("gen_ai.content.completion", {"message": YES}), {"message": YES}),
        (entry(CHOICE, None, message='{"content":"yes"}', index=0), {"index": 0, "message": '{"content":"yes"}'}),
    ],
)
def test_an_answer_is_the_output(one: Any, answer: Any) -> None:
    assert assembled(one) == (None, answer)


def test_a_conversation_stands_in_the_order_of_time() -> None:
    call = {"tool_calls": [{"id": "1"}]}
    asked, answered = assembled(
        entry(SYSTEM, {"content": "be brief"}),
        entry(USER, {"content": "hi"}),
        entry(ASSISTANT, call),
        entry(TOOL, {"id": "1", "content": "21C"}),
        entry(CHOICE, {"index": 0, "message": YES}),
        entry(CHOICE, {"index": 1, "message": YES}),
    )
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "tool"]
    assert asked[2] == {"role": "assistant", **call}
    assert [answer["index"] for answer in answered] == [0, 1]


@pytest.mark.parametrize("messages", [[HI], json.dumps([HI])])
def test_details(messages: Any) -> None:
    whole = entry(DETAILS, DETAILS, gen_ai__input__messages=messages, gen_ai__output__messages=[YES])
    assert assembled(whole) == ([HI], [YES])
    assert assembled(entry(USER, {"content": "no"}), whole, entry(CHOICE, {"message": "no"})) == ([HI], [YES])
    assert assembled({**whole, "name": "renamed"}) == ([HI], [YES])


def test_the_first_details_give_the_input_the_last_the_output() -> None:
    rounds = [
        entry(DETAILS, None, gen_ai__input__messages=[number], gen_ai__output__messages=[number]) for number in (1, 2)
    ]
    assert assembled(*rounds) == ([1], [2])


@pytest.mark.parametrize("instructions", ["be brief", [{"type": "text", "content": "be brief"}], ["be brief"]])
@pytest.mark.parametrize("as_text", [False, True])
def test_instructions_come_first(instructions: Any, as_text: bool) -> None:
    given = json.dumps(instructions) if as_text else instructions
    system = {"role": "system", "content": "be brief"}
    attributes = {"gen_ai__input__messages": [HI], "gen_ai__system_instructions": given}
    assert assembled(entry(DETAILS, None, **attributes))[0] == [system, HI]
    assert assembled(entry(DETAILS, None, **{**attributes, "gen_ai__input__messages": [system]}))[0] == [system]
    assert assembled(entry(DETAILS, None, gen_ai__system_instructions=given))[0] == [system]


def test_tools_on_offer_stand_beside_the_messages() -> None:
    tools = [{"name": "weather", "parameters": {}}]
    messages = {"gen_ai__input__messages": [HI]}
    details = entry(DETAILS, None, **messages, gen_ai__tool__definitions=json.dumps(tools))
    assert assembled(details)[0] == {"messages": [HI], "tools": tools}
    only_tools = json.dumps({"tools": tools}, separators=(",", ":"))
    assert assembled(entry(DETAILS, None, **messages), input=only_tools)[0] == {"messages": [HI], "tools": tools}
    assert assembled(input=only_tools)[0] == {"tools": tools}


@pytest.mark.parametrize("side", ["[1]", '"x"', "text", "0", '{"tools":[1],"messages":[]}', '{"tools":5}'])
def test_what_the_span_said_stays(side: str) -> None:
    entries = (entry(USER, {"content": "hi"}), entry(CHOICE, {"message": YES}))
    assert assembled(*entries, input=side) == (parsed(side), {"message": YES})
    assert assembled(*entries, output=side) == ([HI], parsed(side))


@pytest.mark.parametrize("side", [None, "", "{}", "[]", "null", '""'])
def test_sides_that_say_nothing_are_filled(side: str | None) -> None:
    entries = (entry(USER, {"content": "hi"}), entry(CHOICE, {"message": YES}))
    assert assembled(*entries, input=side, output=side) == ([HI], {"message": YES})


def keyed(*places: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    """Records of one nanosecond, keyed by digests in the order given."""
    return {log_event_key(7, f"{number:032x}"): one for number, one in places}


@pytest.mark.parametrize(
    ("same_time", "contents"),
    [
        (
            [
                entry(TOOL, {"content": "d"}),
                entry(ASSISTANT, {"content": "c"}),
                entry(SYSTEM, {"content": "a"}),
                entry(USER, {"content": "b"}),
            ],
            "abcd",
        ),
        (
            [
                entry(USER, {"content": "c"}, gen_ai__message__index=2),
                entry(TOOL, {"content": "b"}, gen_ai__message__index=1),
                entry(USER, {"content": "a"}, gen_ai__message__index=0),
            ],
            "abc",
        ),
        (
            [entry(USER, {"content": "b"}, CHAT_MESSAGE_INDEX=1), entry(USER, {"content": "a"}, CHAT_MESSAGE_INDEX=0)],
            "ab",
        ),
        ([entry(USER, {"content": "a"}), entry(USER, {"content": "b"})], "ab"),
    ],
    ids=["role", "index", "semantic-kernel", "digest"],
)
def test_records_of_one_nanosecond(same_time: list[Any], contents: str) -> None:
    places = list(enumerate(same_time))
    for order in (places, places[::-1]):
        record = assemble({"input": None, "output": None, "metadata": {LOG_EVENTS: keyed(*order)}})
        assert "".join(message["content"] for message in json.loads(record["input"])) == contents


def test_choices_of_one_nanosecond_stand_by_index() -> None:
    kept = keyed(*((2 - index, entry(CHOICE, {"index": index, "message": YES})) for index in (0, 1, 2)))
    record = assemble({"input": None, "output": None, "metadata": {LOG_EVENTS: kept}})
    assert [answer["index"] for answer in json.loads(record["output"])] == [0, 1, 2]


@pytest.mark.parametrize(
    "written",
    [
        None,
        5,
        "x",
        [],
        {},
        {"k": 5},
        {"k": {"name": 5, "body": [], "attributes": "x"}},
        {"k": {"attributes": {"a": 1}}},
    ],
)
def test_what_somebody_else_wrote_there_does_no_harm(written: Any) -> None:
    record = {"input": None, "output": None, "metadata": {LOG_EVENTS: written}}
    assert assemble(dict(record)) == record


def test_records_without_log_events_are_left_alone() -> None:
    record: dict[str, Any] = {"input": None, "output": None, "metadata": {}}
    assert assemble(record) is record


def test_it_runs_before_tools_and_changes_no_event() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    answer = entry(CHOICE, {"index": 0, "message": {"role": "assistant", "tool_calls": [call]}})
    tools = [{"name": "weather", "parameters": {"type": "object"}}]
    kept = {log_event_key(1, "a"): entry(USER, {"content": "hi"}), log_event_key(2, "b"): answer}
    metadata = {LOG_EVENTS: kept, "attributes": {"gen_ai.tool.definitions": json.dumps(tools)}}
    written = json.dumps(metadata)
    record = enrich("observation", fold([event("o", metadata=metadata)]) or {})
    assert record["tool_call_names"] == ["weather"] and "weather" in record["tool_definitions"]
    assert json.loads(record["input"]) == {"messages": [HI], "tools": tools}
    assert json.dumps(metadata) == written

"""Which texts are encoded for a value, and what their framing costs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.pricing.model import Tokenizer
from openfuse_collector.tokens.texts import texts_of

CHAT = Tokenizer("openai", "gpt-4", 3, 1)
OLD_CHAT = Tokenizer("openai", "gpt-3.5-turbo-0301", 4, -1)
PLAIN = Tokenizer("openai", "text-embedding-ada-002")
CLAUDE = Tokenizer("claude")

HI = {"role": "user", "content": "hi"}
NAMED = {"role": "assistant", "content": "ho", "name": "bob"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "x"}]}

CASES: list[tuple[Tokenizer, Any, list[str], int]] = [
    (CHAT, "hello", ["hello"], 0),
    (CHAT, "", [""], 0),
    (CHAT, '"hello"', ["hello"], 0),
    (CHAT, "12345", ["12345"], 0),
    (CHAT, 12345, ["12345"], 0),
    (CHAT, "true", ["true"], 0),
    (CHAT, "null", ["null"], 0),
    (CHAT, "{broken", ["{broken"], 0),
    (CHAT, "[" * 100_000, ["[" * 100_000], 0),
    (CHAT, ' {"a": 1, "b": [1, 2.0]} ', ['{"a":1,"b":[1,2]}'], 0),
    (CHAT, '{"a":1.5e2,"b":-0.0,"c":1e-7}', ['{"a":150,"b":0,"c":1e-7}'], 0),
    (CHAT, '{"ä":"\\u00e9"}', ['{"ä":"é"}'], 0),
    (CHAT, '["\\ud800"]', ['["�"]'], 0),
    (CHAT, [HI, NAMED], ["hi", "user", "ho", "assistant", "bob"], 2 * 3 + 1 + 3),
    (CHAT, json.dumps([HI, NAMED]), ["hi", "user", "ho", "assistant", "bob"], 2 * 3 + 1 + 3),
    (OLD_CHAT, [HI, NAMED], ["hi", "user", "ho", "assistant", "bob"], 2 * 4 - 1 + 3),
    (CHAT, "[]", [], 3),
    (CHAT, [{**HI, "content": "", "tool_calls": "x"}], ["user", "x"], 6),
    (CHAT, [{**HI, "toolCalls": [{"id": 1}], "functionCall": {}}], ["hi", "user", '[{"id":1}]'], 6),
    (CHAT, [{**HI, "other": "unheard"}], ["hi", "user"], 6),
    (CHAT, [{**HI, "name": ""}], ["hi", "user"], 7),
    (CHAT, [{**HI, "name": None}], ['[{"role":"user","content":"hi","name":null}]'], 0),
    (CHAT, [HI, "hi"], ['[{"role":"user","content":"hi"},"hi"]'], 0),
    (CHAT, [PARTS], ['[{"role":"user","content":[{"type":"text","text":"x"}]}]'], 0),
    (CHAT, {"messages": [HI]}, ['{"messages":[{"role":"user","content":"hi"}]}'], 0),
    (PLAIN, [HI], ['[{"role":"user","content":"hi"}]'], 0),
    (PLAIN, '[ {"role":"user", "content":"hi"} ]', ['[{"role":"user","content":"hi"}]'], 0),
    (CLAUDE, '"hello"', ['"hello"'], 0),
    (CLAUDE, '{ "a": 1 }', ['{ "a": 1 }'], 0),
    (CLAUDE, [HI], ['[{"role":"user","content":"hi"}]'], 0),
]


@pytest.mark.parametrize(("tokenizer", "value", "texts", "framing"), CASES)
def test_texts(tokenizer: Tokenizer, value: Any, texts: list[str], framing: int) -> None:
    found = texts_of(tokenizer, value)
    assert (sorted(found.texts), found.framing) == (sorted(texts), framing)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
)


@given(JSON)
def test_a_value_and_its_text_are_counted_alike(value: Any) -> None:
    """Which of both arrives depends on the SDK."""
    assert texts_of(CHAT, json.dumps(value)) == texts_of(CHAT, value) or isinstance(value, str)

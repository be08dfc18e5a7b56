"""What is counted of an input or output: which texts are encoded, and how many tokens their framing adds; Langfuse's rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from openfuse_collector.events.text import json_text, parse_json
from openfuse_collector.pricing.model import Tokenizer

REPLY: Final = 3
"""Tokens that introduce the reply to a list of messages."""

COUNTED: Final = ("content", "role", "name", "tool_calls", "function_call", "toolCalls", "functionCall")
"""Keys of a message that become tokens."""


class Texts(NamedTuple):
    """Tokens of a value: those of its texts, and `framing` more."""

    texts: Sequence[str]
    framing: int = 0


def texts_of(tokenizer: Tokenizer, value: Any) -> Texts:
    """What to encode of a value that is neither null nor an empty list.

    OpenAI's tokenizers look into text that is JSON: a list of messages is counted message by message where the model has
    a number of tokens per message, any other value as compact JSON, a JSON string without its quotes. Claude's takes text
    as it is.
    """
    if tokenizer.name == "openai":
        value = _parsed(value) if isinstance(value, str) else value
        if tokenizer.tokens_per_message is not None and _is_chat(value):
            return _chat(value, tokenizer.tokens_per_message, tokenizer.tokens_per_name or 0)
    return Texts((_text(value),))


def _chat(messages: list[dict[str, Any]], per_message: int, per_name: int) -> Texts:
    texts = [_text(value) for message in messages for key in COUNTED if (value := message.get(key))]
    names = sum("name" in message for message in messages)
    return Texts(texts, len(messages) * per_message + names * per_name + REPLY)


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_message, value))


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and isinstance(value.get("content"), str)
        and isinstance(value.get("name", ""), str)
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _number(digits: str) -> int | float:
    """A number with a point or an exponent as JavaScript would write it again: `1.0` is 1."""
    number = float(digits)
    return int(number) if number.is_integer() and abs(number) < 1e21 else number


_decode = msgspec.json.Decoder(float_hook=_number).decode
_BEGINS_JSON = frozenset('{["-0123456789tfn \t\r\n')


def _parsed(text: str) -> Any:
    """The value of a JSON text, else the text."""
    if text[:1] not in _BEGINS_JSON:
        return text
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError, OverflowError):
        pass
    try:
        return parse_json(text)
    except ValueError:
        return text

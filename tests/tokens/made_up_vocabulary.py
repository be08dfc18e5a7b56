"""A vocabulary of our own making: the size and the files of a published one, a handful of words, the rest never matches."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

from openfuse_collector.tokens.encodings import ENCODINGS

WORDS = ("hello", " world", "user", "assistant", "bob")
"""Texts that are one token; any other text is a token per byte."""


def ranks(encoding: str = "cl100k_base") -> dict[bytes, int]:
    """Single bytes, then every prefix of the words, then tokens that begin with a byte no UTF-8 text has."""
    tokens = dict.fromkeys(bytes((byte,)) for byte in range(256))
    tokens |= dict.fromkeys(word.encode()[:end] for word in WORDS for end in range(2, len(word) + 1))
    fillers = (b"\xff" + number.to_bytes(4, "big") for number in range(ENCODINGS[encoding].size))
    while len(tokens) < ENCODINGS[encoding].size:
        tokens[next(fillers)] = None
    return {token: rank for rank, token in enumerate(tokens)}


def lines(made: dict[bytes, int]) -> bytes:
    """As OpenAI hands them out."""
    return b"".join(b64encode(token) + b" %d\n" % rank for token, rank in made.items())


def packed(made: dict[bytes, int], breaks: int = 1) -> bytes:
    """As the npm packages do, over that many lines."""
    words = [b64encode(token).decode() for token in made]
    step = -(-len(words) // breaks)
    text = "\n".join(f"! {first} {' '.join(words[first : first + step])}" for first in range(0, len(words), step))
    return json.dumps({"pat_str": "x", "special_tokens": {}, "bpe_ranks": text}).encode()


def write(directory: Path, encoding: str = "cl100k_base", name: str = "{}.tiktoken") -> Path:
    """Puts one into a directory."""
    path = directory / name.format(encoding)
    path.write_bytes(lines(ranks(encoding)))
    return path

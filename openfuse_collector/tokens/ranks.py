"""Vocabulary files: the bytes of each token and its rank, in the two forms they are handed out in.

`NAME.tiktoken`   a line per token, base64 and rank (OpenAI; also what tiktoken's cache holds)
`NAME.json`       `{"bpe_ranks": "! FIRST_RANK base64 base64 …"}` (npm packages tiktoken and @anthropic-ai/tokenizer)
"""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import msgspec

Ranks = dict[bytes, int]


class _Packed(msgspec.Struct):
    """What is read of a JSON vocabulary; the pattern and the special tokens beside it are known."""

    bpe_ranks: str


def read_ranks(path: Path, size: int) -> Ranks:
    """The ranks in a vocabulary file. Raises OSError, and ValueError for a file that is not whole.

    A vocabulary with tokens missing would still encode every text, only into too many tokens: hence the look at its size.
    """
    contents = path.read_bytes()
    try:
        ranks = _packed(contents) if contents[:1] == b"{" else _lines(contents)
    except (ValueError, msgspec.DecodeError) as error:
        raise ValueError(f"it is no vocabulary: {error}") from error
    if len(ranks) != size:
        raise ValueError(f"it holds {len(ranks):,} tokens, a complete one {size:,}")
    if len(set(ranks.values())) != size:
        raise ValueError("it gives one rank to several tokens")
    if not all(bytes((byte,)) in ranks for byte in range(256)):
        raise ValueError("it lacks tokens of a single byte")
    return ranks


def _lines(contents: bytes) -> Ranks:
    """Every line: token, rank."""
    words = contents.split()
    return {b64decode(token): int(rank) for token, rank in zip(words[::2], words[1::2], strict=True)}


def _packed(contents: bytes) -> Ranks:
    """Every line: `!`, rank of the first token, tokens of consecutive ranks."""
    ranks: Ranks = {}
    for line in msgspec.json.decode(contents, type=_Packed).bpe_ranks.splitlines():
        _, first, *tokens = line.split(" ")
        ranks.update((b64decode(token), rank) for rank, token in enumerate(tokens, int(first)))
    return ranks

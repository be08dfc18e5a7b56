"""The encodings there are: how text is split, which texts are one token, how many tokens a complete vocabulary holds.

Patterns, special tokens and sizes are those of tiktoken's `openai_public`, and of the npm package @anthropic-ai/tokenizer 0.0.4
for `claude`, which Langfuse counts with. Which bytes are a token is in the vocabulary files, see `ranks`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from openfuse_collector.pricing.model import Tokenizer

FALLBACK: Final = "cl100k_base"
"""For OpenAI models tiktoken does not know, as in Langfuse."""

_PUBLISHED_AT: Final = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"

_GPT_2: Final = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"

_GPT_4: Final = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)

_GPT_4O: Final = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)

_END: Final = "<|endoftext|>"


@dataclass(frozen=True)
class Encoding:
    """What is fixed about an encoding; the rest is its vocabulary file."""

    pattern: str
    """Splits text into the pieces that are encoded one by one."""
    special: Mapping[str, int]
    """Texts that are one token wherever they stand."""
    size: int
    """Tokens of a complete vocabulary, special ones not among them. Fewer or more: the file is damaged or another's."""
    compatibility_form: bool = False
    """Whether text is brought into Unicode form NFKC first."""


ENCODINGS: Final[Mapping[str, Encoding]] = {
    "r50k_base": Encoding(_GPT_2, {_END: 50256}, 50_256),
    "p50k_base": Encoding(_GPT_2, {_END: 50256}, 50_280),
    "cl100k_base": Encoding(
        _GPT_4,
        {
            _END: 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
        100_256,
    ),
    "o200k_base": Encoding(_GPT_4O, {_END: 199999, "<|endofprompt|>": 200018}, 199_998),
    "claude": Encoding(
        _GPT_2,
        {"<EOT>": 0, "<META>": 1, "<META_START>": 2, "<META_END>": 3, "<SOS>": 4},
        64_995,
        compatibility_form=True,
    ),
}

_SAME_RANKS: Final = {"gpt2": "r50k_base", "p50k_edit": "p50k_base", "o200k_harmony": "o200k_base"}
"""Encodings that differ from another in nothing but special tokens."""


@cache
def encoding_name(tokenizer: Tokenizer) -> str | None:
    """The encoding of a price table's tokenizer, None for one nobody here knows. Needs the package tiktoken for OpenAI's."""
    if tokenizer.name == "claude":
        return "claude"
    if tokenizer.name != "openai":
        return None
    from tiktoken.model import encoding_name_for_model  # an extra

    try:
        name = encoding_name_for_model(tokenizer.model or "")
    except KeyError:
        return FALLBACK
    name = _SAME_RANKS.get(name, name)
    return name if name in ENCODINGS else FALLBACK


def file_names(encoding: str) -> tuple[str, ...]:
    """What a vocabulary file may be called: plainly, as npm packages do, or as tiktoken's own cache does."""
    in_cache = hashlib.sha1(_PUBLISHED_AT.format(encoding).encode(), usedforsecurity=False).hexdigest()
    return f"{encoding}.tiktoken", f"{encoding}.json", in_cache

"""Vocabulary files: both forms say the same, and a damaged one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_vocabulary import lines, packed, ranks

from openfuse_collector.tokens.encodings import ENCODINGS
from openfuse_collector.tokens.ranks import read_ranks

SIZE = ENCODINGS["r50k_base"].size
MADE = ranks("r50k_base")


@pytest.mark.parametrize("contents", [lines(MADE), packed(MADE), packed(MADE, breaks=3)], ids=["lines", "one", "three"])
def test_every_form_gives_the_same_ranks(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "vocabulary"
    path.write_bytes(contents)
    assert read_ranks(path, SIZE) == MADE


DAMAGED = {
    "empty": (b"", "it holds 0 tokens, a complete one 50,256"),
    "cut between lines": (lines(dict(list(MADE.items())[:-7])), "it holds 50,249 tokens, a complete one 50,256"),
    "cut within the last rank": (lines(MADE)[:-5], "it gives one rank to several tokens"),
    "cut before a rank": (lines(MADE)[:-7], "it is no vocabulary"),
    "a web page": (b"<html><body>Not Found</body></html>", "it is no vocabulary"),
    "other JSON": (b'{"error": "not found"}', "it is no vocabulary"),
    "cut JSON": (packed(MADE)[:-9], "it is no vocabulary"),
    "JSON without ranks": (b'{"bpe_ranks": "!"}', "it is no vocabulary"),
    "no byte 0": (lines({(b"\xff\xff" if token == b"\0" else token): MADE[token] for token in MADE}), "single byte"),
}


@pytest.mark.parametrize(("contents", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused(tmp_path: Path, contents: bytes, message: str) -> None:
    path = tmp_path / "vocabulary"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=message):
        read_ranks(path, SIZE)

"""Langfuse's recorded counts, with the real vocabularies: set OPENFUSE_VOCABULARIES to the directory they are in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_vocabulary import WORDS

from openfuse_collector.pricing import Catalogue
from openfuse_collector.tokens import TokenCounter, Vocabularies, count_usage
from openfuse_collector.tokens.encodings import ENCODINGS
from openfuse_collector.tokens.ranks import read_ranks
from tests.conformance import enrichment_cases
from tests.events.shared_cases import cases, needs_shared

DIRECTORY = Path(os.environ.get("OPENFUSE_VOCABULARIES") or "vocabularies")
FOUND = Vocabularies([DIRECTORY], structlog.get_logger())
COUNTER = TokenCounter(FOUND, max_characters=1_000_000, cache_size=1 << 20)
CATALOGUE = Catalogue()

needs_vocabularies = pytest.mark.skipif(
    not {"cl100k_base", "o200k_base", "claude"} <= set(FOUND.found),
    reason=f"NO VOCABULARIES in {DIRECTORY.absolute()}: set OPENFUSE_VOCABULARIES, see docs/tokens.md",
)
pytestmark = [pytest.mark.shared, needs_shared]

CASES = cases("tokenization")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_price_table_names_the_recorded_tokenizer(case: dict[str, Any]) -> None:
    assert enrichment_cases.tokenizer_choice(case) == []


@needs_vocabularies
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_count(case: dict[str, Any]) -> None:
    assert enrichment_cases.tokenization(case) == []


def merged() -> Iterator[Any]:
    """Observations of Langfuse's own end-to-end tests that came without usage and cost, on built-in models."""
    for case in cases("merge_observation"):
        row = (case.get("expected") or {}).get("observation") or {}
        if not row.get("provided_usage_details") and row.get("internal_model_id") and not case.get("models"):
            yield pytest.param(row, id=case["id"])


@needs_vocabularies
@pytest.mark.parametrize("row", list(merged()))
def test_usage_of_a_row(row: dict[str, Any]) -> None:
    stated = {key: row.get(key) for key in ("project_id", "provided_model_name", "input", "output", "level")}
    provided = {"provided_usage_details": {}, "provided_cost_details": row.get("provided_cost_details") or {}}
    made = count_usage({**stated, **provided, "usage_details": {}}, catalogue=CATALOGUE, count=COUNTER.count)
    assert made["usage_details"] == row["usage_details"]


TEXTS = st.lists(
    st.sampled_from(["'s", "'LL", " ", "\n", "\r\n", "\t", "1234", "é", "語", "🪢", "/", "...", "Ab", *WORDS])
    | st.text(max_size=3)
).map("".join)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_our_patterns_split_as_the_packages_own_do(encoding: str) -> None:
    """Ours never backtrack; the ones in the files are what Langfuse runs."""
    from tiktoken import Encoding

    path = DIRECTORY / f"{encoding}.json"
    if not path.is_file():
        pytest.skip(f"NO {path.absolute()}: the npm package's form of a vocabulary brings the pattern along")
    known, packaged = ENCODINGS[encoding], json.loads(path.read_bytes())
    ranks = read_ranks(path, known.size)
    theirs = Encoding(
        encoding, pat_str=packaged["pat_str"], mergeable_ranks=ranks, special_tokens=packaged["special_tokens"]
    )
    ours = Encoding(encoding, pat_str=known.pattern, mergeable_ranks=ranks, special_tokens=dict(known.special))

    @settings(max_examples=500, deadline=None)
    @given(TEXTS)
    def alike(text: str) -> None:
        assert ours.encode(text, allowed_special="all") == theirs.encode(text, allowed_special="all")

    alike()

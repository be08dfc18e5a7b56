"""Vocabularies: where they are looked for, that each is loaded once, and what is said when one is missing."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from made_up_vocabulary import write
from structlog.testing import capture_logs

from openfuse_collector.pricing.model import Tokenizer
from openfuse_collector.tokens import TokenCounter, Uncountable, Vocabularies
from openfuse_collector.tokens.encodings import encoding_name

LOG = structlog.get_logger()
GPT_4 = Tokenizer("openai", "gpt-4", 3, 1)
CLAUDE = Tokenizer("claude")


@pytest.fixture(scope="session")
def made(vocabularies_at: Path) -> TokenCounter:
    return TokenCounter(Vocabularies([vocabularies_at], LOG), max_characters=1_000_000, cache_size=1 << 20)


@pytest.mark.parametrize(
    ("tokenizer", "name"),
    [
        (GPT_4, "cl100k_base"),
        (Tokenizer("openai", "gpt-4o"), "o200k_base"),
        (Tokenizer("openai", "text-davinci-003"), "p50k_base"),
        (Tokenizer("openai", "text-ada-001"), "r50k_base"),
        (Tokenizer("openai", "gpt2"), "r50k_base"),
        (Tokenizer("openai", "gpt-oss-20b"), "o200k_base"),
        (Tokenizer("openai", "unheard-of"), "cl100k_base"),
        (Tokenizer("openai"), "cl100k_base"),
        (CLAUDE, "claude"),
        (Tokenizer("llama"), None),
    ],
)
def test_the_encoding_of_a_tokenizer(tokenizer: Tokenizer, name: str | None) -> None:
    assert encoding_name(tokenizer) == name


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (None, None),
        ([], None),
        ("", 0),
        ("hello world", 2),
        ("hellohello", 2),
        ("xyz", 3),
        ("ä", 2),
        ("<|endoftext|>", 1),
        ("hello<|endoftext|> world", 3),
        ("a\ud800b", 5),
        ([{"role": "user", "content": "hello world", "name": "bob"}], 3 + 1 + 3 + 4),
    ],
)
def test_counts(made: TokenCounter, text: object, tokens: int | None) -> None:
    assert made.count(GPT_4, text) == tokens
    assert made.count(GPT_4, text) == tokens, "from the cache"
    assert made.count(Tokenizer("llama"), text) is None


@pytest.mark.parametrize(("text", "tokens"), [("hello", 1), ("ｈｅｌｌｏ", 1), ("<EOT>", 1), ("<|endoftext|>", 13)])
def test_claude_counts_the_compatibility_form(made: TokenCounter, text: str, tokens: int) -> None:
    assert made.count(CLAUDE, text) == tokens


CACHE_NAME = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
"""What tiktoken calls cl100k_base in its cache."""


@pytest.mark.parametrize("name", ["{}.tiktoken", "{}.json", CACHE_NAME])
def test_a_file_is_found_by_any_of_its_names(tmp_path: Path, name: str) -> None:
    write(tmp_path, "cl100k_base", name)
    found = Vocabularies([tmp_path / "absent", tmp_path], LOG)
    assert list(found.found) == ["cl100k_base"]
    count = found.get("cl100k_base")
    assert count is not None
    assert count("hello world") == 2


def test_the_first_directory_goes_first(tmp_path: Path) -> None:
    directories = [tmp_path / "ours", tmp_path / "theirs"]
    for directory in directories:
        directory.mkdir()
        write(directory, "r50k_base")
    with capture_logs() as logs:
        Vocabularies(directories, LOG).get("r50k_base")
    assert [log["file"] for log in logs] == [str(directories[0] / "r50k_base.tiktoken")]


def test_a_missing_vocabulary_is_one_warning_with_its_remedy(vocabularies_at: Path) -> None:
    found = Vocabularies([vocabularies_at], LOG)
    counter = TokenCounter(found, 100, 0)
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(Uncountable, match="no_vocabulary"):
                counter.count(Tokenizer("openai", "gpt-4o"), "hello")
    assert [(log["log_level"], log["encoding"]) for log in logs] == [("warning", "o200k_base")]
    assert logs[0]["remedy"] == f"put o200k_base.tiktoken or .json into {vocabularies_at} and restart"


def test_a_damaged_vocabulary_is_one_warning_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cl100k_base.tiktoken"
    path.write_bytes(b"IQ== 0\n")
    found = Vocabularies([tmp_path], LOG)
    with capture_logs() as logs:
        assert [found.get("cl100k_base") for _ in range(3)] == [None] * 3
    assert [log["reason"] for log in logs] == [
        f"{path} cannot be used: it holds 1 tokens, a complete one 100,256",
    ]


def test_threads_that_need_one_vocabulary_load_it_once(vocabularies_at: Path) -> None:
    found = Vocabularies([vocabularies_at], LOG)
    with capture_logs() as logs, ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(lambda _: found.get("claude"), range(8)))
    assert len(set(counts)) == 1
    assert [log["event"] for log in logs] == ["vocabulary loaded"]


def test_a_text_beyond_the_bound_is_not_looked_at(vocabularies_at: Path) -> None:
    counter = TokenCounter(Vocabularies([vocabularies_at], LOG), max_characters=10, cache_size=0)
    assert counter.count(GPT_4, "x" * 10) == 10
    for value in ("x" * 11, '"' + "x" * 10, {"a": "x" * 10}):
        with pytest.raises(Uncountable, match="too_long"):
            counter.count(GPT_4, value)


def test_a_text_nobody_can_split_is_uncountable(made: TokenCounter) -> None:
    """The splitting expression gives up on a million blanks before a letter."""
    with pytest.raises(Uncountable, match="not_encodable"):
        made.count(CLAUDE, " " * 999_999 + "x")


def test_counting_brings_no_http_client_along(vocabularies_at: Path) -> None:
    """tiktoken downloads with `requests`; what is never imported cannot download."""
    program = (
        "import sys, structlog; from pathlib import Path; from openfuse_collector.tokens import Vocabularies\n"
        f"found = Vocabularies([Path({str(vocabularies_at)!r})], structlog.get_logger())\n"
        "print(found.get('claude')('hello'), found.get('o200k_base'), 'requests' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "1 None False"

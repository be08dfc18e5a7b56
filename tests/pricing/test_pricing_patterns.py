"""Patterns are Postgres': what they find, and what is none."""

from __future__ import annotations

import pytest

from openfuse_collector.pricing.patterns import compiled

FOUND = [
    ("(?i)^(openai/)?(gpt-4o)$", "OpenAI/GPT-4o", True),
    ("^gpt-4o$", "GPT-4o", False),
    ("gpt-4o", "azure/gpt-4o-mini", True),
    ("^gpt-4o$", "gpt-4o\n", False),
    ("^a$$", "a", True),
    (r"^a\$$", "a$", True),
    ("^a[$]$", "a$", True),
    ("^a[]$]$", "a]", True),
    ("^ft:.+:x$", "ft:a\nb:x", True),
    ("^m-[[:digit:]]+$", "m-12", True),
    ("^m-[^[:digit:]]+$", "m-12", False),
    ("^m[[:alpha:]_]+$", "m_x", True),
    (r"\mgpt\M", "my gpt model", True),
    (r"\mgpt\M", "mygpt", False),
    (r"\ygpt\y", "a-gpt-b", True),
    (r"^claude-\d+$", "claude-35", True),
]


@pytest.mark.parametrize(("pattern", "name", "found"), FOUND)
def test_search(pattern: str, name: str, found: bool) -> None:
    assert (compiled(pattern).search(name) is not None) is found


@pytest.mark.parametrize("pattern", ["(", "[a", "a{2,1}", "*", "[[:emoji:]]", "(?z)a"])
def test_what_is_no_pattern_is_refused_by_name(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a regular expression") as caught:
        compiled(pattern)
    assert f'"{pattern}"' in str(caught.value)


def test_case_can_be_ignored_from_outside() -> None:
    assert compiled("^INPUT", ignore_case=True).search("input_tokens")
    assert not compiled("^INPUT").search("input_tokens")

"""Origins with wildcards: what they allow, and what it costs to find out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.receivers.requests.origins import Origins


@pytest.mark.parametrize(
    ("allowed", "origin", "is_allowed"),
    [
        ("*", "https://example.com", True),
        ("https://example.com", "HTTPS://Example.com", True),
        ("https://example.com", "https://example.com.evil", False),
        ("https://*.example.com", "https://a.b.example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "https://a.example.com.evil", False),
        ("https://*.example.*", "https://a.example.example.org", True),
        ("https://*.a*.b", "https://x.a.a.b.b", True),
    ],
)
def test_wildcards(allowed: str, origin: str, is_allowed: bool) -> None:
    assert (origin in Origins([allowed])) is is_allowed


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_a_wildcard_is_any_run_of_characters(allowed: str, origin: str) -> None:
    expression = allowed.replace("*", ".*")
    assert (origin in Origins([allowed])) is bool(re.fullmatch(expression, origin))


def test_time_grows_with_the_length_of_the_origin_alone() -> None:
    """Trying every place for every wildcard would take days."""
    assert "https://" + ".a" * 2_000_000 not in Origins(["https://*.a*.a*.b"])

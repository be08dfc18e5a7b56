"""From a name to its entry: precedence, what is remembered, and names that match nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.pricing import Catalogue, Model, Tier
from openfuse_collector.pricing.built_in import built_in_models
from openfuse_collector.pricing.catalogue import CACHED_NAMES, LONGEST_NAME
from openfuse_collector.pricing.patterns import compiled


def model(id: str, match: str = "^gpt-4o$", project: str | None = None, start: str | None = None) -> Model:
    return Model(id, id, match, Tier(id, "Standard", {"input": 1}), project=project, start=start)


ENTRIES = [
    model("all-undated"),
    model("all-2025", start="2025-01-01"),
    model("mine-undated", project="mine"),
    model("mine-2024", project="mine", start="2024-01-01"),
    model("mine-2026", project="mine", start="2026-01-01"),
    model("mine-2026-later-in-the-file", project="mine", start="2026-01-01"),
    model("theirs", project="theirs"),
]


def test_precedence() -> None:
    """A project's own, newest first, undated last; then those for all; then the built-in."""
    found = [entry.id for entry in Catalogue(ENTRIES).matches("mine", "gpt-4o")]
    own = ["mine-2026", "mine-2026-later-in-the-file", "mine-2024", "mine-undated"]
    assert found == [*own, "all-2025", "all-undated", "b9854a5c92dc496b997d99d20"]


@pytest.mark.parametrize(("project", "id"), [("mine", "mine-2026"), ("theirs", "theirs"), ("new", "all-2025")])
def test_the_first_is_the_match(project: str, id: str) -> None:
    catalogue = Catalogue(ENTRIES)
    for _ in range(2):  # looked up, then remembered
        found = catalogue.match(project, "gpt-4o")
        assert found is not None and found.id == id


@pytest.mark.parametrize("name", ["", None, "x" * (LONGEST_NAME + 1)])
def test_names_that_match_nothing(name: str | None) -> None:
    asked: list[str] = []

    def elsewhere(name: str, at: int | None) -> Model | None:
        asked.append(name)
        return None

    catalogue = Catalogue([model("any", match="")], built_in=tuple, elsewhere=elsewhere)
    assert catalogue.match("p", name) is None
    assert asked == []
    assert catalogue._found == {}, "a name of any length was kept"


def test_names_are_taken_as_sent() -> None:
    catalogue = Catalogue()
    assert catalogue.match("p", " gpt-4o") is None
    assert catalogue.match("p", "gpt-4o\n") is None
    assert catalogue.match("p", "GPT-4O") is catalogue.match("p", "gpt-4o")


def test_the_table_is_read_when_a_name_is_looked_up() -> None:
    read: list[str] = []

    def table() -> tuple[Model, ...]:
        read.append("table")
        return built_in_models()

    catalogue = Catalogue(ENTRIES, built_in=table)
    assert catalogue.match("p", None) is None
    assert read == []
    assert catalogue.match("p", "gpt-4o") is catalogue.match("q", "gpt-4o")
    assert catalogue.match("p", "o1") is not None
    assert read == ["table"]


def test_without_the_built_in_table() -> None:
    assert Catalogue(built_in=tuple).match("p", "gpt-4o") is None


def test_elsewhere_is_asked_last_and_with_the_time() -> None:
    asked: list[tuple[str, int | None]] = []

    def elsewhere(name: str, at: int | None) -> Model | None:
        asked.append((name, at))
        return model(f"at {at}") if name == "other" else None

    catalogue = Catalogue(elsewhere=elsewhere)
    assert catalogue.match("p", "gpt-4o", 1) is not None
    assert [getattr(catalogue.match("p", "other", at), "id", None) for at in (1, 2)] == ["at 1", "at 2"]
    assert catalogue.match("p", "nobody") is None
    assert asked == [("other", 1), ("other", 2), ("nobody", None)]


def test_what_is_remembered_is_bounded() -> None:
    catalogue = Catalogue([model("any", match="^n")], built_in=tuple)
    for at in range(CACHED_NAMES + 10):
        assert catalogue.match("p", f"n{at}") is not None
    assert len(catalogue._found) <= CACHED_NAMES


NAMES = st.sampled_from([model.match for model in built_in_models()]).flatmap(
    lambda pattern: st.from_regex(compiled(pattern).pattern, fullmatch=True)
)


@given(NAMES | st.text(max_size=30))
def test_sparing_patterns_changes_nothing(name: str) -> None:
    """Needles only decide which patterns are tried: whatever a pattern finds holds one of its needles."""
    by_all = [entry.id for entry in built_in_models() if compiled(entry.match).search(name)]
    assert [entry.id for entry in Catalogue().matches(None, name)] == by_all

"""Openfuse's cases about rows, where the shared data is at hand; and that no case is left out anywhere."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.conformance.openfuse_cases import BESIDE_THE_STORE, DEVIATIONS, JUDGES, outcome
from tests.conformance.outcomes import Verdict
from tests.events.shared_cases import SHARED, needs_shared, openfuse_cases

pytestmark = [pytest.mark.shared, needs_shared]


@pytest.mark.parametrize("group", JUDGES)
def test_every_case_holds_or_is_a_listed_deviation(group: str) -> None:
    results = [outcome(case) for case in openfuse_cases(group)]
    assert results
    assert [result for result in results if result.verdict is Verdict.FAILED] == []


def test_every_group_is_judged_somewhere() -> None:
    whole = json.loads((SHARED / "conformance" / "openfuse_cases.json").read_text())
    groups = Counter(case["group"] for case in whole["cases"])
    assert set(groups) == JUDGES.keys() | BESIDE_THE_STORE
    assert sum(groups.values()) == whole["count"]


def test_deviations_are_cases_and_few() -> None:
    whole: list[dict[str, Any]] = json.loads((SHARED / "conformance" / "openfuse_cases.json").read_text())["cases"]
    assert DEVIATIONS.keys() <= {(case["group"], case["name"]) for case in whole}
    assert len(DEVIATIONS) < 0.12 * len(whole)


@pytest.mark.parametrize(("group", "name"), [pair for pair in DEVIATIONS if pair[0] in JUDGES])
def test_a_deviation_that_holds_is_none(group: str, name: str) -> None:
    (case,) = (case for case in openfuse_cases(group) if case["name"] == name)
    try:
        assert JUDGES[group](case)
    except KeyError:
        pass  # the judge cannot even ask what the case is about

"""Scores and their configs: what a config sets, and that a score it does not allow stays as it was sent."""

from __future__ import annotations

from typing import Any

import pytest

from openfuse_collector.component import ComponentID
from openfuse_collector.enrich.score_configs import ScoreConfig, inflation
from openfuse_collector.extensions.score_configs import FACTORY
from openfuse_collector.extensions.score_configs.config import ScoreConfigEntry, ScoreConfigsConfig
from openfuse_collector.store.enrichment import configured_enrichment
from tests.builders import settings

INFLATE = inflation(
    [
        ScoreConfig("p", "num", "Number", "NUMERIC", 0, 10),
        ScoreConfig("p", "cat", "Tone", "CATEGORICAL", categories=(("good", 1), ("bad", 0))),
        ScoreConfig("p", "bool", "Passed", "BOOLEAN"),
        ScoreConfig("p", "text", "Remark", "TEXT"),
        ScoreConfig("p", "old", "Old", "NUMERIC", archived=True),
        ScoreConfig("", "shared", "For all", "NUMERIC"),
        ScoreConfig("p", "shared", "For p", "NUMERIC"),
    ]
)


def record(config_id: str | None, data_type: str, value: float, text: str | None = None) -> dict[str, Any]:
    """The columns of a score record that a config may read or set."""
    named = {"project_id": "p", "config_id": config_id, "name": "sent"}
    return {**named, "data_type": data_type, "value": value, "string_value": text}


ALLOWED = [
    (record("num", "NUMERIC", 10), {"name": "Number"}),
    (record("cat", "CATEGORICAL", 0, "good"), {"name": "Tone", "value": 1}),
    (record("bool", "NUMERIC", 1), {"name": "Passed", "data_type": "BOOLEAN", "string_value": "True"}),
    (record("bool", "BOOLEAN", 0, "False"), {"name": "Passed"}),
    (record("text", "CATEGORICAL", 0, "fine"), {"name": "Remark", "data_type": "TEXT"}),
    (record("text", "TEXT", 0, "x" * 500), {"name": "Remark"}),
    (record("shared", "NUMERIC", 1), {"name": "For p"}),
    ({**record("shared", "NUMERIC", 1), "project_id": "q"}, {"name": "For all"}),
]


@pytest.mark.parametrize(("given", "changes"), ALLOWED)
def test_a_score_takes_what_its_config_says(given: dict[str, Any], changes: dict[str, Any]) -> None:
    assert INFLATE(dict(given)) == {**given, **changes}


KEPT = [
    record(None, "NUMERIC", 5),
    record("num", "NUMERIC", 10.5),
    record("num", "NUMERIC", -1),
    record("num", "CATEGORICAL", 0, "x"),
    record("cat", "CATEGORICAL", 0, "nope"),
    record("cat", "NUMERIC", 1),
    record("bool", "NUMERIC", 3),
    record("text", "CATEGORICAL", 0, ""),
    record("text", "CATEGORICAL", 0, "x" * 501),
    record("old", "NUMERIC", 1),
    record("unknown", "NUMERIC", 1),
    {**record("num", "NUMERIC", 1), "project_id": "q"},
]


@pytest.mark.parametrize("given", KEPT)
def test_a_score_its_config_does_not_allow_stays_as_it_was_sent(given: dict[str, Any]) -> None:
    assert INFLATE(dict(given)) == given


def test_the_extension_inflates_in_every_store() -> None:
    entry = ScoreConfigEntry("cat", "Tone", "CATEGORICAL", project="p", categories={"good": 1})
    made = FACTORY.create(settings("score_configs"), ScoreConfigsConfig((entry,)))

    class Running:
        def extension(self, type: str) -> Any | None:
            return made if type == ComponentID("score_configs").type else None

    found = configured_enrichment(Running())("score", record("cat", "CATEGORICAL", 0, "good"))
    assert (found["name"], found["value"]) == ("Tone", 1)


@pytest.mark.parametrize(
    ("entry", "mistakes"),
    [
        (ScoreConfigEntry("i", "n", "NUMERIC", min_value=0, max_value=1), []),
        (ScoreConfigEntry("", "n", "NUMERIC"), ["id must not be empty"]),
        (ScoreConfigEntry("i", "", "TEXT"), ["name must not be empty"]),
        (
            ScoreConfigEntry("i", "n", "NUMERIC", min_value=2, max_value=1),
            ["min_value must not be above max_value"],
        ),
        (ScoreConfigEntry("i", "n", "TEXT", max_value=1), ["min_value and max_value have no meaning for TEXT"]),
        (ScoreConfigEntry("i", "n", "CATEGORICAL"), ["categories must be set for CATEGORICAL, and for nothing else"]),
    ],
)
def test_mistakes_in_a_config(entry: ScoreConfigEntry, mistakes: list[str]) -> None:
    assert list(entry.validate()) == mistakes


def test_configs_of_a_project_have_different_ids() -> None:
    entry = ScoreConfigEntry("i", "n", "NUMERIC")
    assert list(ScoreConfigsConfig((entry,)).validate()) == []
    assert len(list(ScoreConfigsConfig((entry, entry)).validate())) == 1

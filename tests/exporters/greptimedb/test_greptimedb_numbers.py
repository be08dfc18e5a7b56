"""Numbers and nesting the client refuses to send: they cost themselves, not their observation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from greptimedb_kit import Server, export, exporter

from openfuse_collector.events.depth import DEEPEST
from openfuse_collector.exporters.greptimedb.rows import any_json
from openfuse_collector.store.enrichment import configured_enrichment
from openfuse_collector.store.projector import Projector
from tests.builders import event, settings

BEYOND = 10**400


def nested(levels: int) -> Any:
    """Maps in maps."""
    value: Any = "deep"
    for _ in range(levels):
        value = {"a": value}
    return value


BODIES: list[dict[str, Any]] = [
    {"usageDetails": {"input": BEYOND, "output": 2}},
    {"usageDetails": {"input": BEYOND, "output": 2, "x": 0.5}},
    {"usageDetails": {"x": 1.5e308, "y": 1.5e308, "output": 2}},
    {"usageDetails": {"x": "1.5e308", "y": "1.5e308", "z": 0.5, "output": 2}},
    {"usage": {"input": BEYOND, "output": 2.0}},
    {"costDetails": {"input": BEYOND, "output": 2.0}, "usageDetails": {"output": 2}},
    {"modelParameters": {"seed": BEYOND, "low": -BEYOND, "top_p": 1}, "usageDetails": {"output": 2}},
    {"modelParameters": nested(DEEPEST), "usageDetails": {"output": 2}},
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_an_observation_is_stored_whatever_its_numbers(server: Server, body: dict[str, Any]) -> None:
    with exporter(server) as made:
        export(made, [event("o1", model="gpt-4o", name="there", **body), event("o2", name="beside")])
    first, second = server.table("observations")
    assert (first["name"], first["output_usage"], second["name"]) == ("there", 2, "beside")


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_it_is_folded_for_any_store(body: dict[str, Any]) -> None:
    projector = Projector(lambda entities: {}, configured_enrichment(settings()), 0)
    (row,) = projector.apply([event("o1", model="gpt-4o", **body)]).rows["observation"]
    assert row["output_usage"] == 2


def test_a_score_beyond_a_double_leaves_the_value_before(server: Server) -> None:
    with exporter(server) as made:
        export(made, [event("s1", "score", id="1", value=0.5)])
        export(made, [event("s1", "score", id="2", value=BEYOND)])
    assert [row["value"] for row in server.table("scores")] == [0.5]


def test_any_json_is_changed_no_more_than_it_has_to_be() -> None:
    plain = '{"a":[1,2.5,"x"],"digits":"' + "1" * 400 + '"}'
    assert any_json(plain) == plain
    assert json.loads(any_json(json.dumps({"n": [BEYOND, 7], "s": "1" * 400}))) == {"n": [None, 7], "s": "1" * 400}
    assert any_json(json.dumps(nested(127))) == json.dumps(nested(127))

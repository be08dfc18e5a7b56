"""Numbers and nesting the client refuses to send: they cost themselves, not their observation."""

from __future__ import annotations

import json
from typing import Any

from greptimedb_kit import Server, store
from settle_kit import assert_settled

from openfuse_collector.events.depth import DEEPEST
from openfuse_collector.exporters.greptimedb.rows import any_json
from tests.builders import event

BEYOND = 10**400


def test_model_parameters_may_be_beyond_a_double(server: Server) -> None:
    said = [event("o1", modelParameters={"seed": BEYOND, "top_p": 0.5}), event("o2")]
    store(server, said)
    assert [row["id"] for row in server.table("observations")] == ["o1", "o2"]
    assert json.loads(server.table("observations")[0]["model_parameters"]) == {"seed": None, "top_p": 0.5}
    assert_settled(server, said)


def test_model_parameters_may_be_deep(server: Server) -> None:
    value: Any = "deep"
    for _ in range(DEEPEST):
        value = {"a": value}
    said = [event("o1", modelParameters=value), event("o2")]
    store(server, said)
    kept = server.table("observations")[0]["model_parameters"]
    assert kept.count('{"a":') == 127
    assert_settled(server, said)


def test_nothing_else_in_them_is_changed() -> None:
    plain = '{"a":[1,2.5,"x"],"digits":"' + "1" * 400 + '"}'
    assert any_json(plain) == plain
    mixed = {"n": [BEYOND, -BEYOND, 7, 10**308], "s": "1" * 400}
    assert json.loads(any_json(json.dumps(mixed))) == {"n": [None, None, 7, 10**308], "s": "1" * 400}

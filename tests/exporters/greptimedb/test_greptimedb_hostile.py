"""SQL metacharacters in every field: stored as they are, found again, moved, and nothing else happens to the database."""

from __future__ import annotations

import json
from typing import Any

from greptimedb_kit import Server, export, exporter, store
from settle_kit import assert_settled

from openfuse_collector.events.columns import PROJECTIONS
from tests.builders import event
from tests.greptimedb_double import faults
from tests.hostile.evil_events import EARLY, EVIL, PROJECT, evil_events, expected


def same(stored: Any, wanted: Any) -> bool:
    """JSON text by its value, all else as it is; booleans are 0 and 1 in the record."""
    if stored == wanted or (stored is None and wanted in (None, "", "{}", "[]")):
        return True
    try:
        return bool(json.loads(stored) == json.loads(wanted))
    except (TypeError, ValueError):
        return False


def test_metacharacters_in_every_field(server: Server) -> None:
    later = evil_events(EARLY, turn=1)
    store(server, [event("innocent"), *evil_events()], later)  # with a restart between: found by query alone
    for kind, wanted in expected([*evil_events(), *later]).items():
        rows = [row for row in server.table(PROJECTIONS[kind]) if row["project_id"] == PROJECT]
        assert [row["id"] for row in rows] == [f"{kind} {EVIL}"], kind
        text = [name for name, value in wanted.items() if isinstance(value, str) and EVIL[:6] in value]
        assert len(text) >= 5
        assert [name for name in text if not same(rows[0][name], wanted[name])] == [], kind
    assert [row["id"] for row in server.table("observations") if row["project_id"] == "default"] == ["innocent"]
    assert sum(row["project_id"] == PROJECT for row in server.table("raw_events")) == 6


def test_ids_that_become_one_in_the_store_are_one_entity(faulty: Server) -> None:
    """Whichever of its events are folded first, and whichever call takes longer."""
    with exporter(faulty) as made:
        export(made, [event("first", "trace")])
        faulty.double.fail(slow := faults.slow(0.5).over("grpc").on("traces").method("insert").nth(1))
        early = [event(f"t{number}\0", "trace", id=f"early-{number}", name="early") for number in range(8)]
        late = [event(f"t{number}\ufffd", "trace", id=f"late-{number}", name="late") for number in range(8)]
        for one in late:
            one.timestamp = "2026-11-21T07:00:00Z"
        export(made, [*early, *late])
        assert faulty.double.struck(slow)
    assert [row["name"] for row in faulty.table("traces")] == [None, *["late"] * 8]


def test_names_that_become_one_in_the_store_are_one(server: Server) -> None:
    said = [
        event("t1", "trace", tags=["x\0", "x\ufffd", "y"], metadata={"k\0": "1", "k\ufffd": "2"}),
        event("o1", metadata={"k\0": "1", "k\ufffd": "2"}, usageDetails={"a\0": 1, "a\ufffd": 2}),
    ]
    store(server, said)
    assert server.table("traces")[0]["tags"] == '["x\ufffd","y"]'
    assert_settled(server, said)

"""One payload, two stores: what applications really send gives the same rows in GreptimeDB as in SQLite."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from greptimedb_kit import Server
from stores_compared import assert_same, compact

from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.exporters.greptimedb.side_tables import SIDE_TABLES
from tests.collector_process import CollectorProcess, start_collector, wait_until
from tests.events.shared_cases import SHARED, cases, needs_shared

sys.path.insert(0, str(Path(__file__).parents[2] / "conformance"))
from corpus_inprocess import load_cases

__all__ = ["start_collector"]

CONFIG = Path(__file__).parents[3] / "config" / "greptimedb.yaml"

PATIENCE = 900
"""Seconds until both stores have everything; some twenty are usual."""

pytestmark = [pytest.mark.shared, needs_shared]


OWN_PRICES = """
extensions:
  pricing:
    models:
      - name: house
        match: ^(fast|llama.*)$
        prices: {input: 0.3, output: 0.7}
        tiers:
          - {name: Long, when: [{usage: ^input, operator: gte, value: 100}], prices: {input: 0.6}}
exporters:
  sqlite:
service:
  extensions: [health_check, pricing]
  pipelines:
    events:
      exporters: [greptimedb, sqlite]
"""


def scenarios(complete: bool) -> list[str]:
    """Folders of the corpus, all or one in four: whole scenarios, for a trace may be spread over the requests of one."""
    return sorted({case["scenario"] for case in load_cases()})[:: 1 if complete else 4]


def sent(names: Sequence[str]) -> Iterator[tuple[str, bytes, str]]:
    """(path, body, content type) of the captured requests of these scenarios, and of Langfuse's cases as ingestion calls."""
    folders = [SHARED / "corpus" / name for name in names]
    for path in [
        path for kind in ("traces", "logs") for folder in folders for path in sorted(folder.glob(f"*.{kind}.*"))
    ]:
        kind = "application/json" if path.suffix == ".json" else "application/x-protobuf"
        yield f"/v1/{path.name.rsplit('.', 2)[1]}", path.read_bytes(), kind
    for name in ("merge_trace", "merge_observation", "merge_score"):
        for number, case in enumerate(cases(name)):
            # Ids of their own for every case: they share them, and an id that was seen is a copy.
            batch = json.dumps({"batch": case["events"]}).replace("0000-4000-8000", f"{number:04x}-4000-8000")
            yield "/api/public/ingestion", batch.encode(), "application/json"


def post(collector: CollectorProcess, path: str, body: bytes, kind: str) -> None:
    headers = {"Content-Type": kind, "Authorization": "Basic cGstbGYtMTpzay1sZi0x"}
    with urlopen(Request(collector.http_endpoint + path, body, headers), timeout=60) as answer:
        assert answer.status in (200, 207), path


def assert_side_tables_hold_what_the_projections_say(server: Server) -> None:
    for kind, sides in SIDE_TABLES.items():
        rows = {row["id"]: row for row in server.table(PROJECTIONS[kind])}
        for side in sides:
            found: dict[str, int] = defaultdict(int)
            for row in server.visible(side.name, PROJECTIONS[kind]):
                found[row["entity_id"]] += 1
            wanted = {id: len(list(side.keys(compact(row)))) for id, row in rows.items()}
            assert found == {id: count for id, count in wanted.items() if count}, side.name


@pytest.mark.parametrize("complete", [False, pytest.param(True, marks=pytest.mark.long)], ids=["sample", "complete"])
def test_one_collector_with_both_stores_writes_the_same_to_both(
    server: Server, start_collector: Callable[..., CollectorProcess], complete: bool
) -> None:
    """The whole way, from bytes on the wire to rows, with everything enrichment fills."""
    sets = {
        "exporters.greptimedb.endpoints": f"[{server.grpc}]",
        "exporters.greptimedb.http_endpoints": f"[{server.http}]",
        "exporters.greptimedb.database": server.database,
        "service.pipelines.traces.batch.timeout": "20ms",
        "service.journal.max_size": "1GiB",
        "service.journal.min_free_disk": "1MiB",
    }
    names = scenarios(complete)
    collector = start_collector(arguments=["--config", str(CONFIG), "--config", f"yaml:{OWN_PRICES}"], sets=sets)
    for path, body, kind in sent(names):
        post(collector, path, body, kind)
    wanted = {id for case in load_cases() if case["scenario"] in names for id in case["observations"]}
    wait_until(lambda: collector.metric("openfuse_journal_cursor_lag_bytes") == 0, lambda: collector.log, PATIENCE)
    assert collector.metric("openfuse_dead_letters_total") == 0, collector.log
    assert collector.stop() == 0, collector.log
    counts = assert_same(server, collector.store)
    assert_side_tables_hold_what_the_projections_say(server)
    assert counts["observations"] >= len(wanted)
    assert counts["scores"] > 10
    for table, condition in FILLED.items():
        assert collector.query(f"SELECT count(*) AS n FROM {table} WHERE {condition}")[0]["n"] > 0, condition
    assert collector.query("SELECT 1 FROM observations WHERE usage_pricing_tier_name = 'Long' AND total_cost > 0")


FILLED = {
    "observations": "tool_definitions <> '{}' AND total_cost > 0 AND provided_usage_details <> '{}'",
    "observations AS o": "tool_call_names <> '[]'",
    "observations AS p": "provided_cost_details <> '{}'",
    "traces": "tags <> '[]' AND session_id IS NOT NULL",
}
"""Table -> what some of its rows must have, or the comparison would say little."""

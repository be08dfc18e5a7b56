"""The benchmark of the GreptimeDB store runs, counts what the double has, and reports what its README names."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from benchmarks.greptimedb import MEANINGS, run, table_of


def test_a_small_run_is_complete_and_has_every_figure(tmp_path: Path) -> None:
    options = Namespace(spans=140, batch=14, connections=2, rate=0, seed=5, timeout=300, set=[])
    out = run(options, tmp_path)
    assert out["complete"]
    assert out["spans"] == out["acked"] == 140
    assert MEANINGS.keys() <= out.keys()
    assert {"raw_events", "observations", "observations_metadata", "traces", "traces_tags"} <= out[
        "rows_per_s_by_table"
    ].keys()
    assert 0 < out["encode_cpu_share"] < 1
    assert 0 <= out["client_cpu_share"] < 1  # in ticks of the clock, of which a small run may have none
    assert table_of(out).row_count == len(MEANINGS) + len(out["rows_per_s_by_table"])

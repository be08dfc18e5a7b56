"""What enrichment costs: whole collectors with and without it take the same load in turns: `make bench-enrichment`, or

    python -m benchmarks.enrichment [--spans N] [--rounds N] [--bar SHARE] [--grpc]

Each round starts one collector of each kind on empty paths, the one that goes first changing from round to round, and loads it as
`benchmarks.run` does. Figures are medians; the overhead is the median over rounds of how much more time (or processor
time) a stored span took with enrichment than without. Exit code 1 when something is not stored, when the collectors do not differ as they
should, or when the overhead of time is above --bar. The last line is the figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load import arguments
from benchmarks.run import SETTLE, cpu_seconds, load
from tests.collector_process import CollectorProcess

BAR = 0.15
"""Share of time enrichment may add to a stored span."""

PROGRAMS = {"with": "openfuse_collector", "without": "benchmarks.without_enrichment"}
"""Kind of collector -> module to run."""

Figures = dict[str, float]
Round = Mapping[str, Figures]
"""Kind of collector -> what one load of it gave."""


def measure(kind: str, options: argparse.Namespace, directory: Path) -> Figures:
    """One load of one fresh collector. Exits when something is not stored or not as that kind stores it."""
    collector = CollectorProcess(directory, program=PROGRAMS[kind]).start()
    try:
        time.sleep(SETTLE)
        cpu = cpu_seconds(collector.pid)
        out = load(collector, options)
        cpu = cpu_seconds(collector.pid) - cpu
        priced = collector.query("SELECT count(*) AS n FROM observations WHERE total_cost IS NOT NULL")[0]["n"]
    finally:
        collector.stop()
    if not out["complete"] or bool(priced) != (kind == "with"):
        sys.exit(f"NOT AS IT SHOULD BE: {kind} enrichment, {priced} observations have a cost: {out}")
    return {"stored_spans_per_s": out["stored_spans_per_s"], "cpu_us_per_span": round(1e6 * cpu / out["stored"], 1)}


def rounds(options: argparse.Namespace, directory: Path) -> list[Round]:
    """All rounds; which kind goes first alternates, so that neither gains by what a machine does over time."""
    done: list[Round] = []
    for number in range(options.rounds):
        order = sorted(PROGRAMS, reverse=bool(number % 2))
        done.append({kind: measure(kind, options, directory / f"{number}-{kind}") for kind in order})
    return done


def summary(done: Sequence[Round]) -> dict[str, Any]:
    """Medians of both kinds, and the overhead: 0.1 is a tenth more per span."""
    medians = {
        kind: {name: median(figures[kind][name] for figures in done) for name in done[0][kind]} for kind in PROGRAMS
    }
    times = [one["without"]["stored_spans_per_s"] / one["with"]["stored_spans_per_s"] - 1 for one in done]
    processor = [one["with"]["cpu_us_per_span"] / one["without"]["cpu_us_per_span"] - 1 for one in done]
    overheads = {"overhead_time": round(median(times), 3), "overhead_cpu": round(median(processor), 3)}
    return {**medians, **overheads, "rounds": len(done), "times": [round(share, 3) for share in times]}


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bar", type=float, default=BAR)
    parser.add_argument("--grpc", action="store_true", help="OTLP/gRPC instead of HTTP")
    arguments(parser)
    parser.set_defaults(spans=35_000, shared=False, seed=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openfuse-bench-") as directory:
        out = summary(rounds(options, Path(directory)))
    for kind in PROGRAMS:
        stored, cpu = out[kind]["stored_spans_per_s"], out[kind]["cpu_us_per_span"]
        print(f"{kind:8} enrichment {stored:>8,.0f} stored spans/s {cpu:>8,.1f} us of processor time a span")
    print(f"enrichment adds {out['overhead_time']:.1%} of time, {out['overhead_cpu']:.1%} of processor time")
    print(json.dumps(out))
    if out["overhead_time"] > options.bar:
        print(f"TOO DEAR: enrichment adds {out['overhead_time']:.1%}, the bar is {options.bar:.0%}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

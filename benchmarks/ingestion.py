"""Loads a collector on temporary paths through the Langfuse ingestion API and prints what it can do: `make bench-ingestion`, or

    python -m benchmarks.ingestion [--traces N] [--batch N] [--producers N] [--bar TRACES_PER_S]

The producers are a process of their own. The last line is the figures as JSON; the exit code is 1 when something that was
sent is not in the store, or the stored rate is below --bar. Linux only, for /proc. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.ingestion_load import arguments, is_complete
from benchmarks.run import CHECKOUT, SETTLE, cpu_seconds, memory_mib, quantile, stall_buckets
from tests.collector_process import CollectorProcess

BAR = 1500
"""Stored traces a second on two cores shared with the producers."""

MEANINGS = {
    "acked_traces_per_s": "acknowledged traces/s",
    "stored_traces_per_s": "stored traces/s",
    "ack_ms_p50": "acknowledgement p50, ms",
    "ack_ms_p99": "acknowledgement p99, ms",
    "retried_requests": "requests told to come back",
    "cpu_s_per_1000_traces": "CPU seconds per 1000 traces",
    "stall_ms_p99": "event loop stall p99, ms",
    "peak_rss_mib": "peak memory, MiB",
}
"""JSON key -> line of the table, in order."""


def load(collector: CollectorProcess, options: argparse.Namespace) -> dict[str, Any]:
    """Run the producers in a process of their own; what they print."""
    shape = [f"--{key}={getattr(options, key)}" for key in ("traces", "batch", "producers", "seed", "timeout")]
    target = ["--http", f"127.0.0.1:{collector.http_port}", "--sqlite", str(collector.store)]
    command = [sys.executable, "-m", "benchmarks.ingestion_load", *target, *shape]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)  # noqa: S603
    if not done.stdout.strip():
        sys.exit(f"the load did not run:\n{done.stderr}\n{collector.log[-4000:]}")
    out: dict[str, Any] = json.loads(done.stdout)
    return out


def measure(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """One load on one fresh collector with the default configuration."""
    collector = CollectorProcess(directory / "loaded").start()
    try:
        time.sleep(SETTLE)
        cpu, stalls = cpu_seconds(collector.pid), stall_buckets(collector.metrics_url)
        out = load(collector, options)
        cpu = cpu_seconds(collector.pid) - cpu
        stall = quantile(stalls, stall_buckets(collector.metrics_url), 0.99)
        return {
            **out,
            "cpu_s_per_1000_traces": round(1000 * cpu / max(1, out["acked"]), 4),
            "stall_ms_p99": None if stall is None else round(1000 * stall, 1),
            "peak_rss_mib": memory_mib(collector.pid, "VmHWM"),
        }
    finally:
        collector.stop()


def table_of(out: dict[str, Any]) -> Table:
    """The figures for people."""
    title = f"{out['traces']:,} traces in batches of {out['batch']} events, {out['producers']} producers"
    table = Table("measured", "", title=title, show_header=False)
    table.columns[1].justify = "right"
    for key, meaning in MEANINGS.items():
        value = out[key]
        table.add_row(meaning, "-" if value is None else f"{value:,}")
    return table


def complaint(out: dict[str, Any], bar: float) -> str | None:
    """What is wrong with a run, None when nothing is."""
    if not is_complete(out):
        return "NOT COMPLETE: something that was sent is not in the store"
    if out["stored_traces_per_s"] < bar:
        return f"TOO SLOW: {out['stored_traces_per_s']} stored traces/s, the bar is {bar:g}"
    return None


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bar", type=float, default=BAR, help="stored traces/s below which the exit code is 1")
    arguments(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openfuse-bench-") as directory:
        out = measure(options, Path(directory))
    Console().print(table_of(out))
    print(json.dumps(out))
    wrong = complaint(out, options.bar)
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

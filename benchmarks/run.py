"""Starts a collector on temporary paths, loads it, and prints what it can do: `make bench`, or

    python -m benchmarks.run [--grpc] [--shared] [--spans N] [--batch N] [--connections N] [--rate N] [--starts N]

What each line means is in benchmarks/README.md. The last line is the same as JSON. Linux only, for /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from rich.console import Console
from rich.table import Table

from benchmarks.load import arguments
from tests.collector_process import CollectorProcess

CHECKOUT = Path(__file__).resolve().parent.parent
STALL = "openfuse_event_loop_stall_seconds"
SETTLE = 1.0
"""Seconds of quiet before the idle memory is read."""

MEANINGS = {
    "spans": "spans sent",
    "acked_spans_per_s": "acknowledged spans/s",
    "stored_spans_per_s": "stored spans/s",
    "ack_ms_p50": "acknowledgement p50, ms",
    "ack_ms_p99": "acknowledgement p99, ms",
    "retried_requests": "requests told to come back",
    "cpu_s_per_1000_spans": "CPU seconds per 1000 spans",
    "stall_ms_p99": "event loop stall p99, ms",
    "peak_rss_mib": "peak memory, MiB",
    "idle_rss_mib": "idle memory, MiB",
    "start_s": "start to ready, s (median)",
}
"""JSON key -> line of the table, in order."""


def processes(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        for listing in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, listing.read_text().split())
    return found


def memory_mib(pid: int, field: str) -> float:
    """VmRSS or VmHWM summed over a collector's processes, in MiB."""
    total = 0
    for process in processes(pid):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
    return round(total / 1024, 1)


def cpu_seconds(pid: int) -> float:
    """User and system time of a collector's processes."""
    ticks = 0
    for process in processes(pid):
        after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def stall_buckets(url: str) -> dict[float, float]:
    """Upper bound in seconds -> samples at or below it, of the event-loop stall histogram."""
    with urlopen(url, timeout=10) as answer:  # noqa: S310
        lines = answer.read().decode().splitlines()
    found = {}
    for line in lines:
        if line.startswith(f"{STALL}_bucket{{"):
            bound = line.partition('le="')[2].partition('"')[0]
            found[float(bound)] = float(line.rpartition(" ")[2])
    return found


def quantile(before: dict[float, float], after: dict[float, float], q: float) -> float | None:
    """Quantile of the samples between two readings, interpolated in its bucket; None without samples."""
    counts = [(bound, after[bound] - before.get(bound, 0)) for bound in sorted(after)]
    wanted = q * counts[-1][1] if counts else 0
    if not wanted:
        return None
    low, below = 0.0, 0.0
    for bound, count in counts:
        if count >= wanted:
            return low if bound == float("inf") else low + (bound - low) * (wanted - below) / (count - below)
        low, below = bound, count
    return None


def start_seconds(directory: Path, times: int) -> float:
    """Median time from starting the process to the first 200 of its health endpoint, every time on an empty directory."""
    took = []
    for at in range(times):
        collector = CollectorProcess(directory / f"start-{at}")
        began = time.perf_counter()
        collector.start()
        took.append(time.perf_counter() - began)
        collector.stop()
    return round(median(took), 3)


def load(collector: CollectorProcess, options: argparse.Namespace) -> dict[str, Any]:
    """Run the load in a process of its own, as a client would be."""
    target = (
        ["--grpc", f"127.0.0.1:{collector.grpc_port}"]
        if options.grpc
        else ["--http", f"127.0.0.1:{collector.http_port}"]
    )
    shape = [f"--{key}={getattr(options, key)}" for key in ("spans", "batch", "connections", "rate", "seed", "timeout")]
    script = [str(_shared_load())] if options.shared else ["-m", "benchmarks.load"]
    command = [sys.executable, *script, *target, "--sqlite", str(collector.store), *shape]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)  # noqa: S603
    if not done.stdout.strip():
        sys.exit(f"the load did not run:\n{done.stderr}\n{collector.log[-4000:]}")
    return {**json.loads(done.stdout), "complete": done.returncode == 0}


def _shared_load() -> Path:
    """The load generator beside the recorded cases (tests/conformance/README.md); exits where there is none."""
    home = Path(os.environ.get("OPENFUSE_SHARED", CHECKOUT.parent / "shared"))
    script = home / "check" / "load.py"
    if not script.exists():
        sys.exit(f"--shared: no {script}; set OPENFUSE_SHARED, see tests/conformance/README.md")
    return script


def measure(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Everything, on one fresh collector after the start-up rounds."""
    start = start_seconds(directory, options.starts)
    collector = CollectorProcess(directory / "loaded").start()
    try:
        time.sleep(SETTLE)
        idle = memory_mib(collector.pid, "VmRSS")
        cpu, stalls = cpu_seconds(collector.pid), stall_buckets(collector.metrics_url)
        out = load(collector, options)
        cpu = cpu_seconds(collector.pid) - cpu
        stall = quantile(stalls, stall_buckets(collector.metrics_url), 0.99)
        return {
            "protocol": "grpc" if options.grpc else "http/protobuf",
            **out,
            "cpu_s_per_1000_spans": round(1000 * cpu / max(1, out["acked"]), 4),
            "stall_ms_p99": None if stall is None else round(1000 * stall, 1),
            "peak_rss_mib": memory_mib(collector.pid, "VmHWM"),
            "idle_rss_mib": idle,
            "start_s": start,
        }
    finally:
        collector.stop()


def table_of(out: dict[str, Any]) -> Table:
    """The figures for people."""
    table = Table(
        "measured",
        "",
        title=f"{out['protocol']}, {out['bytes'] / out['spans'] / 1000:.2f} KB a span",
        show_header=False,
    )
    table.columns[1].justify = "right"
    for key, meaning in MEANINGS.items():
        value = out.get(key)
        table.add_row(meaning, "-" if value is None else f"{value:,}")
    return table


def main() -> int:
    """Parse, measure, print; 1 when something sent was not stored."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grpc", action="store_true", help="OTLP/gRPC instead of HTTP")
    parser.add_argument(
        "--shared", action="store_true", help="use the load generator of $OPENFUSE_SHARED, else ../shared"
    )
    parser.add_argument("--starts", type=int, default=5, help="starts to take the median of")
    arguments(parser)
    with tempfile.TemporaryDirectory(prefix="openfuse-bench-") as directory:
        out = measure(parser.parse_args(), Path(directory))
    Console().print(table_of(out))
    print(json.dumps(out))
    if not out["complete"]:
        print("NOT COMPLETE: something that was sent is not in the store", file=sys.stderr)
    return 0 if out["complete"] else 1


if __name__ == "__main__":
    sys.exit(main())

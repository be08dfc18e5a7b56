"""Loads a collector that writes to the double of GreptimeDB, all on this machine: `make bench-greptimedb`, or

    python -m benchmarks.greptimedb [--spans N] [--batch N] [--connections N] [--rate N] [--bar N] [--stall-bar MS]

What each line means is in benchmarks/README.md. The last line is the same as JSON. Linux only, for /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from benchmarks.agent_traces import SPANS_PER_TRACE, requests
from benchmarks.load import arguments, percentiles, send_all
from benchmarks.run import cpu_seconds, memory_mib, quantile, stall_buckets
from openfuse_collector.cli.transport import HttpTransport
from tests.collector_process import CollectorProcess
from tests.greptimedb_double import DoubleProcess

CONFIG = Path(__file__).resolve().parent.parent / "config" / "greptimedb.yaml"
DATABASE = "openfuse"
TABLES = (
    "raw_events", "observations_metadata", "observations_usage_cost", "observations_tool_calls", "observations",
    "traces_metadata", "traces_tags", "traces",
)  # fmt: skip
POLL = 0.1
IDLE = 3.0
"""Seconds before the load, to see what the machine does to an event loop with nothing to do."""

MEANINGS = {
    "spans": "spans sent",
    "acked_spans_per_s": "acknowledged spans/s",
    "stored_spans_per_s": "stored spans/s",
    "rows_per_s": "rows/s, all tables",
    "ack_ms_p50": "acknowledgement p50, ms",
    "ack_ms_p99": "acknowledgement p99, ms",
    "stall_ms_p99": "event loop stall p99, ms",
    "idle_stall_ms_p99": "the same before the load, ms",
    "cpu_s_per_1000_spans": "CPU seconds of the collector per 1000 spans",
    "encode_cpu_share": "of that: converting and encoding rows",
    "client_cpu_share": "of that: the gRPC client's own threads",
    "double_cpu_s_per_1000_spans": "CPU seconds of the double per 1000 spans",
    "cores": "cores in use",
    "peak_rss_mib": "peak memory of the collector, MiB",
}
"""JSON key -> line of the table, in order."""


def written(collector: CollectorProcess, table: str) -> float:
    """Rows of a table the server has taken."""
    return collector.metric("openfuse_store_written_rows_total", table=table)


def client_cpu_seconds(pid: int) -> float:
    """CPU time of the threads the client library runs; they carry names of its own."""
    found: Counter[str] = Counter()
    for task in Path(f"/proc/{pid}/task").iterdir():
        name, _, fields = (task / "stat").read_text().partition("(")[2].rpartition(")")
        times = fields.split()
        found[name] += int(times[11]) + int(times[12])
    return sum(ticks for name, ticks in found.items() if name.startswith("greptimedb")) / os.sysconf("SC_CLK_TCK")


class Meter:
    """What the processes have used so far."""

    def __init__(self, collector: CollectorProcess, double: DoubleProcess) -> None:
        self.cpu = cpu_seconds(collector.pid)
        self.client = client_cpu_seconds(collector.pid)
        self.double = cpu_seconds(double.pid)
        self.all = self.cpu + self.double + time.process_time()
        self.encode = collector.metric("openfuse_greptimedb_encode_cpu_seconds_total")
        self.stalls = stall_buckets(collector.metrics_url)


def measure(collector: CollectorProcess, double: DoubleProcess, options: argparse.Namespace) -> dict[str, Any]:
    """One run against a collector that has just started."""
    work = list(requests(options.spans, options.batch, options.seed))
    spans = sum(load.spans for load in work)
    connect = lambda: HttpTransport(collector.http_endpoint, {})  # noqa: E731
    idle = stall_buckets(collector.metrics_url)
    time.sleep(IDLE)
    before, began = Meter(collector, double), time.perf_counter()
    until = began + options.timeout
    sent = send_all(work, connect, options.connections, options.rate, until)
    acked = time.perf_counter() - began
    while written(collector, "observations") < spans and time.perf_counter() < until:
        time.sleep(POLL)
    took = time.perf_counter() - began
    after = Meter(collector, double)
    rows = {table: written(collector, table) for table in TABLES}
    cpu = after.cpu - before.cpu
    return {
        "spans": spans,
        "acked": sent.acked,
        "acked_spans_per_s": round(sent.acked / acked),
        **percentiles(sent.latencies),
        "stored_spans_per_s": round(rows["observations"] / took),
        "rows_per_s": round(sum(rows.values()) / took),
        "rows_per_s_by_table": {table: round(number / took) for table, number in rows.items() if number},
        "stall_ms_p99": _stall_ms(before.stalls, after.stalls),
        "idle_stall_ms_p99": _stall_ms(idle, before.stalls),
        "cpu_s_per_1000_spans": round(1000 * cpu / spans, 4),
        "encode_cpu_share": round((after.encode - before.encode) / cpu, 3),
        "client_cpu_share": round((after.client - before.client) / cpu, 3),
        "double_cpu_s_per_1000_spans": round(1000 * (after.double - before.double) / spans, 4),
        "cores": round((after.all - before.all) / took, 2),
        "peak_rss_mib": memory_mib(collector.pid, "VmHWM"),
    }


def _stall_ms(before: dict[float, float], after: dict[float, float]) -> float:
    return round(1000 * (quantile(before, after, 0.99) or 0.0), 1)


def is_complete(out: dict[str, Any], double: DoubleProcess) -> bool:
    """Does the double itself say that everything is there, once?"""
    count = lambda table: double.query(f"SELECT count(*) AS n FROM {table}", DATABASE)[0]["n"]  # noqa: E731, S608
    traces = out["spans"] // SPANS_PER_TRACE
    return bool(
        out["acked"] == out["spans"] == count("observations")
        and count("traces") == traces
        and count("raw_events") == out["spans"] + traces
    )


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Everything in processes of its own."""
    with DoubleProcess() as double:
        sets = {
            "exporters.greptimedb.endpoints": f"[{double.grpc}]",
            "exporters.greptimedb.http_endpoints": f"[{urlsplit(double.http).netloc}]",
            "service.journal.min_free_disk": "1MiB",
            **dict(one.split("=", 1) for one in options.set),
        }
        collector = CollectorProcess(directory, sets, ["--config", str(CONFIG)]).start()
        try:
            out = measure(collector, double, options)
            return {**out, "complete": is_complete(out, double)}
        finally:
            collector.stop()


def table_of(out: dict[str, Any]) -> Table:
    """The figures for people."""
    table = Table("measured", "", title="GreptimeDB's double on the same machine", show_header=False)
    table.columns[1].justify = "right"
    for key, meaning in MEANINGS.items():
        value = out[key]
        table.add_row(meaning, "-" if value is None else f"{value:.1%}" if key.endswith("share") else f"{value:,}")
    for name, rate in out["rows_per_s_by_table"].items():
        table.add_row(f"rows/s, {name}", f"{rate:,}")
    return table


def main() -> int:
    """Parse, measure, print; 1 when something is missing or a bar is not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bar", type=float, default=4000, help="stored spans/s below which the run has failed")
    parser.add_argument("--stall-bar", type=float, default=20, help="event loop stall p99 in ms above which it has")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="a setting of the collector")
    arguments(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openfuse-bench-") as directory:
        out = run(options, Path(directory))
    Console().print(table_of(out))
    print(json.dumps(out))
    wrong = [
        sentence
        for failed, sentence in (
            (not out["complete"], "NOT COMPLETE: the double has not exactly what was sent"),
            (out["stored_spans_per_s"] < options.bar, f"stored fewer than {options.bar:,.0f} spans/s"),
            (out["stall_ms_p99"] > options.stall_bar, f"event loop stalled over {options.stall_bar:g} ms"),
        )
        if failed
    ]
    print("\n".join(wrong), file=sys.stderr)
    return min(1, len(wrong))


if __name__ == "__main__":
    sys.exit(main())

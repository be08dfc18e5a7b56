"""Drives an OTLP endpoint with agent traces and times what is acknowledged and, in an SQLite store, what is stored.

    python -m benchmarks.load --http 127.0.0.1:4318 --sqlite openfuse.db
    python -m benchmarks.load --grpc 127.0.0.1:4317 --spans 70000 --batch 140 --connections 4 --rate 5000

All bodies are made before the clock starts. Prints one JSON object; the exit code is 0 when every span was acknowledged
and, with --sqlite, stored.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from statistics import quantiles
from typing import Any

from benchmarks.agent_traces import SPANS_PER_TRACE, Load, requests
from openfuse_collector.cli.replay import Encoding
from openfuse_collector.cli.transport import Fate, GrpcTransport, HttpTransport, Transport

RETRY_PAUSE = 0.2
TABLES = ("observations", "traces", "raw_events")


@dataclass
class Result:
    """What the senders saw; latencies are seconds per acknowledged request."""

    acked: int = 0
    failed: int = 0
    retried: int = 0
    latencies: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, spans: int, outcome: Fate, latency: float) -> None:
        """Add the answer to one try."""
        with self.lock:
            if outcome is Fate.TAKEN:
                self.acked += spans
                self.latencies.append(latency)
            elif outcome is Fate.RETRY:
                self.retried += 1
            else:
                self.failed += spans


def send_all(
    work: Sequence[Load], connect: Callable[[], Transport], connections: int, rate: float, until: float
) -> Result:
    """Send everything over that many connections, at most `rate` spans a second (0: no bound), at the latest `until`."""
    todo: SimpleQueue[Load] = SimpleQueue()
    for load in work:
        todo.put(load)
    result, began = Result(), time.perf_counter()

    def sender() -> None:
        transport = connect()
        while True:
            try:
                load = todo.get_nowait()
            except Empty:
                return transport.close()
            _keep_to(rate, result.acked, began)
            _send(transport, load, result, until)

    threads = [threading.Thread(target=sender) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return result


def _send(transport: Transport, load: Load, result: Result, until: float) -> None:
    """One request until it is taken or refused; a server that asks for patience gets it."""
    while True:
        sent = time.perf_counter()
        outcome = transport.send(load.body, Encoding.PROTOBUF)
        fate = outcome.fate
        if fate is Fate.RETRY and sent > until:
            fate = Fate.REFUSED
        result.count(load.spans, fate, time.perf_counter() - sent)
        if fate is not Fate.RETRY:
            return
        time.sleep(RETRY_PAUSE)


def _keep_to(rate: float, acked: int, began: float) -> None:
    if rate:
        time.sleep(max(0.0, acked / rate - (time.perf_counter() - began)))


def rows(path: Path, table: str) -> int:
    """Rows of a table of the store; 0 while there is no such table."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as store:
        try:
            return int(store.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608
        except sqlite3.OperationalError:
            return 0


def wait_for_rows(path: Path, table: str, wanted: int, until: float) -> None:
    """Return when the table has that many rows, or at `until`."""
    while rows(path, table) < wanted and time.perf_counter() < until:
        time.sleep(0.1)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One run: what the JSON on standard output says."""
    work = list(requests(options.spans, options.batch, options.seed))
    before = {table: rows(options.sqlite, table) for table in TABLES} if options.sqlite else {}
    address = f"http://{options.grpc or options.http}"
    connect: Callable[[], Transport] = lambda: (GrpcTransport if options.grpc else HttpTransport)(address, {})  # noqa: E731
    began = time.perf_counter()
    until = began + options.timeout
    result = send_all(work, connect, options.connections, options.rate, until)
    sent = time.perf_counter() - began
    out = {
        "spans": sum(load.spans for load in work),
        "bytes": sum(len(load.body) for load in work),
        **as_sent(result, sent, "spans"),
    }
    return {**out, **_stored(options.sqlite, before, result.acked, began, until)} if options.sqlite else out


def as_sent(result: Result, took: float, unit: str) -> dict[str, Any]:
    """What the senders saw in so many seconds; `unit` is what they count."""
    return {
        "acked": result.acked,
        "failed": result.failed,
        "retried_requests": result.retried,
        f"acked_{unit}_per_s": round(result.acked / took),
        **percentiles(result.latencies),
    }


def percentiles(latencies: list[float]) -> dict[str, float | None]:
    if len(latencies) < 2:
        return {"ack_ms_p50": None, "ack_ms_p99": None}
    cuts = quantiles(latencies, n=100, method="inclusive")
    return {"ack_ms_p50": round(1000 * cuts[49], 1), "ack_ms_p99": round(1000 * cuts[98], 1)}


def _stored(path: Path, before: dict[str, int], acked: int, began: float, until: float) -> dict[str, int]:
    """The rate counts from the first byte sent to the last observation that can be read."""
    wait_for_rows(path, "observations", before["observations"] + acked, until)
    took = time.perf_counter() - began
    wait_for_rows(path, "traces", before["traces"] + acked // SPANS_PER_TRACE, until)
    new = {table: rows(path, table) - before[table] for table in TABLES}
    return {
        "stored": new["observations"],
        "stored_spans_per_s": round(new["observations"] / took),
        "traces": new["traces"],
        "raw_events": new["raw_events"],
    }


def is_complete(out: dict[str, Any]) -> bool:
    """Was every span acknowledged and, where a store was watched, is everything in it?"""
    if out["acked"] != out["spans"]:
        return False
    return "stored" not in out or (
        out["stored"] == out["acked"]
        and out["traces"] == out["acked"] // SPANS_PER_TRACE
        and out["raw_events"] >= out["stored"] + out["traces"]
    )


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options that shape the load, shared with `benchmarks.run`."""
    parser.add_argument("--spans", type=int, default=70_000)
    parser.add_argument("--batch", type=int, default=140, help="spans per request")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0, help="spans per second; 0: as fast as acknowledged")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--timeout", type=float, default=300, help="seconds until what is not done counts as failed")


def main() -> int:
    """Parse, measure, print."""
    parser = watching_parser(str(__doc__), "OTLP/HTTP")
    parser.add_argument("--grpc", help="address of OTLP/gRPC, used instead")
    arguments(parser)
    return report(measure(parser.parse_args()), is_complete)


def watching_parser(description: str, what: str) -> argparse.ArgumentParser:
    """A parser for where to send to, and the store to watch meanwhile."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", default="127.0.0.1:4318", help=f"address of {what}")
    parser.add_argument("--sqlite", type=Path, help="the store to watch")
    return parser


def report(out: dict[str, Any], is_complete: Callable[[dict[str, Any]], bool]) -> int:
    """Print the measurement; gives the exit code."""
    print(json.dumps(out))
    return 0 if is_complete(out) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Hours of steady load on one collector: does memory stay flat, and does every acknowledged span arrive exactly once? `make soak`, or

    python -m benchmarks.soak [--minutes 120] [--rate N] [--keep SECONDS] [--csv FILE]

Sends the traces of `agent_traces.py` again and again with new ids and samples memory and the collector's own counters. The store
does not grow for ever: its own retention removes, all the time, what is older than `--keep` seconds. The last line is JSON; the exit
code is 1 when a span is missing or counted twice, or when memory grew by more than `--slope` MiB an hour over the second half.
Linux only, for /proc.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.agent_traces import requests
from benchmarks.run import memory_mib
from openfuse_collector.cli.replay import Encoding
from openfuse_collector.cli.transport import Fate, HttpTransport
from tests.collector_process import CollectorProcess, wait_until

BATCH = 140
POOL = 14_000
"""Spans made before the clock starts; every round over them has ids of its own."""
SAMPLE = 10.0
ACCEPTED = "otelcol_receiver_accepted_spans_total"
STORED = "openfuse_store_written_rows_total"
EXPIRED = "openfuse_store_expired_rows_total"
SET_ASIDE = "openfuse_dead_letters_total"
SETTINGS = {"exporters.sqlite.retention.interval": "1s", "exporters.sqlite.cache_size": "16MiB"}
"""SQLite drops its page cache whenever another connection has written, as retention does: 64 MiB that come and go would hide a slope."""


class Mould(NamedTuple):
    """A request body, and where in it the ids are."""

    body: bytes
    ids: Sequence[int]
    """Offsets of the first byte of every trace, span and parent id."""
    spans: int

    @classmethod
    def of(cls, body: bytes, spans: int) -> Mould:
        """Find the ids; random bytes of 8 and more occur nowhere else."""
        names = {
            id
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            for id in (span.trace_id, span.span_id, span.parent_span_id)
            if id
        }
        return cls(body, [at for name in names for at in _occurrences(body, name)], spans)

    def cast(self, round: int) -> bytes:
        """The same request with ids no other round has."""
        mask = round.to_bytes(4, "big")
        body = bytearray(self.body)
        for at in self.ids:
            for index, bits in enumerate(mask):
                body[at + index] ^= bits
        return bytes(body)


def _occurrences(body: bytes, name: bytes) -> Iterator[int]:
    at = body.find(name)
    while at >= 0:
        yield at
        at = body.find(name, at + 1)


@dataclass
class Sender:
    """Sends at a steady rate over a few connections until told to stop, and counts what was acknowledged."""

    endpoint: str
    moulds: Sequence[Mould]
    rate: float
    connections: int
    stopping: threading.Event = field(default_factory=threading.Event)
    acked: int = 0
    told_to_retry: int = 0
    refused: int = 0
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> list[threading.Thread]:
        """One thread a connection."""
        threads = [threading.Thread(target=self._run, daemon=True) for _ in range(self.connections)]
        for thread in threads:
            thread.start()
        return threads

    def _run(self) -> None:
        transport = HttpTransport(self.endpoint, {})
        pause = self.connections * BATCH / self.rate
        due = time.monotonic()
        while not self.stopping.wait(max(0.0, due - time.monotonic())):
            due = max(
                due + pause, time.monotonic() - 10 * pause
            )  # what a slow moment left over is caught up with, within reason
            with self._lock:
                round, at = divmod(self._next, len(self.moulds))
                self._next += 1
            self._deliver(transport, self.moulds[at], self.moulds[at].cast(round))
        transport.close()

    def _deliver(self, transport: HttpTransport, mould: Mould, body: bytes) -> None:
        while True:
            outcome = transport.send(body, Encoding.PROTOBUF)
            with self._lock:
                self.acked += mould.spans if outcome.fate is Fate.TAKEN else 0
                self.told_to_retry += outcome.fate is Fate.RETRY
                self.refused += mould.spans if outcome.fate is Fate.REFUSED else 0
            if outcome.fate is not Fate.RETRY:
                return
            time.sleep(0.5)


class Sample(NamedTuple):
    """One look at the collector."""

    seconds: float
    rss_mib: float
    acked: int
    accepted: float
    stored: float
    set_aside: float
    expired: float


def sample(collector: CollectorProcess, sender: Sender, began: float) -> Sample:
    """Memory and counters, now."""
    return Sample(
        round(time.monotonic() - began, 1),
        memory_mib(collector.pid, "VmRSS"),
        sender.acked,
        collector.metric(ACCEPTED),
        collector.metric(STORED, table="observations"),
        collector.metric(SET_ASIDE),
        collector.metric(EXPIRED, table="observations"),
    )


def slope(samples: Sequence[Sample]) -> float:
    """MiB an hour, by least squares."""
    x = [s.seconds / 3600 for s in samples]
    y = [s.rss_mib for s in samples]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread if spread else 0.0


def soak(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """The whole run; the summary."""
    log = structlog.get_logger()
    moulds = [Mould.of(load.body, load.spans) for load in requests(POOL, BATCH, options.seed)]
    collector = CollectorProcess(
        directory, {**SETTINGS, "exporters.sqlite.retention.default": f"{options.keep}s"}
    ).start()
    sender = Sender(collector.http_endpoint, moulds, options.rate, options.connections)
    began, samples = time.monotonic(), list[Sample]()
    threads = sender.start()
    while time.monotonic() - began < 60 * options.minutes:
        time.sleep(SAMPLE)
        samples.append(sample(collector, sender, began))
        if len(samples) % 30 == 0:
            log.info("soaking", **samples[-1]._asdict())
        with options.csv.open("a") as file:
            file.write(",".join(map(str, samples[-1])) + "\n")
    sender.stopping.set()
    for thread in threads:
        thread.join()
    wait_until(
        lambda: collector.metric(STORED, table="observations") + collector.metric(SET_ASIDE) >= sender.acked,
        lambda: f"{sender.acked} spans acknowledged, not all stored",
        600,
    )
    last = sample(collector, sender, began)
    collector.stop()
    half = [s for s in samples if s.seconds >= samples[-1].seconds / 2]
    return {
        "minutes": options.minutes,
        "spans_per_s": round(last.acked / last.seconds),
        "acked": last.acked,
        "accepted": int(last.accepted),
        "stored": int(last.stored),
        "set_aside": int(last.set_aside),
        "expired": int(last.expired),
        "identity_error": int(last.accepted - last.stored - last.set_aside),
        "refused": sender.refused,
        "told_to_retry": sender.told_to_retry,
        "rss_mib_start_half_end": [samples[0].rss_mib, half[0].rss_mib, samples[-1].rss_mib],
        "rss_mib_peak": max(s.rss_mib for s in samples),
        "slope_mib_per_hour_second_half": round(slope(half), 2),
    }


def main() -> int:
    """Parse, soak, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--rate", type=float, default=2800, help="spans per second, all connections together")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--keep", type=int, default=120, help="seconds that the store keeps what it has received")
    parser.add_argument("--slope", type=float, default=1.0, help="MiB an hour that memory may grow in the second half")
    parser.add_argument("--csv", type=Path, default=Path("soak.csv"), help="file for the samples")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.csv.write_text(",".join(Sample._fields) + "\n")
    with tempfile.TemporaryDirectory(prefix="openfuse-soak-", ignore_cleanup_errors=True) as directory:
        out = soak(options, Path(directory))
    print(json.dumps(out))
    exact = out["identity_error"] == 0 and out["acked"] == out["accepted"] and not out["refused"]
    return 0 if exact and out["slope_mib_per_hour_second_half"] <= options.slope else 1


if __name__ == "__main__":
    sys.exit(main())

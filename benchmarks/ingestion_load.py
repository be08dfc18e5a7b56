"""Drives POST /api/public/ingestion with six producers and times what is acknowledged and, in an SQLite store, what is stored.

    python -m benchmarks.ingestion_load --http 127.0.0.1:4318 --sqlite openfuse.db [--traces N] [--batch N] [--producers N]

All bodies are made before the clock starts. Prints one JSON object; the exit code is 0 when every trace was acknowledged
and, with --sqlite, it, its observations and its scores are stored.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.ingestion_traces import OBSERVATIONS_PER_TRACE, requests, scores_of
from benchmarks.load import as_sent, report, rows, send_all, wait_for_rows, watching_parser
from openfuse_collector.cli.replay import Encoding
from openfuse_collector.cli.transport import Fate, Outcome

PATH = "/api/public/ingestion"
TIMEOUT = 30.0
HEADERS = {"Content-Type": "application/json", "Authorization": "Basic cGstbGYtYmVuY2g6c2stbGYtYmVuY2g="}
"""Credentials of the form pk:sk; without `api_keys` a collector takes any."""


class IngestionTransport:
    """One kept-alive connection of a producer."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=TIMEOUT)

    def send(self, body: bytes, encoding: Encoding) -> Outcome:
        """One POST. Taken means 207 without an error; 429 and 5xx are worth another try, as the SDKs see it."""
        try:
            self._connection.request("POST", PATH, body, HEADERS)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Outcome(Fate.RETRY, f"{type(error).__name__}: {error}")
        return outcome_of(response.status, answer)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def outcome_of(status: int, answer: bytes) -> Outcome:
    """What an answer of the ingestion API means for its sender."""
    if status == 207 and not json.loads(answer)["errors"]:
        return Outcome(Fate.TAKEN)
    fate = Fate.RETRY if status == 429 or status >= 500 else Fate.REFUSED
    return Outcome(fate, f"{status}: {answer[:200]!r}")


def expected_rows(traces: int) -> dict[str, int]:
    """Rows the store has to gain, by table."""
    return {"traces": traces, "observations": OBSERVATIONS_PER_TRACE * traces, "scores": scores_of(traces)}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One run: what the JSON on standard output says."""
    work = list(requests(options.traces, options.batch, options.seed))
    wanted = expected_rows(options.traces)
    before = {table: rows(options.sqlite, table) for table in wanted} if options.sqlite else {}
    began = time.perf_counter()
    until = began + options.timeout
    result = send_all(work, lambda: IngestionTransport(options.http), options.producers, 0, until)
    sent = time.perf_counter() - began
    out = {
        "traces": options.traces,
        "events": sum(wanted.values()),
        "bytes": sum(len(load.body) for load in work),
        "requests": len(work),
        "batch": options.batch,
        "producers": options.producers,
        **as_sent(result, sent, "traces"),
    }
    return {**out, **_stored(options.sqlite, before, wanted, began, until)} if options.sqlite else out


def _stored(path: Path, before: dict[str, int], wanted: dict[str, int], began: float, until: float) -> dict[str, Any]:
    """The rate counts from the first byte sent to the last row that can be read."""
    for table, number in wanted.items():
        wait_for_rows(path, table, before[table] + number, until)
    took = time.perf_counter() - began
    gained = {f"stored_{table}": rows(path, table) - before[table] for table in wanted}
    return {**gained, "stored_traces_per_s": round(gained["stored_traces"] / took)}


def is_complete(out: dict[str, Any]) -> bool:
    """Was every trace acknowledged and, where a store was watched, is all of it there, once?"""
    if out["acked"] != out["traces"]:
        return False
    wanted = expected_rows(out["traces"])
    return all(out.get(f"stored_{table}", number) == number for table, number in wanted.items())


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options that shape the load, shared with `benchmarks.ingestion`."""
    parser.add_argument("--traces", type=int, default=30_000)
    parser.add_argument("--batch", type=int, default=15, help="events per request; SDKs send 15, some up to 100")
    parser.add_argument("--producers", type=int, default=6, help="connections that send at the same time")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--timeout", type=float, default=300, help="seconds until what is not done counts as failed")


def main() -> int:
    """Parse, measure, print."""
    parser = watching_parser(str(__doc__), "the Langfuse API")
    arguments(parser)
    return report(measure(parser.parse_args()), is_complete)


if __name__ == "__main__":
    sys.exit(main())

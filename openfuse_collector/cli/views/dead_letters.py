"""Dead letters on a terminal: a line each, or one with its payload laid out."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from openfuse_collector.cli.views.counted import counted
from openfuse_collector.cli.views.format import clean, clock, one_line
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.signals import Origin, Signal

COLUMNS = ("time", "id", "component", "pipeline", "project", "signal", "reason", "size", "state")
REASON_CELLS = 200
_REQUESTS: dict[Signal, Any] = {Signal.TRACES: ExportTraceServiceRequest, Signal.LOGS: ExportLogsServiceRequest}
_IDS = frozenset(("traceId", "spanId", "parentSpanId"))


def letters(count: int) -> str:
    """`1 dead letter`, `12 dead letters`."""
    return counted(count, "dead letter")


def print_table(rows: Sequence[dict[str, Any]], zone: tzinfo | None = None) -> None:
    """A line each on standard output; the reason takes the room there is, and all of it where nobody looks."""
    table = Table(box=None, pad_edge=False, caption=letters(len(rows)), caption_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="right" if name == "size" else "left", no_wrap=name != "reason", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in _cells(row, zone)))
    console = Console()
    console.print(table) if console.is_terminal else Console(width=400).print(table)


def as_json(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as JSON, `at` in epoch milliseconds."""
    return json.dumps(list(rows), indent=2)


def letter_lines(id: str, letter: DeadLetter, zone: tzinfo | None = None) -> Iterator[str]:
    """Who refused it, why, where it came from, and the payload as JSON."""
    origin = letter.origin
    head = {
        "id": id,
        "time": clock(letter.at, zone),
        "component": f"{letter.component} ({letter.kind.removesuffix('s')})",
        "reason": letter.reason,
        "pipeline": letter.pipeline,
        "project": origin.project_id,
        "received": f"{clock(origin.received_at // 1_000_000, zone)} by {origin.receiver}{_sender(origin)}",
        "signal": str(letter.signal),
        "size": size(letter.size),
    }
    for title, value in head.items():
        yield f"{title + ':':<11}{clean(value)}"
    yield ""
    yield from clean(json.dumps(content(letter), indent=2, ensure_ascii=False)).split("\n")


def _sender(origin: Origin) -> str:
    """` from langfuse-python 3.8.1`; empty where the sender did not say what it is."""
    known = [part for part in (origin.sdk_name, origin.sdk_version) if part not in ("", "unknown")]
    return f" from {' '.join(known)}" if known else ""


def content(letter: DeadLetter) -> Any:
    """The payload as plain values, ids in hexadecimal; what cannot be read as the beginning of its bytes."""
    try:
        if letter.signal is Signal.EVENTS:
            return json.loads(letter.payload)
        return _hexadecimal(MessageToDict(_REQUESTS[letter.signal].FromString(letter.payload)))
    except Exception as error:  # whatever it is, people want to see the rest of the letter
        return {"cannot be read": f"{type(error).__name__}: {error}", "bytes": repr(letter.payload[:1000])}


def size(count: int) -> str:
    """`812 B`, `3.4 KiB`, `64.0 MiB`."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def _cells(row: dict[str, Any], zone: tzinfo | None) -> Iterator[str]:
    shown = {**row, "project": row["project_id"], "state": "to be replayed" if row["state"] == "replay" else ""}
    made = {"time": lambda: clock(row["at"], zone), "size": lambda: size(row["size"])}
    for name in COLUMNS:
        yield made[name]() if name in made else one_line(str(shown[name]), REASON_CELLS)


def _hexadecimal(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _hexadecimal(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_hexadecimal(item) for item in value]
    return base64.b64decode(value).hex() if key in _IDS and isinstance(value, str) else value

"""`openfuse-collector map`: shows what recorded spans and log records become, one event per line, without storing anything."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from openfuse_collector.events.event import Event
from openfuse_collector.mapping import map_logs, map_traces
from openfuse_collector.mapping.explain import Explained, explain_logs, explain_traces
from openfuse_collector.pdata import otlp_json, otlp_protobuf
from openfuse_collector.pdata.decoded import Decode
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.exports import Export, read_export
from openfuse_collector.pdata.forms import LOGS, TRACES, Form
from openfuse_collector.pdata.misrouted import is_logs
from openfuse_collector.signals import Origin, Signal

STDIN = Path("-")

SHOWN = 48
"""Characters of a value in an explanation."""

FORMATS: dict[str, Decode] = {"protobuf": otlp_protobuf.decode, "json": otlp_json.decode}


def format_of(body: bytes) -> str:
    """`json` for a body that opens like a JSON object, else `protobuf`.

    A protobuf request opens with 0x0a, a line feed to JSON, and the length behind that may be a brace: then it has to parse.
    """
    if not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return "protobuf"
    return "json" if body[:1] != b"\n" or _is_json(body) else "protobuf"


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def line_of(event: Event) -> bytes:
    """An event as one line: project and entity beside the envelope."""
    envelope: dict[str, Any] = {
        "project": event.entity.project_id,
        "entity": {"type": event.entity.type, "id": event.entity.id},
        "id": event.id,
        "timestamp": event.timestamp,
        "type": event.type,
        "body": event.body,
        "metadata": event.metadata,
    }
    return msgspec.json.encode(envelope) + b"\n"


def form_of(body: bytes, format: str) -> Form:
    """Which signal a body is an export of; traces when it cannot be told."""
    if format == "json":
        return LOGS if b'"resourceLogs"' in body and b'"resourceSpans"' not in body else TRACES
    return LOGS if is_logs(body) else TRACES


class Outcome(NamedTuple):
    """What became of a request."""

    lines: list[bytes]
    problems: list[str]
    """One per span or log record without events."""
    filtered: int
    """Log records that hold nothing for an observation."""


def map_export(export: Export, origin: Origin) -> Outcome:
    """The events of a request, one JSON line each."""
    if export.form is LOGS:
        events, failures, filtered = map_logs(export.request, origin)
    else:
        (events, failures), filtered = map_traces(export.request, origin), 0
    return Outcome(list(map(line_of, events)), [f"{path}: {reason}" for path, reason, _ in failures], filtered)


def explain_export(export: Export, origin: Origin) -> Outcome:
    """The same with a table per event: field, value, rule, attributes."""
    explained = (explain_logs if export.form is LOGS else explain_traces)(export.request, origin)
    outcome = map_export(export, origin)
    return outcome._replace(lines=[table_of(one).encode() for one in explained])


def table_of(explained: Explained) -> str:
    """An event and its reasons as text for people."""
    event, reasons = explained
    rows = [(one.field, shown(one.value), one.rule or "-", ", ".join(one.attributes)) for one in reasons]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = ["  ".join((*map(str.ljust, row[:3], widths), row[3])).rstrip() for row in rows]
    return "\n".join((f"{event.entity.type} {event.entity.id}  {event.type}", *(f"  {line}" for line in lines), "", ""))


def shown(value: Any) -> str:
    """A value on one line, cut to what fits."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def map_file(path: Path, format: str, origin: Origin, explain: bool) -> int:
    """Print the events of one file; the number of its spans or log records that failed. Raises BadDataError, OSError."""
    body = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
    format = format_of(body) if format == "auto" else format
    export = read_export(body, form_of(body, format), FORMATS[format])
    outcome = (explain_export if explain else map_export)(export, origin)
    sys.stdout.buffer.writelines(outcome.lines)
    sys.stdout.buffer.flush()
    for problem in [export.message, *outcome.problems] if export.message else outcome.problems:
        click.echo(f"{path}: {problem}", err=True)
    if outcome.filtered:
        click.echo(f"{path}: {outcome.filtered} log records belong to no span or hold no GenAI content", err=True)
    return export.refused + len(outcome.problems)


def map_files(paths: Iterable[Path], format: str, origin: Origin, explain: bool = False) -> int:
    """The exit code of mapping all files: 1 when one could not be read or something in it failed."""
    failed = 0
    for path in paths:
        try:
            failed += map_file(path, format, origin, explain)
        except BrokenPipeError:  # the reader has seen enough (`| head`); click ends quietly
            raise
        except (BadDataError, OSError) as error:
            reason = error.strerror or error if isinstance(error, OSError) else error
            click.echo(f"{'standard input' if path == STDIN else path}: {reason}", err=True)
            failed += 1
    return 1 if failed else 0


@click.command("map")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--format", type=click.Choice(("auto", *FORMATS)), default="auto", show_default=True, help="Encoding.")
@click.option("--project", default="default", show_default=True, help="Project id the events are for.")
@click.option(
    "--received-at", type=int, default=0, help="Receive time, epoch nanoseconds: all that spans without times have."
)
@click.option("--explain", is_flag=True, help="Say for each field which attribute and which rule gave it.")
def map_command(files: tuple[Path, ...], format: str, project: str, received_at: int, explain: bool) -> None:
    """Show what recorded spans and log records become, without storing anything.

    FILES hold one OTLP traces or logs request each, protobuf or JSON; none or - reads standard input. Prints one JSON line
    per event, with --explain a table.
    """
    origin = Origin(Signal.TRACES, "map", received_at, project)
    sys.exit(map_files(files or (STDIN,), format, origin, explain))

"""`openfuse-collector map`: shows what recorded spans become, one event per line, without storing anything."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import msgspec

from openfuse_collector.events.event import Event
from openfuse_collector.mapping import map_traces
from openfuse_collector.pdata import otlp_json, otlp_protobuf
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.traces import Decode, read_traces
from openfuse_collector.signals import Origin, Signal

STDIN = Path("-")


FORMATS: dict[str, Decode] = {"protobuf": otlp_protobuf.decode_traces, "json": otlp_json.decode_traces}


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


def map_file(path: Path, format: str, origin: Origin) -> int:
    """Print the events of one file; the number of its spans that gave none. Raises BadDataError, OSError."""
    body = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
    traces = read_traces(body, FORMATS[format_of(body) if format == "auto" else format])
    events, failures = map_traces(traces.request, origin)
    sys.stdout.buffer.writelines(map(line_of, events))
    sys.stdout.buffer.flush()
    problems = [f"{failure.path}: {failure.reason}" for failure in failures]
    for problem in [traces.message, *problems] if traces.message else problems:
        click.echo(f"{path}: {problem}", err=True)
    return traces.refused + len(failures)


def map_files(paths: Iterable[Path], format: str, origin: Origin) -> int:
    """The exit code of mapping all files: 1 when one could not be read or a span gave no events."""
    failed = 0
    for path in paths:
        try:
            failed += map_file(path, format, origin)
        except BrokenPipeError:  # the reader has seen enough (`| head`); click ends quietly
            raise
        except (BadDataError, OSError) as error:
            click.echo(f"{path}: {error}", err=True)
            failed += 1
    return 1 if failed else 0


@click.command("map")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--format", type=click.Choice(("auto", *FORMATS)), default="auto", show_default=True, help="Encoding.")
@click.option("--project", default="default", show_default=True, help="Project id the events are for.")
@click.option(
    "--received-at", type=int, default=0, help="Receive time, epoch nanoseconds: all that spans without times have."
)
def map_command(files: tuple[Path, ...], format: str, project: str, received_at: int) -> None:
    """Show what recorded spans become, without storing anything.

    FILES hold one OTLP traces request each, protobuf or JSON; none or - reads standard input. Prints one JSON line per event.
    """
    origin = Origin(Signal.TRACES, "map", received_at, project)
    sys.exit(map_files(files or (STDIN,), format, origin))

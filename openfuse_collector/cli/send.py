"""`openfuse-collector send`: replays OTLP trace requests kept in files to any OTLP endpoint."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import click

from openfuse_collector.cli.replay import Encoding, ReplayError, Request, as_json, as_protobuf, find_files, read_request
from openfuse_collector.cli.transport import (
    Fate,
    GrpcTransport,
    HttpTransport,
    Outcome,
    Transport,
    send_until_answered,
)
from openfuse_collector.cli.views.counted import counted

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PROTOCOLS = ("as-kept", "http/protobuf", "http/json", "grpc")
ENDPOINTS = {"grpc": "http://localhost:4317"}
HTTP_ENDPOINT = "http://localhost:4318"

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER = re.compile(rf"{_NAME.pattern}=[\t -~\xa0-\xff]*")
"""A token and the characters of a value, RFC 9110, sections 5.1 and 5.5."""

_LOG_EVERY = 5.0
"""Seconds between two lines of progress where there is no terminal."""


@dataclass
class Tally:
    """What became of everything sent so far."""

    requests: int = 0
    spans: int = 0
    rejected: int = 0
    refused: int = 0

    def add(self, request: Request, outcome: Outcome) -> None:
        """Count one answered request."""
        if outcome.fate is Fate.REFUSED:
            self.refused += 1
            return
        self.requests += 1
        self.spans += request.spans - outcome.rejected
        self.rejected += outcome.rejected


class Progress(Protocol):
    """Shows how far a replay is."""

    def advance(self, tally: Tally) -> None: ...

    def say(self, line: str) -> None: ...


class Message(NamedTuple):
    """A body ready to send."""

    body: bytes
    encoding: Encoding


def _header(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """`name=value` as curl's users know it from OTEL_EXPORTER_OTLP_HEADERS. Values are credentials, as a rule: no message shows one."""
    for value in values:
        if not _HEADER.fullmatch(value):
            name = _NAME.match(value)
            raise click.BadParameter(f"{name[0] if name else ''}… is not name=value in characters a header may have")
    return dict(value.split("=", 1) for value in values)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--endpoint", help=f"Where to send.  [default: {HTTP_ENDPOINT}, with grpc {ENDPOINTS['grpc']}]")
@click.option("--protocol", type=click.Choice(PROTOCOLS), default=PROTOCOLS[0], show_default=True, help="as-kept: over HTTP, each file byte for byte in its own encoding.")  # fmt: skip  # noqa: E501
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", callback=_header, help="A request header; repeatable.")  # fmt: skip  # noqa: E501
@click.option("--repeat", type=click.IntRange(1), default=1, show_default=True, help="Send everything this many times. Ids stay the same, so the store should not grow.")  # fmt: skip  # noqa: E501
@click.option("--retry-for", type=click.FloatRange(0), default=60.0, show_default=True, metavar="SECONDS", help="How long to retry a request before it counts as refused.")  # fmt: skip  # noqa: E501
def send(
    files: tuple[Path, ...], endpoint: str | None, protocol: str, headers: dict[str, str], repeat: int, retry_for: float
) -> None:
    """Replay OTLP trace requests: FILES are *.pb, *.json, or directories searched for *.traces.pb and *.traces.json.

    Exit code 1 when a request was refused or spans of it were rejected.
    """
    try:
        paths = find_files(files)
        transport = _transport(protocol, endpoint, headers)
        tally = _replay(paths * repeat, transport, protocol, retry_for)
    except ReplayError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{counted(tally.requests, 'request')} taken, {tally.refused:,} refused;"
        f" {counted(tally.spans, 'span')} taken, {tally.rejected:,} rejected"
    )
    if tally.refused or tally.rejected:
        sys.exit(1)


def _transport(protocol: str, endpoint: str | None, headers: dict[str, str]) -> Transport:
    kind = GrpcTransport if protocol == "grpc" else HttpTransport
    return kind(endpoint or ENDPOINTS.get(protocol, HTTP_ENDPOINT), headers)


def _replay(paths: Sequence[Path], transport: Transport, protocol: str, patience: float) -> Tally:
    """Every file in order; one that cannot be read stops the replay, and so does a server that is not there; a refusal does not."""
    tally = Tally()
    with closing(transport), _progress(len(paths)) as progress:
        for number, path in enumerate(paths, 1):
            request = read_request(path)
            message = _message(request, protocol)

            def on_retry(outcome: Outcome, pause: float, path: Path = path) -> None:
                progress.say(f"{path}: {outcome.reason}; again in {pause:.1f}s")

            outcome = send_until_answered(transport, *message, patience, on_retry=on_retry)
            tally.add(request, outcome)
            if outcome.fate is Fate.REFUSED:
                progress.say(f"{path}: refused: {outcome.reason}")
            elif outcome.rejected:
                progress.say(f"{path}: {outcome.rejected} of {request.spans} spans rejected: {outcome.reason}")
            progress.advance(tally)
            if not outcome.answered and number < len(paths):
                progress.say(
                    f"nobody answers: is the collector running? Not tried: {counted(len(paths) - number, 'request')}"
                )
                tally.refused += len(paths) - number
                break
    return tally


def _message(request: Request, protocol: str) -> Message:
    if protocol == "http/json":
        return Message(as_json(request), Encoding.JSON)
    if protocol == "as-kept":
        return Message(request.body, request.encoding)
    return Message(as_protobuf(request), Encoding.PROTOBUF)


@contextmanager
def _progress(total: int) -> Iterator[Progress]:
    """A bar on a terminal, lines elsewhere; both on standard error, so that the summary can be piped."""
    if not sys.stderr.isatty():
        yield _Lines(total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with RichProgress(*columns, console=Console(stderr=True)) as shown:
        yield _Bar(shown, total)


class _Lines:
    """A line now and then."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._said = total, 0, time.monotonic()

    def advance(self, tally: Tally) -> None:
        self._done += 1
        if time.monotonic() - self._said >= _LOG_EVERY:
            self._said = time.monotonic()
            self.say(f"{self._done} of {self._total} requests, {tally.spans} spans")

    def say(self, line: str) -> None:
        click.echo(line, err=True)


class _Bar:
    """A rich progress bar."""

    def __init__(self, shown: RichProgress, total: int) -> None:
        self._shown = shown
        self._task = shown.add_task("sending", total=total)

    def advance(self, tally: Tally) -> None:
        self._shown.update(self._task, advance=1, description=f"{tally.spans} spans")

    def say(self, line: str) -> None:
        self._shown.console.print(line, markup=False, highlight=False)

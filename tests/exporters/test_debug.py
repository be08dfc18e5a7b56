"""The debug exporter prints what passes, as much as asked."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.exporters.debug.config import DebugConfig
from openfuse_collector.exporters.debug.exporter import DebugExporter
from openfuse_collector.signals import Signal
from tests.builders import batch, event, item, metric, settings

needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="NO /dev/full: a Linux device")


@pytest.mark.parametrize(
    ("verbosity", "shown", "hidden"),
    [
        ("basic", "2 events", "chat"),
        ("normal", "observation o1 span-create 'chat'", "prompt text"),
        ("detailed", "prompt text", "\0"),
    ],
)
def test_verbosity(verbosity: str, shown: str, hidden: str, capsys: pytest.CaptureFixture[str]) -> None:
    exporter = DebugExporter(settings("debug"), DebugConfig(verbosity=verbosity))  # type: ignore[arg-type]
    exporter.export(batch(item([event("o1", name="chat", input="prompt text"), event("o2", name="tool")])))
    printed = capsys.readouterr().err
    assert shown in printed
    assert hidden not in printed


def spans(scope: str, *names: str) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    made = request.resource_spans.add().scope_spans.add()
    made.scope.name = scope
    for name in names:
        made.spans.add(name=name)
    return request


def test_spans_are_counted_as_spans(capsys: pytest.CaptureFixture[str]) -> None:
    exporter = DebugExporter(settings("debug"), DebugConfig())
    exporter.export(batch(item(spans("scope", "chat", "tool"), signal=Signal.TRACES), signal=Signal.TRACES))
    assert "1 requests, 2 spans, " in capsys.readouterr().err


@pytest.mark.parametrize(("verbosity", "lines"), [("normal", 2), ("detailed", 12)])
def test_what_a_sender_wrote_drives_no_terminal(verbosity: str, lines: int, capsys: pytest.CaptureFixture[str]) -> None:
    exporter = DebugExporter(settings("debug"), DebugConfig(verbosity=verbosity))  # type: ignore[arg-type]
    scope = "\x1b[2J\x9b31m\nforged line"
    exporter.export(batch(item(spans(scope, "chat"), signal=Signal.TRACES), signal=Signal.TRACES))
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == lines
    assert all(line.isprintable() for line in printed)


def test_sampling(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    exporter = DebugExporter(settings("debug"), DebugConfig(sampling_initial=2, sampling_thereafter=3))
    for _ in range(8):
        exporter.export(batch(item([event("o1")])))
    assert len(capsys.readouterr().err.splitlines()) == 4  # two at first, then the third and the sixth


def full_disk() -> TextIO:
    return Path("/dev/full").open("w")


def closed() -> TextIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [pytest.param(full_disk, marks=needs_dev_full), closed])
def test_what_cannot_be_printed_holds_nothing_up(
    stream: Callable[[], TextIO], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = settings("debug", directory=tmp_path)
    exporter = DebugExporter(around, DebugConfig())
    broken = stream()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", broken)
        exporter.export(batch(item([event("o1")])))
    with suppress(OSError):
        broken.close()
    assert metric(around.metrics, "openfuse_debug_unprinted_batches_total", exporter="debug") == 1

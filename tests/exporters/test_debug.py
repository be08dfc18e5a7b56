"""The debug exporter prints what passes, as much as asked."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from openfuse_collector.exporters.debug.config import DebugConfig
from openfuse_collector.exporters.debug.exporter import DebugExporter
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

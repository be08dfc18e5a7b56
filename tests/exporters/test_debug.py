"""The debug exporter prints what passes, as much as asked."""

from __future__ import annotations

import pytest

from openfuse_collector.exporters.debug.config import DebugConfig
from openfuse_collector.exporters.debug.exporter import DebugExporter
from tests.builders import batch, event, item, settings


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
